"""The fill of official weights: their background network, G_BG (paper section 3.2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InputError
from ..networks.generator import AttLWBGenerator
from .patch import check_picture

LONGEST = 512  # px, the side of the pictures that the official network was trained on


@torch.no_grad()
def fill_with_generator(
    image: Tensor,
    known: Tensor,
    generator: AttLWBGenerator,
    device: torch.device | str | None = None,
) -> Tensor:
    """Paint the unknown part of a picture with a generator's background network.

    image: (3, H, W) in [-1, 1]. known: (1, H, W) bool or 0..1, above 0.5 = keep.
    device: where the network runs; None = where its weights are.
    Returns (3, H, W) in [-1, 1], exactly ``image`` where known. The network regresses the whole
    picture, at most LONGEST px a side; only what it says about the hole is taken.
    """
    check_picture(image, known)
    check_background_network(generator)
    device = next(generator.parameters()).device if device is None else device
    kept = known > 0.5
    size = network_size(image.shape[1:], generator.config.multiple)
    hole = F.adaptive_max_pool2d((~kept).float(), size)  # whatever touches the hole is unknown
    small = F.interpolate(image[None].float(), size, mode="area")
    inputs = torch.cat([small * (1 - hole), (1 - hole)[None]], 1)
    painted = generator.background(inputs.to(device)).to(small)
    painted = F.interpolate(painted, image.shape[1:], mode="bicubic", antialias=True)[0]
    return torch.where(kept, image, painted.clamp(-1, 1).to(image))


def check_background_network(generator: AttLWBGenerator | None) -> None:
    """Raise an InputError unless this generator can paint backgrounds."""
    if generator is None:
        raise InputError(
            "the background method 'generator' needs a generator that has a background network, "
            "as the official weights; give one, or use another method"
        )
    if not generator.config.background:
        raise InputError(
            "this generator has no background network, as the official weights have one; use "
            "another background method, such as 'patch'"
        )


def network_size(size: tuple[int, int], multiple: int) -> tuple[int, int]:
    """The size nearest to (height, width) that the network takes, at most LONGEST px a side."""
    factor = min(1.0, LONGEST / max(size)) / multiple
    # Instance norm takes no single pixel: two of them at the smallest resolution.
    height, width = (max(round(side * factor), 2) * multiple for side in size)
    return height, width
