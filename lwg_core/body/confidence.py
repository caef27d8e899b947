"""What was really seen of a person.

A body is always whole, but half of it may be a guess: under a table, beyond the picture's edge.
A joint's confidence says how well the bone that it turns was seen. Here it becomes a statement
about parts and vertices, so that nothing guessed is taken for a picture of the person.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .model import PART_NAMES, BodyModel
from .params import JOINT_NAMES, SmplParams

LEAST = 0.1  # confidence of a joint below which its bone was not seen
GUESSED, SURE = 0.25, 0.75  # share of a vertex that must hang on seen joints: none of it, all of it

_JOINTS_OF_PART = {
    "head": "neck head",
    "face": "neck head",
    "torso": "pelvis spine1 spine2 spine3 left_collar right_collar",
    "SIDE_arm": "SIDE_shoulder SIDE_elbow",
    "SIDE_hand": "SIDE_wrist SIDE_hand",
    "SIDE_leg": "SIDE_hip SIDE_knee",
    "SIDE_foot": "SIDE_ankle SIDE_foot",
}


def seen_joints(params: SmplParams) -> Tensor:
    """(T, 24) bool: joints whose bone was seen, directly or by what hangs on it."""
    return params.confidence >= LEAST


def invalid_parts(params: SmplParams) -> Tensor:
    """(T, 11) bool, PART_NAMES order: parts of which no joint was seen. They are only guessed."""
    unseen = ~seen_joints(params)
    parts = []
    for name in PART_NAMES:
        side = name.split("_")[0]
        joints = _JOINTS_OF_PART[name.replace("left", "SIDE").replace("right", "SIDE")]
        index = [JOINT_NAMES.index(joint) for joint in joints.replace("SIDE", side).split()]
        parts.append(unseen[:, index].all(1))
    return torch.stack(parts, 1)


def vertex_confidence(body: BodyModel, params: SmplParams) -> Tensor:
    """(T, V) in 0..1: confidence of the joints that carry each vertex, by skinning weight."""
    return params.confidence.to(body.weights) @ body.weights.T


def vertex_trust(body: BodyModel, params: SmplParams) -> Tensor:
    """(T, V) in 0..1: whether the body really is where the mesh says. 0 = only guessed.

    Not how confident: what is worth a body is worth its texture. It fades along the skin between a
    joint that was seen and one that was not.
    """
    share = seen_joints(params).to(body.weights) @ body.weights.T
    return ((share - GUESSED) / (SURE - GUESSED)).clamp(0, 1)
