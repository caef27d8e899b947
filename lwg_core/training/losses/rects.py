"""Where heads and bodies are in pictures, from points on them. Points (N, K, 2) are x, y in pixels.

Rectangles (N, 4) are whole pixels x0, x1, y0, y1, cut to the picture: x0 <= x < x1. What is outside
of the picture, or not finite, is empty, and whoever takes rectangles leaves empty ones out.
"""

from __future__ import annotations

import torch
from torch import Tensor

HEAD_MARGIN = 0.05  # of the picture's side: on the left, on the right and above (hair)
BODY_GROWTH = 1.2


def head_rects(points: Tensor, size: tuple[int, int]) -> Tensor:
    """Rectangles of heads with the official margin, none below. size: (height, width)."""
    low, high = points.amin(1), points.amax(1)
    margin = HEAD_MARGIN * points.new_tensor([size[1], size[0]])
    return whole(low - margin, high + margin * points.new_tensor([1, 0]), size)


def body_rects(points: Tensor, size: tuple[int, int]) -> Tensor:
    """Rectangles of bodies, grown about their middle as officially. size: (height, width)."""
    low, high = points.amin(1), points.amax(1)
    middle, half = (low + high) / 2, BODY_GROWTH * (high - low) / 2
    return whole(middle - half, middle + half, size)


def whole(low: Tensor, high: Tensor, size: tuple[int, int]) -> Tensor:
    """Corners (N, 2) x, y -> rectangles (N, 4) of whole pixels inside the picture."""
    limit = low.new_tensor([size[1], size[0]])
    finite = (low.isfinite() & high.isfinite()).all(1, keepdim=True)
    low, high = (
        torch.where(finite, corner, 0).floor().clamp(min=low.new_zeros(2), max=limit)
        for corner in (low, high)
    )
    return torch.stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]], 1).long()
