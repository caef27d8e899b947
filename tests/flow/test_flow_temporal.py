"""The previous frame as a source: where the same surface was one frame ago."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from lwg_core.flow.compose import compose, prepare_sources
from lwg_core.flow.temporal import Past, flicker, past_flow, past_inputs, surface_motion

SIZE = (96, 96)


@pytest.fixture(scope="module")
def scene(studio):
    """Two frames: the person, and the person 6 px to the right, from one source."""
    prepared = prepare_sources((studio.source(studio.pose()),), studio.body)
    params = studio.params(studio.pose().expand(2, -1, -1), SIZE)
    center = params.camera.center + torch.tensor([[0.0, 0.0], [6.0, 0.0]])
    vertices = studio.body.vertices(params.pose, params.betas)
    cameras = replace(params.camera, center=center)
    return compose(prepared, vertices, cameras, SIZE), studio.body.faces


def test_a_body_that_stands_still_is_where_it_was(scene):
    part, faces = scene
    one = part.select([0])
    grid, seen = surface_motion(one, one, faces)
    inside = one.silhouette[:, 0] > 0
    assert torch.equal(seen, inside)
    y, x = inside[0].nonzero().T
    expected = torch.stack([x + 0.5, y + 0.5], 1) / SIZE[0] * 2 - 1
    torch.testing.assert_close(grid[0][inside[0]], expected, atol=1e-4, rtol=0)
    assert (grid[0][~inside[0]] == -2).all()


def test_a_body_that_moved_was_as_far_to_the_left(scene):
    part, faces = scene
    grid, seen = surface_motion(part.select([1]), part.select([0]), faces)
    y, x = seen[0].nonzero().T
    there = (grid[0][seen[0]][:, 0] + 1) / 2 * SIZE[1]
    torch.testing.assert_close(x + 0.5 - there, torch.full_like(there, 6.0), atol=1e-3, rtol=0)
    assert seen.sum() > 0.9 * part.silhouette[1].sum()


def test_what_was_hidden_is_not_seen(scene):
    part, faces = scene
    now, before = part.select([0]), part.select([0])
    before = replace(before, raster=replace(before.raster, depth=before.raster.depth - 0.5))
    _, seen = surface_motion(now, before, faces)
    assert not seen.any()
    past = Past(before, before.warped, before.silhouette)
    assert (past_flow(now, past, faces) == -2).all()


def test_the_stream_of_a_painted_frame_is_that_of_a_source(scene):
    part, _ = scene
    one = part.select([0])
    matte = torch.rand(1, 1, *SIZE)
    inputs = past_inputs(Past(one, one.warped, matte))
    assert inputs.shape == (1, 8, *SIZE)
    torch.testing.assert_close(inputs[:, :3], one.warped * matte)
    assert torch.equal(inputs[:, 3:6], one.code) and torch.equal(inputs[:, 6:7], one.coverage)
    assert torch.equal(inputs[:, 7:], matte)


def test_flicker_is_zero_where_the_surface_keeps_its_colour(scene):
    part, faces = scene
    still = part.code  # belongs to the surface
    assert flicker(still, part, faces)[0] < 1.5  # resampling
    brighter = torch.cat([still[:1], still[1:] + 10 / 127.5])
    assert flicker(brighter, part, faces)[0] == pytest.approx(10, abs=1.5)
    painted_on_the_screen = F.interpolate(torch.rand(1, 3, 12, 12), SIZE).expand(2, -1, -1, -1)
    assert flicker(painted_on_the_screen, part, faces)[0] > 10
