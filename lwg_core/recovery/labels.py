"""What keypoint labels say: which joints were seen, and the mistakes that detectors make."""

from __future__ import annotations

import torch
from torch import Tensor

from ..body.params import JOINT_NAMES
from .keypoints import KEYPOINT_NAMES, MIRRORED

LEG_POINTS = ("hip", "knee", "ankle", "toe", "heel")
ARM_POINTS = ("shoulder", "elbow", "wrist")

# Joint -> keypoints at the far end of its bone, and those further down that say half as much.
_SUPPORT = {
    "pelvis": ("right_hip left_hip", "right_shoulder left_shoulder"),
    "spine1 spine2 spine3": ("right_shoulder left_shoulder", ""),
    "neck head": ("nose right_eye left_eye right_ear left_ear", "right_shoulder left_shoulder"),
    "SIDE_collar": ("SIDE_shoulder", "SIDE_elbow"),
    "SIDE_shoulder": ("SIDE_elbow", "SIDE_wrist"),
    "SIDE_elbow": ("SIDE_wrist", ""),
    "SIDE_wrist SIDE_hand": ("", "SIDE_wrist"),
    "SIDE_hip": ("SIDE_knee", "SIDE_ankle"),
    "SIDE_knee": ("SIDE_ankle", "SIDE_heel SIDE_big_toe"),
    "SIDE_ankle SIDE_foot": ("SIDE_heel SIDE_big_toe SIDE_small_toe", "SIDE_ankle"),
}


def side_swaps(count: int) -> Tensor:
    """(3, K) keypoint orders with left and right exchanged: legs, arms, legs and arms."""
    legs = [i for i in range(count) if KEYPOINT_NAMES[i].split("_")[-1] in LEG_POINTS]
    arms = [i for i in range(count) if KEYPOINT_NAMES[i].split("_")[-1] in ARM_POINTS]
    orders = torch.arange(count).repeat(3, 1)
    mirrored = torch.tensor(MIRRORED)
    for row, group in enumerate((legs, arms, legs + arms)):
        orders[row, group] = mirrored[group]
    return orders


def joint_confidence(confidence: Tensor) -> Tensor:
    """How well the bone that each joint turns was seen: (T, 18 or 24) keypoints -> (T, 24) joints.

    1 = the keypoint at its far end was certain, half when only a point further down the chain (or
    for hands and feet only the wrist or ankle) was, 0 = the pose is only the usual one there.
    """
    table = {}
    for names, (direct, indirect) in _SUPPORT.items():
        for side in ("left", "right"):
            for name in names.replace("SIDE", side).split():
                table[name] = tuple(
                    [KEYPOINT_NAMES.index(k) for k in group.replace("SIDE", side).split()]
                    for group in (direct, indirect)
                )
    confidence = torch.nn.functional.pad(confidence, (0, len(KEYPOINT_NAMES) - confidence.shape[1]))
    columns = []
    for name in JOINT_NAMES:
        best = confidence.new_zeros(len(confidence))
        for factor, group in zip((1.0, 0.5), table[name], strict=True):
            if group:
                best = torch.maximum(best, factor * confidence[:, group].amax(1))
        columns.append(best)
    return torch.stack(columns, 1)
