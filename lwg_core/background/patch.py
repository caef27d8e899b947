"""Patch-based completion of a background, coarse to fine.

Every patch that touches the hole looks for its nearest patch in the known part of the picture
(PatchMatch, Barnes et al. 2009), then the hole's pixels are voted from the patches found (the
expectation-maximisation of Wexler et al. 2007, with the texture channels and robust weights of
Newson et al. 2014).

Notable decisions:
- Patches are compared by their principal components, a tenth of their raw values. The mean colour
  counts less than the rest and may shift a little when a patch is pasted: a wall that darkens
  towards the corner stays a gradient instead of a staircase of copies.
- The position is part of the comparison, down more than across: floors stay below walls.
- Two channels hold the local gradient strength, so that a level too coarse to show grass or grout
  still knows where they belong.
- The coarsest level is peeled from the hole's border inwards and searched exhaustively. The others
  improve the matches of the coarser one; beyond SEARCHED pixels these are only carried on and voted
  with the full picture's own pixels.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InputError
from ..threads import one_thread
from .patch_search import RADIUS, SIDE, Descriptor, mean_shift, patch_match, peel, search_all
from .push_pull import push_pull

logger = logging.getLogger(__name__)

COARSEST = 64  # px, the longer side at which the pyramid ends
SEARCHED = 640  # px, the longer side above which matches are only carried on
FIRST_ROUNDS, ROUNDS = 14, 3  # of search and vote, on the coarsest level and on every other
MIN_SOURCES = 48  # patches that a level must offer
TEXTURE = 1.5  # weight of the gradient channels
DECAY = 1.3  # how much less a patch counts per pixel that it lies deeper in the hole
SHARPEN = 3.0  # exponent of the last vote's weights
FEATHER = 4.0  # px over which the fill is drawn to the colours at the hole's border


@dataclass(frozen=True)
class _Level:
    """One size of the picture.

    pixels: (C, H, W) colour and, where it is searched, gradient strength; 0 where unknown.
    known: (H, W) bool. sources: (H, W) bool, centres of wholly known patches.
    targets: (T, 2) centres of patches that touch the hole. number: (H, W) their index, or -1.
    trust: (T,) in 0..1, less deep inside the hole. hole: (P, 2) the pixels to fill.
    searched: whether matches are sought at this size.
    """

    pixels: Tensor
    known: Tensor
    sources: Tensor
    targets: Tensor
    number: Tensor
    trust: Tensor
    hole: Tensor
    searched: bool


@dataclass(frozen=True)
class _Matches:
    """source: (T, 2) the patch found for each target. weight: (T,) of its vote.
    shift: (T, 3) colour to add to it."""

    source: Tensor
    weight: Tensor
    shift: Tensor


@one_thread()
def patch_fill(
    image: Tensor,
    known: Tensor,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Tensor:
    """Complete the unknown part of a picture with patches of its known part.

    image: (3, H, W) in [-1, 1]. known: (1, H, W) bool or 0..1, above 0.5 = keep.
    seed: of the random search; the same seed gives the same picture. Computed on the CPU: lists of
        pixels by the ten thousand, nothing for a GPU.
    progress: called with the fraction done, may raise to stop.
    Returns (3, H, W) in [-1, 1], exactly ``image`` where known. Where so little is known that no
    size of the picture offers MIN_SOURCES whole patches, it is the ``push_pull`` fill.
    """
    check_picture(image, known)
    device, dtype = image.device, image.dtype
    image, kept = image.detach().cpu().float(), known[0].cpu() > 0.5
    if kept.all():
        return image.to(device, dtype)
    generator = torch.Generator().manual_seed(seed)
    levels = _levels(image, kept)
    costs = [len(level.targets) * (ROUNDS if level.searched else 1) for level in levels]

    def report(number: int, share: float) -> None:
        if progress is not None:
            progress((sum(costs[:number]) + share * costs[number]) / sum(costs))

    matches = coarser = None
    for number, level in enumerate(levels):
        usable = level.sources.sum() >= MIN_SOURCES and len(level.targets) > 0
        if not usable:
            matches = None
        elif matches is not None:
            matches = _carry(matches, coarser, level, generator)
        if usable and level.searched:
            matches = _complete(level, matches, generator, partial(report, number))
        report(number, 1.0)
        coarser = level
    if matches is None:
        logger.warning("the known part of the picture holds hardly a whole patch; filled smoothly")
        return push_pull(image[None], kept[None, None])[0].to(device, dtype)
    return _paste(image, kept, level, matches).to(device, dtype)


def check_picture(image: Tensor, known: Tensor) -> None:
    """Raise an InputError unless this is one picture with something known in it."""
    if image.ndim != 3 or image.shape[0] != 3:
        raise InputError(f"background picture must be (3, H, W) RGB; got {tuple(image.shape)}")
    if known.shape != (1, *image.shape[1:]):
        raise InputError(
            f"known part is {tuple(known.shape)}; it must be (1, H, W) of the size of its "
            f"picture, {(1, *image.shape[1:])}"
        )
    if not (known > 0.5).any():
        raise InputError(
            "the person covers the whole picture, so nothing is left to fill the background from; "
            "give a mask that is 1 on the person only"
        )


def _complete(
    level: _Level,
    matches: _Matches | None,
    generator: torch.Generator,
    report: Callable[[float], None],
) -> _Matches:
    """Search and vote in turn; from carried matches, or from scratch where there are none."""
    descriptor = Descriptor(level.pixels, level.sources, generator)
    described = descriptor(level.pixels)
    width = level.known.shape[1]
    own = level.targets[:, 0] * width + level.targets[:, 1]
    first = matches is None
    if first:
        guess = peel(level.pixels, level.known, level.sources)
        offered = level.sources.flatten().nonzero()[:, 0]
    else:
        guess = _vote_hole(level, matches)
    rounds = FIRST_ROUNDS if first else ROUNDS
    for turn in range(rounds):
        wanted = descriptor(guess)[own]
        if first:
            nearest = offered[search_all(wanted, described[offered])]
            source = torch.stack([nearest // width, nearest % width], 1)
        else:
            source = patch_match(
                wanted,
                described,
                matches.source,
                level.targets,
                level.number,
                level.sources,
                generator,
            )
        found = described[source[:, 0] * width + source[:, 1]]
        distance = (wanted - found).square().sum(1)
        spread = distance.quantile(0.75).clamp(min=1e-8)
        weight = (-distance / (2 * spread)).exp() + 1e-6
        matches = _Matches(source, weight, mean_shift(wanted, found))
        guess = _vote_hole(level, matches)
        report((turn + 1) / rounds)
    return matches


def _vote_hole(level: _Level, matches: _Matches) -> Tensor:
    """(C, H, W): the level's pixels, its hole voted."""
    guess = level.pixels.clone()
    guess[:, level.hole[:, 0], level.hole[:, 1]] = _vote(level, matches, level.hole).T
    return guess


def _vote(level: _Level, matches: _Matches, pixels: Tensor) -> Tensor:
    """(P, C): mean of what the patches around each of ``pixels`` (P, 2) paste there."""
    height, width = level.known.shape
    colours = level.pixels.flatten(1).T.contiguous()
    weight = matches.weight * level.trust
    source = matches.source[:, 0] * width + matches.source[:, 1]
    shift = F.pad(matches.shift, (0, colours.shape[1] - 3))
    total = colours.new_zeros(len(pixels), colours.shape[1])
    weights = colours.new_zeros(len(pixels), 1)
    # Carried matches agree in blocks of at least 2 x 2, so every other patch says the same.
    reach = range(-RADIUS, RADIUS + 1) if level.searched else range(1 - RADIUS, RADIUS, 2)
    for down in reach:
        for right in reach:
            row, column = pixels[:, 0] - down, pixels[:, 1] - right
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            patch = level.number[row.clamp(0, height - 1), column.clamp(0, width - 1)]
            inside &= patch >= 0
            patch = patch.clamp(min=0)
            share = (weight[patch] * inside)[:, None]
            total += share * (colours[source[patch] + down * width + right] + shift[patch])
            weights += share
    return total / weights.clamp(min=1e-30)


def _carry(matches: _Matches, coarse: _Level, fine: _Level, generator: torch.Generator) -> _Matches:
    """Matches of one level for the next of double size; random where they lead nowhere."""
    height, width = fine.known.shape
    limit = fine.targets.new_tensor(coarse.known.shape) - 1
    parent = torch.div(fine.targets, 2, rounding_mode="floor").minimum(limit)
    patch = coarse.number[parent[:, 0], parent[:, 1]]
    source = 2 * matches.source[patch.clamp(min=0)] + fine.targets % 2
    last = fine.targets.new_tensor([height - 1, width - 1])
    inside = source.minimum(last)
    lost = (patch < 0) | (inside != source).any(1) | ~fine.sources[inside[:, 0], inside[:, 1]]
    offered = fine.sources.nonzero()
    pick = torch.randint(len(offered), (len(source),), generator=generator)
    return _Matches(
        torch.where(lost[:, None], offered[pick], inside),
        torch.where(lost, 1e-6, matches.weight[patch.clamp(min=0)]),
        torch.where(lost[:, None], 0.0, matches.shift[patch.clamp(min=0)]),
    )


def _paste(image: Tensor, known: Tensor, level: _Level, matches: _Matches) -> Tensor:
    """The last, sharper vote, drawn to the true colours at the hole's border."""
    matches = _Matches(matches.source, matches.weight**SHARPEN, matches.shift)
    ring = (known & (level.number >= 0)).nonzero()
    error = torch.zeros_like(image)
    voted = _vote(level, matches, ring)[:, :3].T
    error[:, ring[:, 0], ring[:, 1]] = image[:, ring[:, 0], ring[:, 1]] - voted
    at_border = torch.zeros_like(known)
    at_border[ring[:, 0], ring[:, 1]] = True
    correction = push_pull(error[None], at_border[None, None])[0]
    fade = (1 - _depth(known) / FEATHER).clamp(min=0)
    filled = _vote_hole(level, matches)[:3] + correction * fade
    return torch.where(known, image, filled.clamp(-1, 1))


def _levels(image: Tensor, known: Tensor) -> list[_Level]:
    """The picture in halving sizes, coarsest first."""
    pixels, weight = image * known, known[None].to(image)
    levels = []
    gradients = None
    while True:
        searched = max(known.shape) <= SEARCHED
        shown = pixels / weight.clamp(min=1e-6) * known
        if searched:
            if gradients is None:
                gradients, certain = _gradients(shown, known)
            strength = gradients / certain.clamp(min=1e-6) * known
            levels.append(_level(torch.cat([shown, TEXTURE * strength]), known, True))
            gradients, certain = _halve(gradients), _halve(certain)
        else:
            levels.append(_level(shown, known, False))
        if max(known.shape) <= COARSEST:
            return levels[::-1]
        pixels, weight = _halve(pixels), _halve(weight)
        known = weight[0] >= 0.5


def _level(pixels: Tensor, known: Tensor, searched: bool) -> _Level:
    # A patch that leaves the picture may be a target but never a source.
    unknown = F.pad((~known)[None].float(), (RADIUS,) * 4, value=1.0)
    sources = F.max_pool2d(unknown, SIDE, 1)[0] == 0
    touched = F.max_pool2d((~known)[None].float(), SIDE, 1, RADIUS)[0] > 0
    targets = touched.nonzero()
    number = torch.full(known.shape, -1)
    number[touched] = torch.arange(len(targets))
    trust = DECAY ** -_depth(known).clamp(max=40)
    return _Level(
        pixels, known, sources, targets, number, trust[touched], (~known).nonzero(), searched
    )


def _depth(known: Tensor) -> Tensor:
    """(H, W) px from each pixel of the hole to the known part; 0 outside the hole."""
    hole = (~known).numpy().astype(np.uint8)
    return torch.from_numpy(cv2.distanceTransform(hole, cv2.DIST_L2, 5))


def _gradients(pixels: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """(2, H, W) strength of horizontal and vertical gradients around each pixel, times its
    certainty, and that certainty."""
    strength, certain = torch.zeros_like(pixels[:2]), torch.zeros_like(pixels[:2])
    across, down = known[:, 1:] & known[:, :-1], known[1:] & known[:-1]
    strength[0, :, 1:] = (pixels[:, :, 1:] - pixels[:, :, :-1]).abs().mean(0) * across
    strength[1, 1:] = (pixels[:, 1:] - pixels[:, :-1]).abs().mean(0) * down
    certain[0, :, 1:], certain[1, 1:] = across.to(pixels), down.to(pixels)
    return F.avg_pool2d(strength, 5, 1, 2), F.avg_pool2d(certain, 5, 1, 2)


def _halve(x: Tensor) -> Tensor:
    """Mean of 2x2 cells (C, H, W); an odd last row or column is paired with zeros (unknown)."""
    height, width = x.shape[-2:]
    return F.avg_pool2d(F.pad(x, (0, width % 2, 0, height % 2)), 2)
