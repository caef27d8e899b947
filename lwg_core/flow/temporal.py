"""The previous frame as one more source: the attention's temporal inputs (paper sec. 3.3).

The flow to the previous frame is that of the meshes: for every pixel that sees the mesh, where the
same surface point was one frame ago, if it was seen there.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .chunk import FlowChunk
from .field import SENTINEL, normalize_pixels
from .surface import blend, paint
from .visibility import TOLERANCE, cells


@dataclass(frozen=True)
class Past:
    """One painted frame.

    part: its composed flow, T = 1. colour: (1, 3, H, W) in [-1, 1]. matte: (1, 1, H, W), 1 =
    person.
    """

    part: FlowChunk
    colour: Tensor
    matte: Tensor


def past_inputs(past: Past) -> Tensor:
    """(1, 8, H, W) source stream of the painted frame: as ``prepare.source_inputs``."""
    part, alpha = past.part, past.matte
    return torch.cat([past.colour * alpha, part.code, part.coverage, alpha], 1)


def past_flow(part: FlowChunk, past: Past, faces: Tensor) -> Tensor:
    """(1, 1, H, W, 2) from the frame ``part`` (T = 1) to the one before, -2 where not seen there.

    faces: (F, 3) of the body model. Coordinates in [-1, 1], edges at +-1.
    """
    grid, seen = surface_motion(part, past.part, faces)
    return torch.where(seen[..., None], grid, SENTINEL)[:, None]


def surface_motion(now: FlowChunk, before: FlowChunk, faces: Tensor) -> tuple[Tensor, Tensor]:
    """Where the surface that each pixel of T frames sees lay in T other frames of the same size.

    Returns coordinates (T, H, W, 2) in [-1, 1], -2 off the mesh, and whether the point was visible
    there (T, H, W) bool: inside the frame, and nothing before it by more than 2 cm.
    """
    raster = now.raster
    index = (raster.face_index.flatten() >= 0).nonzero().squeeze(1)
    frame = torch.div(index, raster.face_index[0].numel(), rounding_mode="floor")
    corners = faces[raster.face_index.flatten()[index].long()]
    corners = corners + (frame * before.points.shape[1])[:, None]
    weights = raster.barycentric.view(-1, 3)[index]
    points = blend(before.points.flatten(0, 1), corners, weights)
    grid = normalize_pixels(points[:, :2], before.size)
    height, width = before.size
    inside = (grid.abs() <= 1).all(-1)
    cell = frame * height * width + cells(grid[:, None], before.size)[:, 0]
    seen = inside & (points[:, 2] <= before.raster.depth.flatten()[cell] + TOLERANCE)
    shape = (len(now), height, width)
    dense = paint(grid, index, shape, SENTINEL)
    return dense, paint(seen[:, None], index, shape, False)[..., 0]


def flicker(images: Tensor, part: FlowChunk, faces: Tensor) -> Tensor:
    """How much the surface changes its colour from frame to frame: (T - 1,) in 8-bit levels.

    images: (T, 3, H, W) in [-1, 1]. part: the flow of the same T frames. Mean absolute difference
    between a frame and its predecessor carried along by the meshes, over the pixels whose surface
    point both frames show.
    """
    frames = len(images)
    now, before = part.select(slice(1, frames)), part.select(slice(0, frames - 1))
    grid, seen = surface_motion(now, before, faces)
    carried = F.grid_sample(images[:-1], grid, align_corners=False, padding_mode="border")
    change = (images[1:] - carried).abs().mean(1) * 127.5
    return (change * seen).sum((1, 2)) / seen.sum((1, 2)).clamp(min=1)
