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
# The lowest SOLES of the person cast a shadow: an ellipse around them always belongs to the hole, a
# wider one where the picture is darker than its surroundings by SHADE. Shares of the height; images
# span 2.
SOLES, SHADOW, LONG_SHADOW, SHADE = 0.06, (0.06, 0.04), (0.16, 0.07), 0.08
# A held thing lies within REACH of a hand, is at most LARGEST of the person's area, and differs
# from its surroundings by CONTRAST and by CLEAR times what is usual there.
REACH, LARGEST, CONTRAST, CLEAR = 0.16, 0.25, 0.25, 2.5


def background_hole(
    mask: Tensor, image: Tensor | None = None, hands: Tensor | None = None, grow: float = GROW
) -> Tensor:
    """(1, H, W) bool, True where the background is certain.

    mask: (1, H, W) in 0..1, 1 = person.
    image: (3, H, W) in [-1, 1], to find long shadows and held things; None = do not look.
    hands: (K, 2) pixel positions (x, y) where held things are looked for; None = nowhere.
    grow: how far the mask grows, as a share of the person's height.
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
    soles = person.copy()
    soles[: max(int(rows[-1] - SOLES * height), 0)] = False
    hole = _within(person, margin) | _dilate(soles, SHADOW, height)
    if image is not None:
        found = _long_shadow(image, hole, _dilate(soles, LONG_SHADOW, height))
        for hand in [] if hands is None else hands.tolist():
            found |= _held(image, person, hole, hand, REACH * height)
        if found.any():
            hole |= _within(found, margin)
    return ~torch.from_numpy(hole)[None].to(mask.device)


def _within(shape: np.ndarray, distance: float) -> np.ndarray:
    return cv2.distanceTransform((~shape).astype(np.uint8), cv2.DIST_L2, 5) <= distance


def _dilate(shape: np.ndarray, shares: tuple[float, float], height: float) -> np.ndarray:
    """Grown by an ellipse of half-axes ``shares`` (across, down) of the height."""
    across, down = (max(round(share * height), 1) for share in shares)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * across + 1, 2 * down + 1))
    return cv2.dilate(shape.astype(np.uint8), kernel) > 0


def _usual(image: Tensor, region: np.ndarray) -> Tensor:
    """The picture (3, H, W) with ``region`` smoothly replaced by what surrounds it."""
    around = torch.from_numpy(~region).to(image.device)
    return push_pull(image[None], around[None, None])[0]


def _touching(shape: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The connected parts of ``shape`` that touch ``hole``, speckles removed."""
    opened = cv2.morphologyEx(shape.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    _, label = cv2.connectedComponents(opened, connectivity=8)
    parts = np.unique(label[_within(hole, 2.0)])
    return np.isin(label, parts[parts > 0])


def _long_shadow(image: Tensor, hole: np.ndarray, region: np.ndarray) -> np.ndarray:
    region = region & ~hole
    darker = (_usual(image, region | hole) - image).mean(0).cpu().numpy()
    darker = cv2.GaussianBlur(darker, (0, 0), 1.5)
    return _touching(region & (darker > SHADE), hole)


def _held(
    image: Tensor, person: np.ndarray, hole: np.ndarray, hand: list[float], reach: float
) -> np.ndarray:
    """A thing next to a hand that stands out from what surrounds both.

    Conservative: what goes on beyond the hand's neighbourhood is furniture or the horizon and
    stays, and among strong texture nothing stands out.
    """
    rows, columns = np.ogrid[: hole.shape[0], : hole.shape[1]]
    distance = np.hypot(columns + 0.5 - hand[0], rows + 0.5 - hand[1])
    around = (distance < reach) & ~hole
    if not around.any():
        return np.zeros_like(hole)
    usual = _usual(image, (distance < reach) | hole)
    difference = (image - usual).abs().amax(0).cpu().numpy()
    threshold = max(CONTRAST, CLEAR * float(np.median(difference[around])))
    found = _touching(around & (difference > threshold), hole)
    goes_on = (found & (distance > reach - 2)).any()
    return found & (not goes_on and found.sum() < LARGEST * person.sum())
