"""I_syn of Algorithm 1: the picture that the sources give of each target frame.

To average sources doubles what they show a pixel apart: seams, braces, eyes. So within each group
of body parts the source with the highest summed trust wins; the others only fill what it does not
show. The head takes one source, without fill: half a face from another picture is worse than none.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from .parts import GROUP_NAMES, HEAD_GROUP, group_of_part
from .prepare import PreparedSources
from .surface import FlowPixels, paint
from .trust import preference, sample_foreground

SURE = 0.01  # trust from which a pixel counts as fully shown: seen at 78 degrees, inside the mask
SOFTENING = 128  # edges of visibility fade over a 128th of the short side, at least one pixel
HEAD_SURE = 0.06  # trust at which a head pixel is worth copying: seen at 67 degrees
HEAD_SHARE = (0.4, 0.7)  # of the head shown: below the first none of it is copied


def synthesize(
    prepared: PreparedSources,
    pixels: FlowPixels,
    shape: tuple[int, int, int],
    winner: bool = True,
    fill: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """I_syn (T, 3, H, W) in [-1, 1], visibility (T, 1, H, W) and head mask (T, 1, H, W) in 0..1.

    shape: (T, H, W). winner: one source per body part; otherwise all by their trust.
    fill: unseen pixels take the colours of the vertices; otherwise 0.
    """
    colors, trust = sample_foreground(prepared.foreground, pixels.grid, pixels.score)
    groups = group_of_part(trust.device)[pixels.part]
    head = groups == HEAD_GROUP
    frame = torch.div(pixels.index, shape[1] * shape[2], rounding_mode="floor")
    preferred = torch.ones_like(trust)
    if winner:
        cell = frame * len(GROUP_NAMES) + groups
        preferred = preference(trust, cell, groups, shape[0] * len(GROUP_NAMES))

    inside = (pixels.on_mesh | (trust > 0).any(1)).to(trust.dtype)
    soften = _softener(inside, pixels.index, shape)
    winners = soften(((trust * preferred).sum(1) / SURE).clamp(max=1))
    others = (1 - winners) * ~head
    weight = trust * (preferred + (1 - preferred) * others[:, None])
    total = weight.sum(1)
    color = (weight[..., None] * colors).sum(1) / total.clamp(min=1e-6)[:, None]
    shown = soften((total / SURE).clamp(max=1))
    filler = pixels.color if fill else torch.zeros_like(pixels.color)
    color = color * shown[:, None] + filler * (1 - shown[:, None])
    sure = ((trust * preferred).sum(1) / HEAD_SURE).clamp(max=1) * head
    worth = _worth_copying(sure, head & pixels.on_mesh, frame, shape[0])
    copied = soften(soften(sure)) * worth
    packed = torch.cat([color, shown[:, None], copied[:, None]], -1)
    packed = paint(packed, pixels.index, shape).permute(0, 3, 1, 2)
    return packed[:, :3].clamp(-1, 1), packed[:, 3:4], packed[:, 4:5]


def _worth_copying(sure: Tensor, head: Tensor, frame: Tensor, frames: int) -> Tensor:
    """(M,) in 0..1, of each pixel's frame: is enough of the head shown to copy any of it?

    sure: (M,) how well each pixel is shown. head: (M,) bool, on the mesh. frame: (M,) int64.

    Of a head turned away the cheek alone is worse than what the network paints.
    """
    sums = torch.stack([sure * head, head.to(sure.dtype)])
    shown, area = sure.new_zeros(2, frames).index_add_(1, frame, sums)
    low, high = HEAD_SHARE
    return ((shown / area.clamp(min=1) - low) / (high - low)).clamp(0, 1)[frame]


def _softener(
    inside: Tensor, index: Tensor, shape: tuple[int, int, int]
) -> Callable[[Tensor], Tensor]:
    """A function that fades 0..1 values (M,) of pixels ``index`` near pixels where they are 0.

    Visibility ends hard, and hard ends leave specks. ``inside`` (M,) 0..1: pixels that count; the
    person's own outline is to stay as it is.
    """
    half = max(round(min(shape[1:]) / SOFTENING), 1)

    def box(values: Tensor) -> Tensor:
        # Shifted sums: ten times faster than avg_pool2d on a CPU.
        plane = F.pad(paint(values[:, None], index, shape)[..., 0], [half] * 4)
        rows = sum(plane[:, i : i + shape[1]] for i in range(2 * half + 1))
        return sum(rows[:, :, i : i + shape[2]] for i in range(2 * half + 1)).flatten()[index]

    share = box(inside).clamp(min=1e-6)
    return lambda values: torch.minimum(values, box(values * inside) / share)
