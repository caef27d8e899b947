"""Is a surface point visible in a source? A depth test, not "its face won a pixel".

At 256 px 41 % of the visible faces win no pixel, so the released rule punches holes; instead a
point is compared with the source's depth map under a tolerance. Drawn at 512 px that map misses
0.04 % of the visible points; at 256 px 0.17 %.
Around occluders the answer fades out: a fitted mesh misses the picture by a pixel or two, and the
pixels beside an arm's outline already show the arm.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..render.camera import Camera
from ..render.raster import rasterize

TOLERANCE = 0.02  # m: more than the mesh's own relief, less than half a wrist
AWAY = -0.1  # smooth normals point a little away before the surface does; depth decides there
MIN_FACING = 0.03  # what a cosine counts at least
DEPTH_SIDE = 512  # px: the depth map is up to 4 times finer than its source, until about this size
TAP_RADIUS = 0.006  # of the picture's long side: how far beyond its outline an occluder is feared
TAPS = 8


def facing(vertices: Tensor, normals: Tensor, camera: Camera) -> Tensor:
    """(T, V) cosine between the normal and the direction to the viewer, 1 = head on.

    vertices, normals: (T, V, 3) in the camera frame, as passed to ``camera.project``.
    """
    if camera.focal is None:
        return -normals[..., 2]
    rays = torch.nn.functional.normalize(vertices + camera.translation[:, None], dim=-1)
    return -(normals * rays).sum(-1)


def depth_map(projected: Tensor, faces: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, h, w) depth of what N sources see, inf on the background, finer than the sources.

    projected: (N, V, 3) pixel x, pixel y, depth on pictures of ``size`` = (height, width).
    """
    factor = min(max(math.ceil(DEPTH_SIDE / max(size)), 1), 4)
    scale = projected.new_tensor([factor, factor, 1.0])
    return rasterize(projected * scale, faces, (size[0] * factor, size[1] * factor)).depth


def cells(grid: Tensor, size: tuple[int, int], source: Tensor | None = None) -> Tensor:
    """Flat int32 index (...) into maps (S, *size) at grid (..., 2) in [-1, 1]; edges repeat.

    source: (...) which map; by default grid is (P, S, 2), one column for each.
    """
    height, width = size
    column = ((grid[..., 0] + 1) * (width / 2)).int().clamp(0, width - 1)
    row = ((grid[..., 1] + 1) * (height / 2)).int().clamp(0, height - 1)
    if source is None:
        source = torch.arange(grid.shape[1], dtype=torch.int32, device=grid.device)
    return source * (height * width) + row * width + column


def visible(depth: Tensor, grid: Tensor, point_depth: Tensor, cosine: Tensor) -> Tensor:
    """How visible P surface points are in S sources: (P, S) in 0..1, 0 = hidden or outside.

    depth: (S, h, w) from ``depth_map``. grid: (P, S, 2) positions in [-1, 1].
    point_depth: (P, S) metres. cosine: (P, S) as from ``facing``.

    A point counts when it passes the depth test itself; its value is the share of a ring of
    neighbours that pass too. Neighbours on a slanted surface lie at other depths, so their
    tolerance grows with the slant. Each test is made only where the ones before it passed: most
    points are hidden from most sources.
    """
    height, width = depth.shape[1:]
    nearest, sources = depth.reshape(-1), depth.shape[0]
    places, depths = grid.reshape(-1, 2), point_depth.reshape(-1)
    pairs = ((grid.abs() <= 1).all(-1) & (cosine > AWAY)).reshape(-1).nonzero().squeeze(1)
    cell = cells(places.index_select(0, pairs), (height, width), (pairs % sources).int())
    front = depths.index_select(0, pairs) <= nearest.index_select(0, cell) + TOLERANCE
    pairs = pairs[front]
    place, source = places.index_select(0, pairs), (pairs % sources).int()
    slant = cosine.reshape(-1).index_select(0, pairs).clamp(0.25, 1)
    slack = depths.index_select(0, pairs) - TOLERANCE / slant
    radius = 2 * TAP_RADIUS * max(height, width)
    passed = torch.zeros_like(slack)
    for tap in range(TAPS):
        angle = 2 * math.pi * tap / TAPS
        step = grid.new_tensor([math.cos(angle) / width, math.sin(angle) / height]) * radius
        cell = cells(place + step, (height, width), source)
        passed += slack <= nearest.index_select(0, cell)
    # Half of the ring may be lost before trust is: an outline cuts a ring in two.
    share = ((passed / TAPS - 0.25) / 0.75).clamp(0, 1)
    return torch.zeros_like(depths).index_copy(0, pairs, share).view_as(point_depth)
