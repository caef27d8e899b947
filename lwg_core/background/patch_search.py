"""Nearest patches in the known part of a picture: how patches are compared and searched.

Patches are SIDE x SIDE pixels of C channels, the first three the colour. A pixel stands for the
patch around it; positions are (row, column) int64.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

RADIUS = 3
SIDE = 2 * RADIUS + 1
COMPONENTS = 20
MEAN_WEIGHT = 0.6  # of a difference in mean colour, against one in the rest of the patch
DOWN, ACROSS = 7.3, 3.6  # distance of one image height, as distance between patches
MAX_SHIFT = 0.12  # of a patch's mean colour when it is pasted; images span 2
JUMPS = (1, 4, 2)
_TRAINING = 3000
_CHUNK = 4_000_000


class Descriptor:
    """Turns every patch of a picture into a vector whose squared distances compare patches.

    The leading principal components of the patches without their mean colour, the mean colour, and
    the position: (H * W, COMPONENTS + 5).
    """

    def __init__(self, pixels: Tensor, sources: Tensor, generator: torch.Generator) -> None:
        """pixels: (C, H, W). sources: (H, W) bool, the patches to learn the components from."""
        chosen = sources.nonzero()
        if len(chosen) > _TRAINING:
            chosen = chosen[torch.randperm(len(chosen), generator=generator)[:_TRAINING]]
        channels = len(pixels)
        patches = cut(pixels, chosen).view(len(chosen), channels, -1)
        means = torch.zeros_like(patches)
        means[:, :3] = patches[:, :3].mean(2, keepdim=True)
        centred = (patches - means).flatten(1).double()
        components = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -COMPONENTS:].T
        components = components.to(pixels).view(-1, channels, SIDE, SIDE)
        colour = torch.eye(3, channels) * (MEAN_WEIGHT / SIDE)
        self.basis = torch.cat([components, colour[..., None, None].expand(-1, -1, SIDE, SIDE)])

    def __call__(self, pixels: Tensor) -> Tensor:
        height, width = pixels.shape[1:]
        padded = F.pad(pixels[None], (RADIUS,) * 4, mode="replicate")
        values = F.conv2d(padded, self.basis)[0]
        row = torch.arange(height)[:, None].expand(height, width)
        column = torch.arange(width).expand(height, width)
        where = torch.stack([row * (DOWN / height), column * (ACROSS / height)])
        return torch.cat([values, where]).flatten(1).T.contiguous()


def mean_shift(wanted: Tensor, found: Tensor) -> Tensor:
    """(T, 3) colour to add to found patches: their way to the wanted mean colour, limited."""
    mean = slice(COMPONENTS, COMPONENTS + 3)
    shift = (wanted[:, mean] - found[:, mean]) / (MEAN_WEIGHT * SIDE)
    return shift.clamp(-MAX_SHIFT, MAX_SHIFT)


def cut(pixels: Tensor, centres: Tensor) -> Tensor:
    """(T, C * SIDE * SIDE) patches of (C, H, W) at centres (T, 2); the edge is repeated."""
    padded = F.pad(pixels[None], (RADIUS,) * 4, mode="replicate")[0]
    step = torch.arange(SIDE)
    rows, columns = centres[:, 0, None, None] + step[:, None], centres[:, 1, None, None] + step
    return padded[:, rows, columns].transpose(0, 1).flatten(1)


def search_all(wanted: Tensor, offered: Tensor) -> Tensor:
    """(T,) index of the nearest of ``offered`` (S, D) to each of ``wanted`` (T, D)."""
    lengths = offered.square().sum(1)
    chunks = wanted.split(max(1, _CHUNK // len(offered)))
    return torch.cat([torch.addmm(lengths, c, offered.T, alpha=-2).argmin(1) for c in chunks])


def patch_match(
    wanted: Tensor,
    described: Tensor,
    match: Tensor,
    targets: Tensor,
    number: Tensor,
    sources: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Better matches (T, 2) for the targets (T, 2), from ``match`` (T, 2).

    wanted: (T, D) descriptors of the targets. described: (H * W, D) of the whole picture.
    number: (H, W) index into the targets or -1. sources: (H, W) bool, what may be matched.

    All targets move at once: each tries the continuation of the matches of its neighbours at
    JUMPS pixels, then random sources at ever smaller distance of its own.
    """
    height, width = sources.shape
    limit = targets.new_tensor([height - 1, width - 1])
    match = match.clone()
    best = (wanted - described[match[:, 0] * width + match[:, 1]]).square().sum(1)

    def attempt(candidate: Tensor, possible: Tensor) -> None:
        inside = candidate.minimum(limit).clamp(min=0)
        possible &= (inside == candidate).all(1) & sources[inside[:, 0], inside[:, 1]]
        tried = possible.nonzero()[:, 0]
        candidate = candidate[tried]
        found = described[candidate[:, 0] * width + candidate[:, 1]]
        distance = (wanted[tried] - found).square_().sum(1)
        better = distance < best[tried]
        best[tried[better]] = distance[better]
        match[tried[better]] = candidate[better]

    for jump in JUMPS:
        for way in ((0, jump), (jump, 0), (0, -jump), (-jump, 0)):
            step = targets.new_tensor(way)
            neighbour = (targets + step).minimum(limit).clamp(min=0)
            other = number[neighbour[:, 0], neighbour[:, 1]]
            candidate = match[other.clamp(min=0)] - step
            attempt(candidate, (other >= 0) & (candidate != match).any(1))
    reach = max(height, width) // 2
    while reach >= 1:
        candidate = match + torch.randint(-reach, reach + 1, match.shape, generator=generator)
        attempt(candidate, torch.ones_like(best, dtype=torch.bool))
        reach //= 3
    return match


def peel(pixels: Tensor, known: Tensor, sources: Tensor) -> Tensor:
    """A first guess (C, H, W), ring by ring from the hole's border inwards.

    Each pixel of a ring copies the centre of the source patch that best fits what is known (or
    was filled before) of its own patch. pixels: (C, H, W). known, sources: (H, W) bool.
    """
    pixels, known = pixels.clone(), known.clone()
    channels, height, _ = pixels.shape
    centres = sources.nonzero()
    offered = cut(pixels, centres)
    squares = offered.square()
    weight = pixels.new_tensor([DOWN, ACROSS]) / (height * SIDE * channels**0.5)
    shift_limit = pixels.new_tensor([MAX_SHIFT] * 3 + [0.0] * (channels - 3))[:, None]
    while not known.all():
        near = F.max_pool2d(known[None].float(), 3, 1, 1)[0] > 0
        ring = ~known & near
        targets = ring.nonzero()
        wanted = cut(pixels, targets)
        mask = cut(known[None].to(pixels).expand(channels, -1, -1), targets)
        masked = wanted * mask
        distance = (masked * wanted).sum(1, keepdim=True) - 2 * masked @ offered.T
        distance = (distance + mask @ squares.T) / mask.sum(1, keepdim=True)
        apart = torch.cdist(targets * weight, centres * weight)
        nearest = (distance + apart.square()).argmin(1)
        difference = (masked - offered[nearest] * mask).view(-1, channels, SIDE * SIDE).sum(2)
        shift = (difference / mask.view(difference.shape + (-1,)).sum(2).clamp(min=1)).T
        source = centres[nearest]
        copied = pixels[:, source[:, 0], source[:, 1]]
        pixels[:, targets[:, 0], targets[:, 1]] = copied + shift.clamp(-shift_limit, shift_limit)
        known |= ring
    return pixels
