"""G_BG: paints the background behind the person (paper section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from .blocks import ResBlock, conv3x3, instance_norm, upsampler


class BackgroundNet(nn.Module):
    """(N, 4, H, W) = [rgb * known, known] -> (N, 3, H, W) in [-1, 1], regressed whole.

    known is 1 on the background and 0 in the hole; the known pixels are not pasted back.
    """

    def __init__(self, inputs: int, widths: Sequence[int], res_blocks: int, operations) -> None:
        super().__init__()
        layers = [operations.Conv2d(inputs, widths[0], 7, padding=3), *norm_relu(widths[0])]
        for c, d in pairwise(widths):
            layers += [conv3x3(c, d, operations, stride=2), *norm_relu(d)]
        layers += [ResBlock(widths[-1], operations, norm=True) for _ in range(res_blocks)]
        outputs = widths[::-1]
        for c, d in pairwise(outputs):
            layers += [upsampler(c, d, operations, bias=False), *norm_relu(d)]
        layers += [operations.Conv2d(widths[0], 3, 7, padding=3, bias=False)]
        self.main = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.main(x))


def norm_relu(channels: int) -> list[nn.Module]:
    return [instance_norm(channels), nn.ReLU(inplace=True)]
