"""VGG-19 up to its fifth block (Simonyan & Zisserman, 2015), for the perceptual loss.

Keys are torchvision's (``features.N.weight``), so its file ``vgg19-dcbb9e9d.pth`` loads as it is;
torchvision itself is not needed. What the loss does not look at (the last three convolutions and
the classifier) is checked for and left out.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..errors import InputError
from .strict import fill_strict

CONVOLUTIONS = (2, 2, 4, 4, 1)  # per block, as far as they are used; the fifth has four
MULTIPLES = (1, 2, 4, 8, 8)  # of the first block's width
SPARE = ("features.30.", "features.32.", "features.34.", "classifier.")
WIDEST = 256
OFFICIAL_WIDTH = 64


class VGG19(nn.Module):
    """(N, 3, H, W) -> the features after the first ReLU of each of the five blocks."""

    def __init__(self, width: int = OFFICIAL_WIDTH) -> None:
        super().__init__()
        self.width = width
        layers: list[nn.Module] = []
        self.taken = []  # places in ``features`` after which a result is kept
        channels = 3
        for block, (count, multiple) in enumerate(zip(CONVOLUTIONS, MULTIPLES, strict=True)):
            if block:
                layers.append(nn.MaxPool2d(2))
            self.taken.append(len(layers) + 1)
            for _ in range(count):
                layers += [nn.Conv2d(channels, multiple * width, 3, padding=1), nn.ReLU(True)]
                channels = multiple * width
        self.features = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        kept = []
        for place, layer in enumerate(self.features):
            x = layer(x)
            if place in self.taken:
                kept.append(x)
        return tuple(kept)


def build_vgg19(state_dict: Mapping[str, Tensor], name: str) -> VGG19:
    """The network of a state dict, float32, in eval mode, never trained.

    name: of the file, for the errors. The width is read off the shapes.
    """
    first = state_dict.get("features.0.weight")
    if first is None or first.ndim != 4 or not 0 < len(first) <= WIDEST:
        raise InputError(
            f"{name} is no VGG-19: it has no convolution features.0.weight; give torchvision's "
            "vgg19-dcbb9e9d.pth"
        )
    with torch.device("meta"):
        model = VGG19(len(first))
    return fill_strict(model, state_dict, name, "VGG-19", SPARE)
