"""I_syn of Algorithm 1: the picture that the sources give of each target frame.

To average sources doubles what they show a pixel apart: seams, braces, eyes. So within each group
of body parts the source with the highest summed trust wins; the others only fill what it does not
show. The head takes one source, without fill: half a face from another picture is worse than none.
What other sources feed is another group: a face may come from one person and the hair from another.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .parts import GROUP_NAMES, HEAD_GROUP, group_of_part
from .prepare import PreparedSources
from .surface import FlowPixels, paint
from .trust import preference, sample_foreground

HEAD_SURE = 0.06  # facing^3 at which a head pixel is worth copying: seen at 67 degrees
HEAD_SHARE = (0.4, 0.7)  # of the head shown: below the first none of it is copied
HEAD_FADE = 64  # the copied head fades over a 64th of the short side


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
    colors, sure = sample_foreground(prepared.foreground, pixels.grid)
    trust = pixels.score * sure
    groups = group_of_part(trust.device)[pixels.part]
    head = groups == HEAD_GROUP
    frame = torch.div(pixels.index, shape[1] * shape[2], rounding_mode="floor")
    preferred = torch.ones_like(trust)
    if winner:
        labels = len(GROUP_NAMES) * len(prepared.patterns)
        cell = frame * labels + groups + len(GROUP_NAMES) * pixels.piece
        preferred = preference(trust, cell, groups, shape[0] * labels)

    shown = sure * pixels.clear
    missing = (1 - (shown * preferred).amax(1)) * ~head
    weight = trust * (preferred + (1 - preferred) * missing[:, None])
    weight = weight / weight.sum(1, keepdim=True).clamp(min=1e-9)
    color = (weight[..., None] * colors).sum(1)
    visibility = (weight * shown).sum(1, keepdim=True)
    filler = pixels.color if fill else torch.zeros_like(pixels.color)
    color = color * visibility + filler * (1 - visibility)

    crisp = sure * torch.minimum(pixels.score / HEAD_SURE, pixels.seen)
    copied = (crisp * preferred).amax(1) * head
    copied = copied * _worth_copying(copied, head & pixels.on_mesh, frame, shape[0])
    packed = torch.cat([color, visibility, copied[:, None]], -1)
    packed = paint(packed, pixels.index, shape).permute(0, 3, 1, 2)
    return packed[:, :3].clamp(-1, 1), packed[:, 3:4], fade(packed[:, 4:5])


def _worth_copying(sure: Tensor, head: Tensor, frame: Tensor, frames: int) -> Tensor:
    """(M,) in 0..1, of each pixel's frame: is enough of the head shown to copy any of it?

    sure: (M,) how well each pixel is shown. head: (M,) bool, on the mesh. frame: (M,) int64.

    Of a head turned away the cheek alone is worse than what the network paints.
    """
    sums = torch.stack([sure * head, head.to(sure.dtype)])
    shown, area = sure.new_zeros(2, frames).index_add_(1, frame, sums)
    low, high = HEAD_SHARE
    return ((shown / area.clamp(min=1) - low) / (high - low)).clamp(0, 1)[frame]


def fade(mask: Tensor) -> Tensor:
    """(T, 1, H, W) mask that falls smoothly to 0 towards its edge, inside it."""
    half = max(round(min(mask.shape[2:]) / HEAD_FADE / 2), 1)
    height, width, window = *mask.shape[2:], 2 * half + 1
    smooth = mask
    for _ in range(2):
        # Shifted sums: ten times faster than avg_pool2d on a CPU.
        padded = F.pad(smooth, [half] * 4)
        rows = sum(padded[:, :, i : i + height] for i in range(window))
        smooth = sum(rows[..., i : i + width] for i in range(window)) / window**2
        smooth = torch.minimum(mask, smooth)
    return smooth
