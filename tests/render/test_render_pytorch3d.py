"""The optional backend against ours, where pytorch3d is installed."""

import importlib.util
import math

import pytest
import torch

from lwg_core.errors import InputError
from lwg_core.render.raster import rasterize

INSTALLED = importlib.util.find_spec("pytorch3d") is not None


def ball(rings=12, around=16):
    """Points (V, 3) and faces (F, 3), wound outward, of a lumpy sphere."""
    theta = torch.linspace(0.05, math.pi - 0.05, rings)[:, None]
    phi = torch.arange(around) * 2 * math.pi / around
    radius = 1 + 0.2 * torch.sin(3 * phi) * theta.sin()
    points = torch.stack(
        [radius * theta.sin() * phi.cos(), radius * theta.cos().expand(-1, around)]
        + [radius * theta.sin() * phi.sin()],
        -1,
    ).view(-1, 3)
    i, j = torch.meshgrid(torch.arange(rings - 1), torch.arange(around), indexing="ij")
    a, b = i * around + j, i * around + (j + 1) % around
    c, d = b + around, a + around
    return points, torch.stack([a, b, c, a, c, d], -1).view(-1, 3)


@pytest.mark.skipif(not INSTALLED, reason="pytorch3d is not installed")
@pytest.mark.parametrize("size", [(64, 64), (48, 80), (80, 48)])
@pytest.mark.parametrize("cull", [-1, 0, 1])
def test_same_picture_as_spans(size, cull):
    points, faces = ball()
    middle = torch.tensor([size[1] / 2 + 3.3, size[0] / 2 - 2.1])
    views = [torch.cat([points[:, :2] * s + middle, points[:, 2:] + 4], 1) for s in (20, 27)]
    vertices = torch.stack(views)
    vertices[1, 7] = float("nan")
    ours = rasterize(vertices, faces, size, cull=cull, near=3.3)
    theirs = rasterize(vertices, faces, size, cull=cull, near=3.3, backend="pytorch3d")
    same = ours.face_index == theirs.face_index
    assert (ours.face_index >= 0).float().mean() > 0.2
    assert same.float().mean() > 0.999
    torch.testing.assert_close(ours.barycentric[same], theirs.barycentric[same])
    torch.testing.assert_close(ours.depth[same], theirs.depth[same])


@pytest.mark.skipif(INSTALLED, reason="pytorch3d is installed")
def test_missing_pytorch3d_is_named():
    with pytest.raises(InputError, match="pytorch3d"):
        rasterize(torch.zeros(1, 3, 3), torch.tensor([[0, 1, 2]]), (4, 4), backend="pytorch3d")
