"""Which joint of somebody's skeleton is which joint of SMPL.

Names of the usual rigs are understood: Mixamo, CMU, Rokoko, Xsens, MotionBuilder, LaFAN1, Unity
and VRM, Unreal, 3ds Max Biped, Rigify, Daz, SMPL's own, with or without prefixes and in any case.
Spines are counted, not named: the joints between the pelvis and the chest, from where the arms go
off, whatever their names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...errors import InputError
from .bvh_text import Joint

# Names without side, best first, for both sides alike; a joint that one part has taken is gone for
# the next.
_SIDED = {
    "hip": "upleg upperleg thigh femur hip legupper uleg leg",
    "knee": "lowleg lowerleg shin calf tibia knee leglower leg",
    "ankle": "ankle foot",
    "foot": "toebase toes toe ball foot",
    "shoulder": "upperarm uparm humerus shldr arm armupper shoulder",
    "collar": "collar clavicle shoulder",
    "elbow": "forearm lowerarm lowarm radius elbow armlower",
    "wrist": "wrist hand",
    "hand": "hand",  # left only where the wrist has a joint of its own
}
_MIDDLE = {"neck": "neck lowerneck", "head": "head"}
_NEEDED = ("hip", "knee", "shoulder", "elbow")
_SIDES = {"left": "left", "right": "right", "l": "left", "r": "right", "lft": "left", "rt": "right"}
_NOISE = {
    "joint", "bip", "character", "mixamorig", "def", "org", "mch", "bone", "bn", "jnt", "sk",
    "skel", "human", "b", "j", "c", "rig", "ctrl", "biped", "actor", "skeleton", "avg", "m", "f",
}  # fmt: skip
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_CORES = {core for names in (*_SIDED.values(), *_MIDDLE.values()) for core in names.split()}


@dataclass(frozen=True)
class Skeleton:
    """joints: SMPL joint name -> index in the file. spine: chain from above the pelvis up to and
    with the chest, which is SMPL's spine3."""

    joints: dict[str, int]
    spine: tuple[int, ...]


def plain_name(name: str) -> tuple[str, str]:
    """(side "left", "right" or "", name without side, prefix and number), in lower case."""
    words = [word.lower() for word in _WORD.findall(name.rpartition(":")[2])]
    side = ""
    kept = []
    for word in words:
        if word in _SIDES and not side:
            side = _SIDES[word]
        elif word not in _NOISE:
            kept.append(word)
    while (
        len(kept) > 1
        and "".join(kept) not in _CORES
        and any("".join(kept[i:]) in _CORES for i in range(1, len(kept)))
    ):
        kept.pop(0)  # somebody's prefix
    core = "".join(kept)
    if not side and core not in _CORES:
        for prefix, which in _SIDES.items():
            if core.startswith(prefix) and core.removeprefix(prefix) in _CORES:
                return which, core.removeprefix(prefix)
    return side, core


def find_skeleton(joints: tuple[Joint, ...], root: int) -> Skeleton:
    """The person below the joint ``root``; an InputError says which joint has no known name."""
    mine = [i for i in range(len(joints)) if _ancestors(joints, i)[-1] == root]
    named: dict[tuple[str, str], int] = {}
    for index in mine:
        named.setdefault(plain_name(joints[index].name), index)
    found: dict[str, int] = {}
    for part, cores in _SIDED.items():
        for core in cores.split():
            pair = [named.get((side, core)) for side in ("left", "right")]
            if None not in pair and not set(pair) & set(found.values()):
                found[f"left_{part}"], found[f"right_{part}"] = pair
                break
    for part, cores in _MIDDLE.items():
        hits = [named["", core] for core in cores.split() if ("", core) in named]
        if hits:
            found[part] = hits[0]
    missing = [f"{s} {p}" for p in _NEEDED for s in ("left", "right") if f"{s}_{p}" not in found]
    if missing:
        known = ", ".join(ascii(joints[index].name)[1:-1] for index in mine[:12])
        raise InputError(
            f"no joint for the {', '.join(missing)} among {known}...; names as in Mixamo, CMU, "
            "Rokoko, Xsens, Unity, Unreal or SMPL skeletons are understood"
        )
    pelvis = _common(joints, found["left_hip"], found["right_hip"])
    chest = _common(joints, found["left_shoulder"], found["right_shoulder"])
    below = set(_ancestors(joints, pelvis))
    spine = tuple(i for i in reversed(_ancestors(joints, chest)) if i not in below)
    return Skeleton({"pelvis": pelvis, **found}, spine)


def _ancestors(joints: tuple[Joint, ...], index: int) -> list[int]:
    """The joint, its parent, ... , its root."""
    chain = [index]
    while joints[chain[-1]].parent >= 0:
        chain.append(joints[chain[-1]].parent)
    return chain


def _common(joints: tuple[Joint, ...], one: int, other: int) -> int:
    """The lowest joint above both (neither of them itself)."""
    above = set(_ancestors(joints, one)[1:])
    shared = [index for index in _ancestors(joints, other)[1:] if index in above]
    if not shared:
        raise InputError(
            f"{joints[one].name!a:.40} and {joints[other].name!a:.40} hang on no common joint"
        )
    return shared[0]
