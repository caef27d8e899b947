"""The warping strategies that the paper compares (section 5.3), interchangeable.

A strategy says how S sources reach the target stream: through what the stream is fed, and through
the block that follows each of its stages and residual blocks. Numerics and keys are official.

    concat          the sources, unwarped, beside the target's condition; no blocks
    texture         the warped pictures alone; no blocks
    add             x + sum of the warped features: the Liquid Warping Block
    mean            the mean of x and the warped features
    softgate-add    x + gate(x) * their sum
    softgate-mean   x + gate(x) * their mean
    attention       SPADE by their attention-weighted mean, see ``attention``

Notable decisions
- A source that does not show a pixel counts as zero there, in the means too, as officially.
- ``mean`` is that of the released code, over S + 1 maps; the paper's equation 9 has x + mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import AttLWB
from .blocks import conv3x3
from .config import CONCAT_SOURCES, GeneratorConfig
from .pairs import ListedFeatures, as_maps, sample


@dataclass(frozen=True)
class Strategy:
    """How the sources reach the target stream.

    block: (channels, config, operations) -> a module (x (N, C, H, W), seen) -> (N, C, H, W), where
        seen is what ``warping.warp_in_turn`` yields: (N, S, C, H, W) or ListedFeatures. None: the
        target stream is an auto-encoder that meets the sources in its inputs alone.
    inputs: (sources (B, S, C, H, W), targets (B*T, C', H', W')) -> the stream's (B*T, C", H', W').
    """

    block: Callable[[int, GeneratorConfig, object], nn.Module] | None = None
    inputs: Callable[[Tensor, Tensor], Tensor] = lambda sources, targets: targets


class AddLWB(nn.Module):
    """x + sum_s w_s."""

    def forward(self, x: Tensor, seen: Tensor | ListedFeatures) -> Tensor:
        return x + sum_of_sources(x, seen)


class MeanLWB(nn.Module):
    """(x + sum_s w_s) / (S + 1)."""

    def forward(self, x: Tensor, seen: Tensor | ListedFeatures) -> Tensor:
        return (x + sum_of_sources(x, seen)) / (count_sources(seen) + 1)


class SoftGateLWB(nn.Module):
    """x + g * sum_s w_s, or their mean, with a gate g in 0..1 per pixel and channel, from x."""

    def __init__(self, channels: int, operations, *, mean: bool) -> None:
        super().__init__()
        self.mean = mean
        self.gate_conv = nn.Sequential(
            conv3x3(channels, channels, operations),
            nn.ReLU(inplace=True),
            conv3x3(channels, channels, operations),
        )

    def forward(self, x: Tensor, seen: Tensor | ListedFeatures) -> Tensor:
        total = sum_of_sources(x, seen)
        if self.mean:
            total = total / count_sources(seen)
        return x + torch.sigmoid(self.gate_conv(x)) * total


def count_sources(seen: Tensor | ListedFeatures) -> int:
    return seen.sources if isinstance(seen, ListedFeatures) else seen.shape[1]


def sum_of_sources(x: Tensor, seen: Tensor | ListedFeatures) -> Tensor:
    """What x (N, C, H, W) sees of the sources, added up: (N, C, H, W)."""
    if not isinstance(seen, ListedFeatures):
        return seen.sum(1)
    rows = x.new_zeros(x.numel() // x.shape[1], x.shape[1])
    for block in seen.blocks:
        first, *others = (sample(seen.table, taps, weights) for taps, weights in block.slots)
        for feature in others:
            first[: len(feature)] += feature
        rows.index_copy_(0, block.pixels, first.to(rows.dtype))
    return as_maps(rows, x)


def side_by_side(sources: Tensor, targets: Tensor) -> Tensor:
    """Four sources, over and over again or the first four, and the target's condition.

    Sources (B, S, C, H, W) and targets (B*T, C', H', W') -> (B*T, 4*C + C' - 3, H', W'); the first
    three target channels, the warped pictures, are left out.
    """
    count, size = sources.shape[1], targets.shape[-2:]
    stacked = sources[:, [slot % count for slot in range(CONCAT_SOURCES)]].flatten(1, 2)
    if stacked.shape[-2:] != size:
        stacked = F.interpolate(stacked, size, mode="bilinear", align_corners=False)
    frames = len(targets) // len(sources)
    return torch.cat([stacked.repeat_interleave(frames, 0), targets[:, 3:]], dim=1)


def attention(channels: int, config: GeneratorConfig, operations) -> AttLWB:
    return AttLWB(channels, config.spade_hidden, operations, key_conv=config.key_conv)


def soft_gate(channels: int, config: GeneratorConfig, operations, *, mean: bool) -> SoftGateLWB:
    return SoftGateLWB(channels, operations, mean=mean)


STRATEGIES = {
    "concat": Strategy(inputs=side_by_side),
    "texture": Strategy(),
    "add": Strategy(lambda channels, config, operations: AddLWB()),
    "mean": Strategy(lambda channels, config, operations: MeanLWB()),
    "softgate-add": Strategy(partial(soft_gate, mean=False)),
    "softgate-mean": Strategy(partial(soft_gate, mean=True)),
    "attention": Strategy(attention),
}
