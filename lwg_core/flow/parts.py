"""Body-part labels of vertices, and the groups within which sources compete and texture spreads."""

from __future__ import annotations

import torch
from torch import Tensor

from ..body.model import PART_NAMES, BodyModel

GROUP_NAMES = ("head", "torso", "left_arm", "right_arm", "left_leg", "right_leg")
HEAD_GROUP = GROUP_NAMES.index("head")

_GROUP_OF_PART = {
    "head": "head",
    "face": "head",
    "torso": "torso",
    "left_arm": "left_arm",
    "left_hand": "left_arm",
    "right_arm": "right_arm",
    "right_hand": "right_arm",
    "left_leg": "left_leg",
    "left_foot": "left_leg",
    "right_leg": "right_leg",
    "right_foot": "right_leg",
}
_PART_OF_JOINT = (
    "torso left_leg right_leg torso left_leg right_leg torso left_leg right_leg torso "
    "left_foot right_foot head torso torso head left_arm right_arm "
    "left_arm right_arm left_hand right_hand left_hand right_hand"
).split()


def part_labels(body: BodyModel) -> Tensor:
    """(V,) int64 index into PART_NAMES: the body's own labels, or those of its heaviest joint."""
    if body.parts is not None:
        return body.parts.long()
    table = [PART_NAMES.index(name) for name in _PART_OF_JOINT]
    return body.weights.new_tensor(table, dtype=torch.int64)[body.weights.argmax(1)]


def group_of_part(device=None) -> Tensor:
    """(11,) int64: index into GROUP_NAMES of each of PART_NAMES."""
    table = [GROUP_NAMES.index(_GROUP_OF_PART[name]) for name in PART_NAMES]
    return torch.tensor(table, device=device)
