"""Body-part labels of vertices, the groups within which sources compete, and the parts to wear."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ..body.model import PART_NAMES, BodyModel
from ..body.params import JOINT_NAMES
from ..errors import InputError

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

# What a source can be asked to give. Hands belong to neither top nor trousers: they are bare skin,
# which is the wearer's, as the face is; gloves are "hands". Shoes are bought apart: "feet".
# Two more that are no labels of the body's own, both cut from the torso: "hips", below HEM, and
# "neck", down to the collar: its skin goes with the head's.
PART_GROUPS = {
    "head": ("head", "face", "neck"),
    "face": ("face",),
    "upper": ("torso", "left_arm", "right_arm"),
    "lower": ("hips", "left_leg", "right_leg"),
    "arms": ("left_arm", "right_arm"),
    "hands": ("left_hand", "right_hand"),
    "legs": ("left_leg", "right_leg"),
    "feet": ("left_foot", "right_foot"),
    "body": ("hips", *(name for name in PART_NAMES if name not in ("head", "face"))),
    "whole": ("hips", "neck", *PART_NAMES),
}
_HIPS = ("left_hip", "right_hip")
HEM = 0.35  # of the way from the pelvis joint to the hip joints: where tops end and trousers show


def check_parts(parts: Iterable[str]) -> tuple[str, ...]:
    """``parts`` in the order of PART_GROUPS, each once, or an InputError that lists the names."""
    if isinstance(parts, str):
        parts = parts.replace(",", " ").split()
    parts = tuple(parts)
    names = ", ".join(PART_GROUPS)
    if not parts:
        raise InputError(f"no body part is chosen; choose one or more of {names}")
    unknown = [str(part) for part in parts if part not in PART_GROUPS]
    if unknown:
        raise InputError(f"there is no body part '{unknown[0]}'; the parts are {names}")
    return tuple(name for name in PART_GROUPS if name in parts)


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


def part_vertices(body: BodyModel, parts: Iterable[str]) -> Tensor:
    """(V,) bool: the vertices of ``parts``, names of PART_GROUPS."""
    labels = part_labels(body)
    torso = labels == PART_NAMES.index("torso")
    cut = {"hips": torso & below_hem(body), "neck": torso & above_collar(body)}
    cut["torso"] = torso & ~cut["hips"] & ~cut["neck"]
    chosen = torch.zeros_like(torso)
    for name in {member for part in check_parts(parts) for member in PART_GROUPS[part]}:
        chosen |= cut[name] if name in cut else labels == PART_NAMES.index(name)
    return chosen


def above_collar(body: BodyModel) -> Tensor:
    """(V,) bool: carried by neck and head more than by the trunk."""
    return body.weights[:, [JOINT_NAMES.index(name) for name in ("neck", "head")]].sum(1) > 0.5


def below_hem(body: BodyModel) -> Tensor:
    """(V,) bool: below the line where a top usually ends, by height on the T-posed template."""
    joints = body.joint_regressor @ body.v_template
    pelvis, left, right = (joints[JOINT_NAMES.index(n), 1] for n in ("pelvis", *_HIPS))
    return body.v_template[:, 1] < pelvis + HEM * ((left + right) / 2 - pelvis)
