"""Which part of a picture surely is background: everything well off the person.

A pixel of the person that stays outside the hole is worse than many of the background inside it: it
is copied all over the fill. So the mask grows by a share of the person's height, more below the
feet, where the shadow lies, and around things that are held.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from .push_pull import push_pull

TOUCHED = 0.1  # mask value from which a pixel shows the person
GROW = 0.025  # of the person's height
MIN_GROW = 2.0  # px
# Shadow: the lowest SOLES of the person grow by an ellipse, all shares of its height.
SOLES, SHADOW_WIDTH, SHADOW_DROP = 0.06, 0.08, 0.045
# Held things: REACH of the height around the person; a thing is at most LARGEST of the person's
# area and differs from its surroundings by CONTRAST (images span 2) and by CLEAR times what is
# usual there.
REACH, LARGEST, CONTRAST, CLEAR = 0.16, 0.25, 0.3, 4.0
SMALLEST = 0.002


def background_hole(mask: Tensor, image: Tensor | None = None, grow: float = GROW) -> Tensor:
    """(1, H, W) bool, True where the background is certain.

    mask: (1, H, W) in 0..1, 1 = person. image: (3, H, W) in [-1, 1], to find what the person holds;
    None = do not look. grow: how far the mask grows, as a share of the person's height.
    """
    if mask.ndim != 3 or mask.shape[0] != 1:
        raise InputError(f"person mask must be (1, H, W); got {tuple(mask.shape)}")
    if image is not None and image.shape != (3, *mask.shape[1:]):
        raise InputError(
            f"picture is {tuple(image.shape)} but the person mask is {tuple(mask.shape)}; both "
            "must have the same size"
        )
    person = (mask[0] > TOUCHED).cpu().numpy()
    if not person.any():
        return torch.ones_like(mask, dtype=torch.bool)
    rows, columns = np.flatnonzero(person.any(1)), np.flatnonzero(person.any(0))
    height = float(max(np.ptp(rows), np.ptp(columns)) + 1)
    margin = max(grow * height, MIN_GROW)
    hole = _within(person, margin) | _shadow(person, rows[-1], height)
    if image is not None:
        hole |= _held(image, person, hole, height, margin)
    return ~torch.from_numpy(hole)[None].to(mask.device)


def _within(shape: np.ndarray, distance: float) -> np.ndarray:
    return cv2.distanceTransform((~shape).astype(np.uint8), cv2.DIST_L2, 5) <= distance


def _shadow(person: np.ndarray, lowest: int, height: float) -> np.ndarray:
    """The floor around the soles."""
    soles = person.copy()
    soles[: max(int(lowest - SOLES * height), 0)] = False
    across, down = max(round(SHADOW_WIDTH * height), 1), max(round(SHADOW_DROP * height), 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * across + 1, 2 * down + 1))
    return cv2.dilate(soles.astype(np.uint8), kernel) > 0


def _held(
    image: Tensor, person: np.ndarray, hole: np.ndarray, height: float, margin: float
) -> np.ndarray:
    """Things that touch the person and stand out from what surrounds both.

    Conservative: what reaches the end of the neighbourhood is furniture or the horizon and stays,
    and among strong texture nothing stands out.
    """
    nothing = np.zeros_like(hole)
    near = _within(person, REACH * height)
    if near.all():
        return nothing
    far = torch.from_numpy(~near).to(image.device)
    usual = push_pull(image[None], far[None, None])[0]
    difference = (image - usual).abs().amax(0).cpu().numpy()
    around = near & ~hole
    if not around.any():
        return nothing
    threshold = max(CONTRAST, CLEAR * float(np.median(difference[around])))
    odd = (around & (difference > threshold)).astype(np.uint8)
    odd = cv2.morphologyEx(odd, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, label, stats, _ = cv2.connectedComponentsWithStats(odd, connectivity=8)
    area = person.sum()
    touching = np.unique(label[_within(hole, 2.0)])
    end = np.unique(label[_within(~near, 2.0)])
    found = nothing.copy()
    for thing in np.setdiff1d(touching, end):
        size = stats[thing, cv2.CC_STAT_AREA] if thing else 0
        if SMALLEST * area < size < LARGEST * area:
            found |= label == thing
    return _within(found, margin) if found.any() else found
