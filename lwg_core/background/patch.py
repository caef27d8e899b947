"""Patch-based completion of a background, coarse to fine.

Every patch that touches the hole looks for its nearest patch in the known part of the picture
(PatchMatch, Barnes et al. 2009), then the hole's pixels are voted from the patches found (the
expectation-maximisation of Wexler et al. 2007, with the texture channels and robust weights of
Newson et al. 2014).

Notable decisions:
- Patches are compared by their principal components, a seventh of their raw values. The mean colour
  counts less than the rest and may shift a little when a patch is pasted: a wall that darkens
  towards the corner stays a gradient instead of a staircase of copies.
- The position is part of the comparison, down more than across: floors stay below walls.
- Two channels hold the local gradient strength, so that a level too coarse to show grass or grout
  still knows where they belong.
- The coarsest level is peeled from the hole's border inwards. Small levels are searched
  exhaustively; large ones improve the coarser level's matches; beyond SEARCHED pixels the matches
  are only carried on and voted with the full picture's own pixels.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InputError
from .patch_search import (
    RADIUS,
    SIDE,
    Descriptor,
    mean_shift,
    patch_match,
    peel,
    search_all,
)
from .push_pull import push_pull

logger = logging.getLogger(__name__)

COARSEST = 64  # px, the longer side at which the pyramid ends
SEARCHED = 640  # px, the longer side above which matches are only carried on
EXHAUSTIVE = 3e7  # comparisons up to which a level is searched exhaustively
ROUNDS_ALL, ROUNDS_MATCH = 14, 3  # of search and vote, per level
MIN_SOURCES = 48  # patches that a level must offer
TEXTURE = 1.5  # weight of the gradient channels
DECAY = 1.3  # how much less a patch counts per pixel that it lies deeper in the hole
SHARPEN = 3.0  # exponent of the last vote's weights
FEATHER = 4.0  # px over which the fill is drawn to the colours at the hole's border


def patch_fill(
    image: Tensor,
    known: Tensor,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Tensor:
    """Complete the unknown part of a picture with patches of its known part.

    image: (3, H, W) in [-1, 1]. known: (1, H, W) bool or 0..1, above 0.5 = keep.
    seed: of the random search; the same seed gives the same picture on the same device.
    progress: called with the fraction done, may raise to stop.
    Returns (3, H, W) in [-1, 1], exactly ``image`` where known. Where hardly anything is known,
    so that no level offers MIN_SOURCES whole patches, it is the ``push_pull`` fill.
    """
    check_picture(image, known)
    known = known[0] > 0.5
    if known.all():
        return image.clone()
    generator = torch.Generator().manual_seed(seed)
    levels = _levels(image, known)
    work = [level.pixels[0].numel() * level.rounds for level in levels]
    done = 0.0

    def tick(share: float) -> None:
        nonlocal done
        done += share
        if progress is not None:
            progress(min(done / sum(work), 1.0))

    guess = match = None
    for level, cost in zip(levels, work, strict=True):
        if match is None and (level.rounds == 0 or level.sources.sum() < MIN_SOURCES):
            tick(cost)
            continue
        if match is None:
            guess = peel(level.pixels, level.known, level.sources)
        else:
            match = _carry(match, coarser, level, generator)  # noqa: F821
            guess = _double(guess, level)
        guess, match, vote = _complete(level, guess, match, generator, tick)
        coarser = level
    if match is None:
        logger.warning("the known part holds hardly a whole patch: filled smoothly instead")
        return push_pull(image[None], known[None, None])[0]
    return _paste(image, known, level, match, vote)


def check_picture(image: Tensor, known: Tensor) -> None:
    """Raise an InputError unless this is one picture with something known in it."""
    if image.ndim != 3 or image.shape[0] != 3:
        raise InputError(f"background picture must be (3, H, W) RGB; got {tuple(image.shape)}")
    if known.shape != (1, *image.shape[1:]):
        raise InputError(
            f"known mask is {tuple(known.shape)}; it must be (1, H, W) of its picture, "
            f"{(1, *image.shape[1:])}"
        )
    if not (known > 0.5).any():
        raise InputError(
            "the mask of the person covers the whole picture, so no background is left to fill "
            "from; give a mask that is 1 on the person only"
        )
