"""Windows around the person: the networks only need to see where the person is.

A window is (top, left, height, width) in pixels, its sides multiples of 8 (three stride-2 stages).
Cropping the target is slicing, since flow values are absolute source coordinates; cropping a source
also moves those coordinates.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..body.model import BodyModel
from ..body.params import SmplParams

Window = tuple[int, int, int, int]
CHUNK = 32  # frames whose vertices are held at a time


def person_window(masks: Tensor, margin: float = 0.08, multiple: int = 8) -> Window:
    """Smallest window that holds every person pixel plus a margin.

    masks: (N, 1, H, W), person where > 0.05. margin: share of the person's longer side added on
    each side. Returns the whole image when no pixel is set.
    """
    height, width = masks.shape[-2:]
    found = (masks > 0.05).flatten(0, 1).any(0)
    if not found.any():
        return 0, 0, height, width
    rows = found.any(1).nonzero().flatten()
    columns = found.any(0).nonzero().flatten()
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    left, right = int(columns[0]), int(columns[-1]) + 1
    pad = round(margin * max(bottom - top, right - left))
    return padded_window((top, left, bottom, right), pad, (height, width), multiple)


def padded_window(
    box: tuple[int, int, int, int], pad: int, size: tuple[int, int], multiple: int = 8
) -> Window:
    """Smallest window that holds a box plus ``pad`` pixels, as far as the image reaches.

    box: (top, left, bottom, right), whole pixels, may lie partly outside. size: (height, width).
    """
    top, left, bottom, right = box
    top, height = _fit(top - pad, bottom + pad, size[0], multiple)
    left, width = _fit(left - pad, right + pad, size[1], multiple)
    return top, left, height, width


def _fit(start: int, stop: int, limit: int, multiple: int) -> tuple[int, int]:
    """Start and length of a span inside [0, limit), its length rounded up to the multiple."""
    shown = max(min(stop, limit) - max(start, 0), 1)
    length = min(-(-shown // multiple) * multiple, limit)
    return min(max(start, 0), limit - length), length


def crop(images: Tensor, window: Window) -> Tensor:
    """(..., H, W) -> (..., height, width)."""
    top, left, height, width = window
    return images[..., top : top + height, left : left + width]


def crop_grid(grid: Tensor, window: Window) -> Tensor:
    """Flow (..., H, W, 2) of a cropped target."""
    top, left, height, width = window
    return grid[..., top : top + height, left : left + width, :]


def move_to_source_window(grid: Tensor, size: tuple[int, int], window: Window) -> Tensor:
    """Flow values (..., 2) in [-1, 1] of a source of ``size`` -> of its crop.

    The sentinel -2 (invalid) stays. Coordinates outside the crop land outside [-1, 1].
    """
    top, left, height, width = window
    x = ((grid[..., 0] + 1) / 2 * size[1] - left) / width * 2 - 1
    y = ((grid[..., 1] + 1) / 2 * size[0] - top) / height * 2 - 1
    moved = torch.stack([x, y], -1)
    return torch.where((grid <= -2).all(-1, keepdim=True), grid, moved)


def person_boxes(target: SmplParams, body: BodyModel, offsets: Tensor | None) -> Tensor:
    """(T, 4) left, top, right, bottom of the mesh in pixels; NaN where it is behind the viewer."""
    boxes = []
    for start in range(0, len(target), CHUNK):
        part = target.select(slice(start, start + CHUNK))
        points = part.camera.project(body.vertices(part.pose, part.betas, offsets))
        points = points.where(points[..., 2:] > part.camera.near, torch.nan)[..., :2]
        boxes.append(torch.cat([points.amin(1), points.amax(1)], 1))
    return torch.cat(boxes)


def person_box(
    target: SmplParams, body: BodyModel, offsets: Tensor | None
) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) in pixels of the mesh in all frames; NaN if it has no picture."""
    boxes = person_boxes(target, body, offsets)
    left, top = boxes[:, :2].amin(0).tolist()
    right, bottom = boxes[:, 2:].amax(0).tolist()
    return left, top, right, bottom
