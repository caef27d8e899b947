"""The background behind a person, by whichever method."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..networks.generator import AttLWBGenerator
from .network import check_background_network, fill_with_generator
from .patch import check_picture, patch_fill
from .push_pull import push_pull

METHODS = ("patch", "push_pull", "opencv", "generator")


def fill_background(
    image: Tensor,
    known: Tensor,
    method: str = "patch",
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
    generator: AttLWBGenerator | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Fill what the person hides.

    image: (3, H, W) in [-1, 1]. known: (1, H, W) bool or 0..1, 1 = background that stays
    (``background_hole``). method: "patch" copies texture (seconds at 512 px), "push_pull" is smooth
    (milliseconds), "opencv" continues edges a little (Telea), "generator" asks the background
    network of ``generator``, on ``device``. seed and progress: of "patch".
    Returns (3, H, W) in [-1, 1], exactly ``image`` where known.
    """
    check_method(method, generator)
    check_picture(image, known)
    if method == "patch":
        return patch_fill(image, known, seed, progress)
    if method == "push_pull":
        return push_pull(image[None], (known > 0.5)[None])[0]
    if method == "opencv":
        return _telea(image, known > 0.5)
    return fill_with_generator(image, known, generator, device)


def check_method(method: str, generator: AttLWBGenerator | None = None) -> None:
    """Raise an InputError unless ``method`` exists and has what it needs."""
    if method not in METHODS:
        raise InputError(f"background method must be one of {', '.join(METHODS)}; got {method!r}")
    if method == "generator":
        check_background_network(generator)


def _telea(image: Tensor, known: Tensor, radius: int = 5) -> Tensor:
    pixels = ((image.detach().cpu() + 1) * 127.5).round().clamp(0, 255).byte()
    hole = (~known[0]).cpu().numpy().astype(np.uint8)
    picture = np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())
    filled = torch.from_numpy(cv2.inpaint(picture, hole, radius, cv2.INPAINT_TELEA))
    return torch.where(known, image, (filled.permute(2, 0, 1) / 127.5 - 1).to(image))
