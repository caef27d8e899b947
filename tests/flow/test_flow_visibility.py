from __future__ import annotations

import math

import pytest
import torch

from lwg_core.flow.visibility import AWAY, TAP_RADIUS, TAPS, TOLERANCE, cells, visible


def plainly_visible(depth, grid, point_depth, cosine):
    """Every test for every point in every source, in the words of the rule."""
    height, width = depth.shape[1:]
    share = torch.zeros_like(point_depth)
    for p, s in torch.cartesian_prod(*(torch.arange(n) for n in point_depth.shape)).tolist():

        def nearest(x, y, s=s):
            column = min(max(math.floor((x + 1) / 2 * width), 0), width - 1)
            row = min(max(math.floor((y + 1) / 2 * height), 0), height - 1)
            return float(depth[s, row, column])

        (x, y), z, slant = grid[p, s].tolist(), float(point_depth[p, s]), float(cosine[p, s])
        if max(abs(x), abs(y)) > 1 or slant <= AWAY or z > nearest(x, y) + TOLERANCE:
            continue
        radius = 2 * TAP_RADIUS * max(height, width)
        angles = [2 * math.pi * tap / TAPS for tap in range(TAPS)]
        ring = [(math.cos(a) * radius / width, math.sin(a) * radius / height) for a in angles]
        slack = z - TOLERANCE / min(max(slant, 0.25), 1)
        passed = sum(slack <= nearest(x + dx, y + dy) for dx, dy in ring) / TAPS
        share[p, s] = min(max((passed - 0.25) / 0.75, 0), 1)
    return share


def scene(sources):
    torch.manual_seed(2)
    depth = 3 + 0.1 * torch.rand(sources, 40, 30, dtype=torch.float64)
    depth[:, 10:20] -= 0.5  # an occluder
    depth[:, :, 20:] = torch.inf
    grid = torch.rand(150, sources, 2, dtype=torch.float64) * 2.2 - 1.1
    point_depth = 2.4 + 0.8 * torch.rand(150, sources, dtype=torch.float64)
    return depth, grid, point_depth, torch.rand(150, sources, dtype=torch.float64) * 1.3 - 0.3


@pytest.mark.parametrize("sources", [1, 3])
def test_listed_tests_are_the_rule(sources):
    found = visible(*scene(sources))
    torch.testing.assert_close(found, plainly_visible(*scene(sources)))
    assert 0.1 < (found > 0).double().mean() < 0.9 and ((found > 0) & (found < 1)).any()


def test_nothing_is_visible():
    depth, grid, point_depth, cosine = scene(2)
    away = torch.full_like(cosine, AWAY)
    for case in ((grid, point_depth, away), (grid + 3, point_depth, cosine)):
        assert torch.equal(visible(depth, *case), torch.zeros_like(cosine))
    none = visible(depth, grid[:0], point_depth[:0], cosine[:0])
    assert none.shape == (0, 2)


def test_cells_of_columns_and_of_lists():
    grid = torch.tensor([[[-1.0, -1.0], [0.99, 0.99]], [[-5.0, 0.1], [5.0, -0.1]]])
    dense = cells(grid, (4, 10))
    assert dense.tolist() == [[0, 40 + 39], [20, 40 + 19]]
    listed = cells(grid.reshape(-1, 2), (4, 10), torch.tensor([0, 1, 0, 1]))
    assert torch.equal(listed, dense.flatten())
