"""The official texture path: a foreground grown outwards, and one UV texture from all sources."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..render.raster import Raster
from .field import SENTINEL

NEAREST = 3
VISIBLE_KERNEL = 13
LOW, HIGH = 0.1, 0.9
EPSILON = 1e-5
MAX_DISTANCES = 1 << 22  # distance entries in flight

# Neighbour of a pixel by direction, 45 degrees apart and anticlockwise: (row, column).
_DIRECTIONS = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))


def sample_map(raster: Raster, triangles: Tensor) -> Tensor:
    """(N, S, H, W, 2): corner values (S, F, 3, 2) mixed by N rasters; SENTINEL off the mesh."""
    face = raster.face_index.flatten()
    index = (face >= 0).nonzero().squeeze(1)
    weights = raster.barycentric.view(-1, 3)[index]
    mixed = (weights[:, :, None] * triangles[:, face[index].long()]).sum(2)
    grid = triangles.new_full((len(triangles), len(face), 2), SENTINEL)
    grid = grid.index_copy(1, index, mixed)
    return grid.unflatten(1, raster.face_index.shape).transpose(0, 1)


def thin_edges(mask: Tensor) -> Tensor:
    """(H, W) bool: the thinned outline of a mask (1, H, W), by the official Canny filter.

    Its quirk decides which pixels are sampled: the gradient's angle is doubled before it is
    rounded to 45 degrees, so horizontal outlines are thinned along themselves and mostly vanish.
    """
    line = torch.linspace(-1, 1, 3, dtype=torch.float64)
    squared = line[:, None] ** 2 + line[None] ** 2
    gauss = torch.exp(-squared / 2) / (2 * math.pi)
    slope = line[None] / torch.where(squared == 0, 1.0, squared)

    def convolve(picture: Tensor, kernel: Tensor) -> Tensor:
        return F.conv2d(picture, kernel.to(picture)[None, None], padding=1)

    smooth = convolve(mask[None], gauss / gauss.sum())
    across, along = convolve(smooth, slope), convolve(smooth, slope.T.contiguous())
    strength = (across**2 + along**2) ** 0.5
    angle = torch.atan(along / across) * (360 / math.pi) + 180
    sector = torch.round(angle / 45) % 8  # NaN where flat: no sector
    height, width = mask.shape[1:]
    padded = F.pad(strength, (1, 1, 1, 1))
    rises = [
        strength - padded[..., 1 + r : 1 + r + height, 1 + c : 1 + c + width] > 0
        for r, c in _DIRECTIONS
    ]
    for direction in range(4):
        chosen = (sector == direction) | (sector == direction + 4)
        peak = rises[direction] & rises[direction + 4]
        strength = torch.where(chosen & ~peak, 0.0, strength)
    level = ((strength > LOW).to(mask) + (strength > HIGH).to(mask)) / 2
    linked = convolve(level, torch.full((3, 3), 1.25)) > 1
    return ((level == 1) | ((level == 0.5) & linked))[0, 0]


def morph_image(image: Tensor, confident: Tensor, outpad: Tensor) -> Tensor:
    """(3, H, W): the confident foreground of image (3, H, W), grown over the out-padded silhouette.

    confident, outpad: (1, H, W) 0/1. Each grown pixel mixes its three nearest outline pixels with
    weights d^2 / sum d^2: the official code weighs the farther ones more.
    """
    grown = (outpad * (1 - confident))[0].nonzero()
    outline = thin_edges(confident).nonzero()
    result = image * confident
    if len(outline) < NEAREST:
        return result
    colors = image[:, outline[:, 0], outline[:, 1]]
    for rows in grown.split(max(MAX_DISTANCES // len(outline), 1)):
        squared = (rows[:, None] - outline[None]).square().sum(-1).to(image.dtype)
        nearest, index = squared.topk(NEAREST, largest=False)
        weights = nearest / nearest.sum(1, keepdim=True)
        result[:, rows[:, 0], rows[:, 1]] = (colors[:, index] * weights).sum(-1)
    return result


def merge_textures(images: Tensor, grid: Tensor, visible_grid: Tensor) -> Tensor:
    """(1, 3, h, w) UV texture of S sources: the first, but others where only they see the texel.

    images: (S, 3, H, W). grid, visible_grid: (S, h, w, 2) where each texel lies in each source,
    all of them and the visible ones.
    """
    textures = F.grid_sample(images, grid, align_corners=False)
    shown = F.grid_sample(torch.ones_like(images[:, :1]), visible_grid, align_corners=False)
    window = torch.ones(1, 1, VISIBLE_KERNEL, VISIBLE_KERNEL).to(shown)
    shown = (F.conv2d(shown, window, padding=VISIBLE_KERNEL // 2) >= 1).to(shown)
    count = shown[1:].sum(0)
    others = (textures[1:] * shown[1:]).sum(0) / (count + EPSILON)
    return torch.where((shown[0] == 0) & (count > 0), others, textures[0])[None]
