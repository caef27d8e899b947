"""Range of motion of human joints, and whether limbs run into the body."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from ..body.params import JOINT_NAMES, JOINT_PARENTS
from .motions import INDEX

# Largest rotation away from the T-pose in degrees; knees and elbows also only bend one way.
JOINT_LIMITS = {
    "pelvis": 360, "hip": 125, "knee": 150, "ankle": 50, "foot": 45, "spine1": 40, "spine2": 32,
    "spine3": 30, "neck": 45, "head": 45, "collar": 30, "shoulder": 140, "elbow": 150,
    "wrist": 75, "hand": 85,
}  # fmt: skip
HINGE_SLACK = 8.0  # degrees a knee or an elbow may bend the wrong way

# Rough adult joints (metres, T-pose, left side) for the test whether limbs run into the body.
_HALF = {
    "pelvis": (0, 0, 0), "hip": (0.09, -0.07, 0), "spine1": (0, 0.1, -0.02),
    "knee": (0.12, -0.46, 0), "spine2": (0, 0.23, -0.02), "ankle": (0.1, -0.87, -0.03),
    "spine3": (0, 0.29, -0.01), "foot": (0.12, -0.93, 0.09), "neck": (0, 0.5, -0.04),
    "collar": (0.08, 0.42, -0.03), "head": (0, 0.59, 0), "shoulder": (0.18, 0.45, -0.03),
    "elbow": (0.44, 0.45, -0.04), "wrist": (0.69, 0.45, -0.04), "hand": (0.78, 0.45, -0.04),
}  # fmt: skip
_MIRROR = np.array([-1.0, 1.0, 1.0])


def _plain(name: str) -> str:
    return name.removeprefix("left_").removeprefix("right_")


_SKELETON = np.array(
    [np.array(_HALF[_plain(n)]) * (_MIRROR if n.startswith("right") else 1) for n in JOINT_NAMES]
)
_LIMITS = np.deg2rad([JOINT_LIMITS[_plain(n)] for n in JOINT_NAMES])


def limit_pose(pose: np.ndarray) -> np.ndarray:
    """(..., 24, 3) axis-angle brought back into the range of motion; the root stays as it is."""
    angle = np.linalg.norm(pose, axis=-1, keepdims=True)
    shrink = np.minimum(1.0, _LIMITS[:, None] / np.maximum(angle, 1e-9))
    shrink[..., 0, :] = 1.0
    out = (pose * shrink).astype(np.float32)
    slack = np.deg2rad(HINGE_SLACK)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        knee, elbow = INDEX[f"{side}_knee"], INDEX[f"{side}_elbow"]
        out[..., knee, 0] = np.maximum(out[..., knee, 0], -slack)
        out[..., elbow, 1] = sign * np.minimum(sign * out[..., elbow, 1], slack)
    return out


def _joints(pose: np.ndarray) -> np.ndarray:
    """(24, 3) joints of the rough skeleton in the body frame (the root rotation left out)."""
    rotations = Rotation.from_rotvec(pose).as_matrix()
    rotations[0] = np.eye(3)
    turned, placed = [rotations[0]], [np.zeros(3)]
    for joint in range(1, 24):
        parent = JOINT_PARENTS[joint]
        turned.append(turned[parent] @ rotations[joint])
        placed.append(placed[parent] + turned[parent] @ (_SKELETON[joint] - _SKELETON[parent]))
    return np.stack(placed)


def collides(pose: np.ndarray) -> bool:
    """Whether an elbow, wrist or hand of (24, 3) lies inside the trunk, the head or a thigh, or a
    shin crosses the other leg."""
    j = _joints(pose)
    arm_joints = ("elbow", "wrist", "hand")
    arms = j[[INDEX[f"{s}_{n}"] for s in ("left", "right") for n in arm_joints]]
    middle = (j[INDEX["left_elbow"]] + j[INDEX["left_wrist"]]) / 2
    other = (j[INDEX["right_elbow"]] + j[INDEX["right_wrist"]]) / 2
    arms = np.concatenate([arms, [middle, other]])
    head = j[INDEX["head"]] + (0, 0.08, 0.02)
    bones = [
        (j[0] - (0, 0.06, 0), j[INDEX["spine2"]], 0.155),
        (j[INDEX["spine2"]], j[INDEX["neck"]] - (0, 0.07, 0), 0.145),
        (head, head, 0.14),
    ]
    bones += [(j[INDEX[f"{s}_hip"]], j[INDEX[f"{s}_knee"]], 0.09) for s in ("left", "right")]
    if any((_to_segment(arms, a, b) < radius).any() for a, b, radius in bones):
        return True
    legs = {s: (j[INDEX[f"{s}_knee"]], j[INDEX[f"{s}_ankle"]]) for s in ("left", "right")}
    shins = [np.linspace(*legs[s], 4) for s in ("left", "right")]
    return bool(np.linalg.norm(shins[0][:, None] - shins[1][None], axis=-1).min() < 0.11)


def _to_segment(points: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    along = np.clip((points - a) @ (b - a) / max((b - a) @ (b - a), 1e-9), 0, 1)
    return np.linalg.norm(points - a - along[:, None] * (b - a), axis=1)
