"""The layouts in which pose nodes store one person, and the one that we keep.

Ours: the 18 keypoints of OpenPose's COCO model, its six foot points, and two more rows for the
middle of the knuckles of the left and the right hand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real

import numpy as np
from torch import Tensor

from ..errors import InputError

KEYPOINT_NAMES = (
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist "
    "right_hip right_knee right_ankle left_hip left_knee left_ankle right_eye left_eye "
    "right_ear left_ear "
    "left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel"
).split()
BODY_COUNT = 18
ROWS = len(KEYPOINT_NAMES) + 2
LEAST_SCORE = 0.3  # pose nodes neither draw nor pass on a point of which they are less certain

FROM_BODY_25 = (*range(8), *range(9, 25))  # without 8, the middle of the hips
# COCO-WholeBody: COCO's 17 (no neck), the same six foot points, 68 of the face, 21 of each hand.
FROM_WHOLEBODY = (0, 0, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3, *range(17, 23))
COUNTS = (18, 24, 25, 133, 134)  # COCO, with feet, BODY_25, COCO-WholeBody, with a neck
FACE_AND_HANDS = 110
# Points of the face that stand in for the body's own where those are missing.
FROM_FACE = {"nose": [30], "right_eye": list(range(36, 42)), "left_eye": list(range(42, 48))}
KNUCKLES = [5, 9, 13, 17]
HAND_REACH = 0.06  # of the person's extent: how far a hand's root may lie from the wrist


def read_person(person: object, name: str) -> np.ndarray:
    """One entry of 'people' -> (26, 3) x, y, confidence as stored; zeros where missing."""
    if not isinstance(person, Mapping):
        raise InputError(f"POSE_KEYPOINT: {name} must be an object with 'pose_keypoints_2d'")

    def read(key: str, *counts: int) -> np.ndarray:
        return _triples(person.get(key), f"{key} of {name}", counts)

    body = read("pose_keypoints_2d", *COUNTS)
    feet = read("foot_keypoints_2d", 6)
    face = read("face_keypoints_2d", 68, 70)
    hands = [read(f"hand_{side}_keypoints_2d", 21) for side in ("left", "right")]
    if len(body) > FACE_AND_HANDS:
        body, face, *hands = np.split(body, np.cumsum([len(body) - FACE_AND_HANDS, 68, 21]))
    if len(body) == 25:
        body = body[list(FROM_BODY_25)]
    elif len(body) == 23:
        body = body[list(FROM_WHOLEBODY)]
        body[1] = _middle(body[[2, 5]])
    points = np.zeros((ROWS, 3))
    points[: len(body)] = body
    if len(feet):
        points[BODY_COUNT : len(KEYPOINT_NAMES)] = feet
    if len(face):
        for key, rows in FROM_FACE.items():
            number = KEYPOINT_NAMES.index(key)
            if points[number, 2] == 0:
                points[number] = _middle(face[rows])
    _place_hands(points, [hand for hand in hands if len(hand) and hand[0, 2] > 0])
    return points


def _place_hands(points: np.ndarray, hands: list[np.ndarray]) -> None:
    """Sets the last two rows of a person (26, 3) from hands (21, 3).

    A hand is that of the wrist it starts at: producers disagree about which one is the left one.
    """
    if not hands:
        return
    reach = HAND_REACH * extent(points)
    for row, side in ((-2, "left"), (-1, "right")):
        wrist = points[KEYPOINT_NAMES.index(f"{side}_wrist")]
        apart = [float(np.hypot(*(hand[0, :2] - wrist[:2]))) for hand in hands]
        if wrist[2] > 0 and min(apart) <= reach:
            points[row] = _middle(hands[int(np.argmin(apart))][KNUCKLES])


def _middle(points: np.ndarray) -> np.ndarray:
    """(3,) mean of points that were all found, else 0."""
    return points.mean(0) * (points[:, 2] > 0).all()


def extent(points: np.ndarray) -> float:
    """Diagonal of the box around the points (N, 3) with a confidence; -1 without any."""
    seen = points[points[:, 2] > 0, :2]
    return float(np.linalg.norm(np.ptp(seen, axis=0))) if len(seen) else -1.0


def _triples(values: object, name: str, counts: Sequence[int]) -> np.ndarray:
    """Flat numbers -> (n, 3), 0 where missing; None and an empty list mean no point."""
    if isinstance(values, np.ndarray | Tensor):
        values = values.tolist()
    if values is None or (isinstance(values, list | tuple) and not values):
        return np.zeros((0, 3))
    expected = ", ".join(str(3 * n) for n in counts)
    if not isinstance(values, list | tuple) or len(values) not in [3 * n for n in counts]:
        got = f"{len(values)}" if isinstance(values, list | tuple) else type(values).__name__
        raise InputError(f"POSE_KEYPOINT: {name} must be a list of numbers ({expected}); got {got}")
    if not all(v is None or isinstance(v, Real) for v in values):
        raise InputError(f"POSE_KEYPOINT: {name} holds something that is not a number")
    # Python integers have no bound: what no float can hold is as missing as null and infinity.
    clean = [math.nan if v is None or not abs(v) < 1e30 else float(v) for v in values]
    points = np.array(clean).reshape(-1, 3)
    nowhere = (points[:, :2] == 0).all(1) | (points[:, :2] == -1).all(1)
    points[~np.isfinite(points).all(1) | ~(points[:, 2] >= LEAST_SCORE) | nowhere] = 0
    points[:, 2] = points[:, 2].clip(0, 1)  # some detectors give scores above 1
    return points
