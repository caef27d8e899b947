"""Which (target pixel, source) pairs see anything: the attention works on lists of them.

The person covers a part of the window and most of its pixels are seen by few sources, so warping
dense maps of every source is mostly warping zeros. A pair whose four bilinear taps all lie outside
the source has feature 0 and logit 0: it adds exp(0) = 1 to the softmax's denominator, nothing else.
Cost follows the pairs that see something, not the number of sources.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 1 << 14  # pixels worked on at a time: what fits into a cache


@dataclass(frozen=True)
class PixelBlock:
    """n target pixels and, for each, the features that the sources show there.

    pixels: (n,) int64 index into the flattened (N, H, W) targets, by falling number of sources.
    unseen: (n, 1) float, how many sources show nothing there.
    slots: slot j holds the (j+1)-th source of those pixels that have one, the first m <= n of them:
        taps (m, 4) int64 rows of the feature table, and their bilinear weights (m, 4).
    """

    pixels: Tensor
    unseen: Tensor
    slots: tuple[tuple[Tensor, Tensor], ...]


@dataclass(frozen=True)
class ListedFeatures:
    """What the targets see of one feature map of all sources.

    table: (B*S*h*w, C) the map's pixels. blocks: the target pixels that any source shows.
    sources: S.
    """

    table: Tensor
    blocks: tuple[PixelBlock, ...]
    sources: int


def feature_table(features: Tensor) -> Tensor:
    """(B, S, C, h, w) -> (B*S*h*w, C): a view where the maps are channels-last."""
    return features.permute(0, 1, 3, 4, 2).reshape(-1, features.shape[2])


def list_pairs(flow: Tensor, size: tuple[int, int], block: int = BLOCK) -> tuple[PixelBlock, ...]:
    """The pairs of flow (B, T, S, H, W, 2) that touch feature maps (B, S, C, *size).

    Bilinear with zero padding as ``grid_sample(align_corners=False)``: a pair half outside counts.
    """
    batch, frames, sources = flow.shape[:3]
    height, width = size
    x = ((flow[..., 0] + 1) * width - 1) / 2
    y = ((flow[..., 1] + 1) * height - 1) / 2
    inside = (x > -1) & (x < width) & (y > -1) & (y < height)  # False for NaN
    inside = inside.movedim(2, -1).reshape(-1, sources)
    count = inside.sum(1)
    pixels = count.nonzero().squeeze(1)
    count, order = count[pixels].sort(descending=True, stable=True)
    pixels = pixels[order]
    # Each pixel's sources, those that it sees first, in their order.
    which = inside[pixels].to(torch.uint8).sort(dim=1, descending=True, stable=True).indices
    area = flow.shape[3] * flow.shape[4]
    frame = torch.div(pixels, area, rounding_mode="floor")
    plane = torch.div(frame, frames, rounding_mode="floor") * sources
    origin = frame * (sources * area) + pixels % area  # of source 0 in the flattened flow
    lengths = torch.bincount(count, minlength=sources + 1).flip(0).cumsum(0).flip(0)[1:].tolist()
    x, y = x.reshape(-1), y.reshape(-1)
    slots = []
    for slot, length in enumerate(lengths):
        if length == 0:
            break
        source = which[:length, slot]
        place = origin[:length] + source * area
        slots.append(
            bilinear_taps(x[place], y[place], (plane[:length] + source) * (height * width), size)
        )
    unseen = (sources - count)[:, None].to(x.dtype)
    return tuple(
        PixelBlock(
            pixels[start : start + block],
            unseen[start : start + block],
            tuple(
                (taps[start : start + block], weights[start : start + block])
                for taps, weights in slots
                if len(taps) > start
            ),
        )
        for start in range(0, len(pixels), block)
    )


def bilinear_taps(
    x: Tensor, y: Tensor, origin: Tensor, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """The four taps (m, 4) around x, y (m,) in pixels, centres at integers, and their weights.

    origin: (m,) index of each map's first pixel. Taps outside the map get weight 0.
    """
    height, width = size
    left, top = x.floor(), y.floor()
    taps, weights = [], []
    for down in (0, 1):
        row = top + down
        share_y = (1 - (y - row).abs()) * ((row >= 0) & (row < height))
        first = origin + row.clamp(0, height - 1).long() * width
        for right in (0, 1):
            column = left + right
            share_x = (1 - (x - column).abs()) * ((column >= 0) & (column < width))
            taps.append(first + column.clamp(0, width - 1).long())
            weights.append(share_x * share_y)
    return torch.stack(taps, 1), torch.stack(weights, 1)


def sample(table: Tensor, taps: Tensor, weights: Tensor) -> Tensor:
    """(m, C): the rows ``taps`` (m, 4) of the table (R, C) mixed by ``weights`` (m, 4), float32 up.

    Interpolated in the precision of the weights, whatever that of the table.
    """
    if table.dtype == weights.dtype and table.device.type != "mps":  # not there on MPS
        return F.embedding_bag(taps, table, mode="sum", per_sample_weights=weights)
    return sum(
        weights[:, k, None] * table.index_select(0, taps[:, k]) for k in range(taps.shape[1])
    )


def as_maps(rows: Tensor, like: Tensor) -> Tensor:
    """Rows (N*H*W, C), one per target pixel -> maps of the shape of ``like`` (N, C, H, W)."""
    maps = rows.view(like.shape[0], *like.shape[2:], like.shape[1])
    return maps.permute(0, 3, 1, 2).contiguous()
