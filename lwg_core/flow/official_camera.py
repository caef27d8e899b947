"""The official camera strategies, in the official numbers (s, tx, ty).

Only at the door to official files and habits: a point (x, y) in metres is seen at s * (x + tx),
s * (y + ty) in a square picture of [-1, 1]. The four strategies and the stabilisation of the
reference are kept as released (iPERCore 0.2), quirks included.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor

from ..render.camera import Camera

JUMP_UP, JUMP_DOWN = 0.2, 0.1  # metres


def to_official(camera: Camera) -> Tensor:
    """Cameras as (T, 3) s, tx, ty of the square around the picture's middle.

    The square's side is the longer one of the picture, and the lens is left out.
    """
    height, width = camera.size
    middle = camera.center.new_tensor([width / 2, height / 2])
    place = (camera.center - middle) / camera.scale[:, None]
    return torch.cat([camera.scale[:, None] * 2 / max(height, width), place], 1)


def from_official(official: Tensor, like: Camera) -> Camera:
    """(T, 3) s, tx, ty -> cameras of the picture and the lens of ``like`` (one frame)."""
    height, width = like.size
    middle = like.center.new_tensor([width / 2, height / 2])
    scale = official[:, 0] * max(height, width) / 2
    return replace(
        like,
        scale=scale,
        center=middle + official[:, 1:] * scale[:, None],
        focal=None if like.focal is None else like.focal.expand(len(scale)).clone(),
        principal=None if like.principal is None else like.principal.expand(len(scale), 2).clone(),
    )


def swap_camera(
    source: Tensor, reference: Tensor, strategy: str, first: Tensor | None = None
) -> Tensor:
    """Target cameras (T, 3) from the source's and the reference's (T or 1, 3), s, tx, ty.

    smooth: the source's, moved and scaled as the reference since its ``first`` camera (its frame 0
    by default). ref_txty: the source's size at the reference's place. source, copy: either's own.
    """
    source, reference = torch.broadcast_tensors(source, reference)
    if strategy == "smooth":
        first = reference[:1] if first is None else first
        moved = source[:, 1:] + reference[:, 1:] - first[:, 1:]
        return torch.cat([source[:, :1] * reference[:, :1] / first[:, :1], moved], 1)
    if strategy == "ref_txty":
        return torch.cat([source[:, :1], reference[:, 1:]], 1)
    return {"source": source, "copy": reference}[strategy]


def stabilize(reference: Tensor, lowest: Tensor) -> Tensor:
    """Reference cameras (T, 3) with nothing left of them but the height above the ground.

    lowest: (T,) y of the lowest vertex in the body's own frame (y down), in metres. The lowest
    point stays where it is in frame 0, but for jumps, which keep their height. Travel and changes
    of depth are lost.
    """
    height = reference[:, 2]
    steady = height[0] + lowest[0] - lowest
    steady = torch.where(
        jump_frames(lowest + height), torch.minimum(height, steady), steady
    )  # y down: the smaller, the higher
    zero = torch.zeros_like(steady)
    return torch.stack([zero + 1, zero, steady], 1)


def jump_frames(feet: Tensor) -> Tensor:
    """(T,) bool: frames of a jump; ``feet`` (T,) y of the lowest point, metres, y down.

    A jump begins where the feet rise by more than JUMP_UP in one go, and ends at the first turning
    point that is not more than JUMP_DOWN above its beginning.
    """
    jumping = torch.zeros(len(feet), dtype=torch.bool, device=feet.device)
    y = feet.tolist()
    turns = [i for i in range(1, len(y) - 1) if (y[i] - y[i - 1]) * (y[i + 1] - y[i]) < 0]
    turns = [0, *turns, len(y) - 1]
    start = None
    for before, here in pairwise(turns):
        if y[before] - y[here] > JUMP_UP:
            above = (i for i in range(before, here) if y[i] < y[0])
            start = next(above, before)
        elif start is not None and y[start] - y[here] <= JUMP_DOWN:
            jumping[start : here + 1] = True
            start = None
    if start is not None:
        jumping[start:] = True
    return jumping
