"""The plain building blocks that the generators share.

Every block takes ``operations``: a namespace with ``Conv2d`` and ``ConvTranspose2d`` (``torch.nn``,
or one of ComfyUI's ``comfy.ops``, whose layers cast and move their weights when they are called).
Attribute names and Sequential indices are those of the official state dict, so that official files
load without a converter. Parameter-free layers (ReLU, InstanceNorm) always come from ``torch.nn``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv3x3(inputs: int, outputs: int, operations, *, stride: int = 1, bias: bool = True):
    return operations.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=bias)


def upsampler(inputs: int, outputs: int, operations, *, bias: bool = True):
    """Transposed convolution that doubles the size."""
    return operations.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=bias)


def instance_norm(channels: int) -> nn.Module:
    return nn.InstanceNorm2d(channels, affine=False)


def like_input(parameter: Tensor, x: Tensor) -> Tensor:
    """A layer's parameter in the dtype and on the device of its input.

    For the few places that use a weight without calling its layer: layers from ``comfy.ops`` may
    keep their weights in another dtype or on another device than the data.
    """
    return parameter.to(device=x.device, dtype=x.dtype)


def conv_together(x: Tensor, convs: Sequence[nn.Module]) -> tuple[Tensor, ...]:
    """Convolutions of equal kernel on the same input, evaluated as one.

    x: (N, C, H, W). Returns one (N, C_i, H, W) per convolution. Joining the weights copies them,
    which is nothing next to the second pass over x (and over its gradient) that it saves.
    """
    first = convs[0]
    weight = torch.cat([like_input(conv.weight, x) for conv in convs])
    bias = None
    if any(conv.bias is not None for conv in convs):
        bias = torch.cat(
            [
                x.new_zeros(conv.out_channels) if conv.bias is None else like_input(conv.bias, x)
                for conv in convs
            ]
        )
    out = F.conv2d(x, weight, bias, first.stride, first.padding)
    return out.split([conv.out_channels for conv in convs], dim=1)


class ResBlock(nn.Module):
    """x + conv(relu(conv(x))); with ``norm``, an InstanceNorm follows each convolution."""

    def __init__(self, channels: int, operations, *, norm: bool = False) -> None:
        super().__init__()
        layers = [conv3x3(channels, channels, operations), nn.ReLU(inplace=True)]
        layers += [conv3x3(channels, channels, operations)]
        if norm:
            conv_a, relu, conv_b = layers
            layers = [conv_a, instance_norm(channels), relu, conv_b, instance_norm(channels)]
        self.main = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.main(x)


def residual_blocks(channels: int, number: int, operations) -> nn.ModuleList:
    return nn.ModuleList(ResBlock(channels, operations) for _ in range(number))


class FullSizeSkip(nn.Module):
    """x + conv(relu(conv([x, inputs]))), all at full size. Starts as the identity."""

    def __init__(self, channels: int, inputs: int, operations) -> None:
        super().__init__()
        self.main = nn.Sequential(
            conv3x3(channels + inputs, channels, operations),
            nn.ReLU(inplace=True),
            conv3x3(channels, channels, operations),
        )

    def forward(self, x: Tensor, inputs: Tensor) -> Tensor:
        """x: (N, channels, H, W); inputs: (N, inputs, H, W)."""
        return x + self.main(torch.cat([x, inputs.to(x.dtype)], dim=1))


class Encoder(nn.Module):
    """Stages of [conv3x3 stride 2, ReLU]: (N, inputs, H, W) -> features at H/2, H/4, H/8, ..."""

    def __init__(self, inputs: int, widths: Sequence[int], operations, *, bias: bool) -> None:
        super().__init__()
        channels = [inputs, *widths]
        self.layers = nn.ModuleList(
            nn.Sequential(conv3x3(c, d, operations, stride=2, bias=bias), nn.ReLU(inplace=True))
            for c, d in pairwise(channels)
        )


class Decoder(nn.Module):
    """Stages of [transposed conv, ReLU]: (N, widths[-1], h, w) -> (N, widths[0], H, W)."""

    def __init__(self, widths: Sequence[int], operations) -> None:
        super().__init__()
        self.layers = upsampling_stages(widths, operations)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class SkipDecoder(nn.Module):
    """Decoder whose stages, except the last, are joined with the encoder feature of their size."""

    def __init__(self, widths: Sequence[int], operations) -> None:
        super().__init__()
        outputs = widths[::-1]
        self.upconvs = upsampling_stages(widths, operations)
        self.skippers = nn.ModuleList(
            nn.Sequential(
                conv3x3(widths[-2 - i] + outputs[i], outputs[i], operations), nn.ReLU(inplace=True)
            )
            for i in range(len(widths) - 1)
        )

    def forward(self, x: Tensor, skips: Sequence[Tensor]) -> Tensor:
        """x: (N, widths[-1], h, w); skips: encoder features, largest first, without x's size."""
        for upconv, skipper, skip in zip(
            self.upconvs[:-1], self.skippers, skips[::-1], strict=True
        ):
            x = skipper(torch.cat([skip, upconv(x)], dim=1))
        return self.upconvs[-1](x)


def upsampling_stages(widths: Sequence[int], operations) -> nn.ModuleList:
    outputs = widths[::-1]
    return nn.ModuleList(
        nn.Sequential(upsampler(c, d, operations), nn.ReLU(inplace=True))
        for c, d in pairwise([widths[-1], *outputs])
    )


def head(channels: int, outputs: int, operations, *, bias: bool = False) -> nn.Sequential:
    """A 5x5 output convolution (its activation belongs to the caller)."""
    return nn.Sequential(operations.Conv2d(channels, outputs, 5, padding=2, bias=bias))
