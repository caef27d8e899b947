"""BVH motions: any skeleton with known names, in any rest pose, onto SMPL's joints.

Every joint that the two skeletons share gets the same world orientation, up to a constant that
takes one rest pose into the other: SMPL's limbs are turned along the file's rest limbs (the least
turn that does it), so it does not matter whether the arms of the file's rest pose are level, slant
or hang. The trunk, the head and the feet are only turned as a whole, because where a rig puts the
joints inside a trunk or a foot says little about how it stands.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path

import torch
from torch import Tensor

from ...body.model import BodyModel
from ...body.open_body import open_body
from ...body.params import JOINT_NAMES, SmplParams
from ...body.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from ...errors import InputError
from .assemble import MAX_FRAMES, guess_up, imagined_camera, motion, upright, world_turn
from .bvh_names import Skeleton, find_skeleton
from .bvh_text import Bvh, read_bvh_text

logger = logging.getLogger(__name__)

_LIMBS = {"hip": "knee", "knee": "ankle", "shoulder": "elbow", "elbow": "wrist"}
_FOOT_SLACK = math.radians(30)  # a rest foot further off than this is really turned
_SNAP = math.cos(math.radians(25))  # a trunk this close to an axis stands along it
_CHUNK = 4096


def read_bvh(path: Path, name: str, body: BodyModel | None) -> tuple[SmplParams, ...]:
    """One clip for each skeleton in the file."""
    bvh = read_bvh_text(path)
    if len(bvh.rows) > MAX_FRAMES:
        raise InputError(f"holds {len(bvh.rows)} frames; 1 to {MAX_FRAMES} are possible")
    body = body or open_body()
    roots = [i for i, joint in enumerate(bvh.joints) if joint.parent < 0]
    return tuple(
        _clip(bvh, find_skeleton(bvh.joints, root), body, name, track)
        for track, root in enumerate(roots)
    )


def _clip(bvh: Bvh, skeleton: Skeleton, body: BodyModel, name: str, track: int) -> SmplParams:
    ours = dict(zip(JOINT_NAMES, body.joints_rest(torch.zeros(1, 10))[0].double(), strict=True))
    theirs = _resting(bvh, skeleton)
    fix = _corrections(theirs, ours)
    turns, travel = [], []
    for first in range(0, len(bvh.rows), _CHUNK):
        rotation, position = bvh.pose(slice(first, first + _CHUNK))
        turns.append(_orientations(rotation, skeleton, fix))
        travel.append(position[:, skeleton.joints["pelvis"]])
    world = torch.cat(turns)
    up = _world_up(theirs, world[:, 0])
    logger.info("%s: reading a BVH motion of a world whose up is %s", name, up)
    turn = world_turn(up)
    pose = matrix_to_axis_angle(_local(turn @ world, body.parents))
    pose[:, 0] = upright(pose[:, 0])
    metres = _leg(ours) / _leg(theirs)  # per unit of the file
    camera = imagined_camera(torch.cat(travel) @ turn.T * metres)
    return motion(pose, camera=camera, fps=bvh.fps, track=track)


def _resting(bvh: Bvh, skeleton: Skeleton) -> dict[str, Tensor]:
    """SMPL joint name -> (3,) resting position; a limb may end in an End Site."""
    rest = bvh.rest()
    place = {name: rest[index] for name, index in skeleton.joints.items()}
    for side in ("left", "right"):
        for part, child in (("elbow", "wrist"), ("knee", "ankle")):
            tips = bvh.joints[skeleton.joints[f"{side}_{part}"]].tips or [(0.0, 0.0, 0.0)]
            end = place[f"{side}_{part}"] + rest.new_tensor(tips[0])
            place.setdefault(f"{side}_{child}", end)
    return place


def _corrections(place: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor]:
    """SMPL joint name -> (3, 3): what SMPL's part does while the file's skeleton rests."""
    whole = _frame(place) @ _frame(own).T
    fix = dict.fromkeys(JOINT_NAMES, whole)
    for side in ("left", "right"):
        for part, child in _LIMBS.items():
            fix[f"{side}_{part}"] = _along(place, own, f"{side}_{part}", f"{side}_{child}", whole)
        for part in ("wrist", "hand"):  # a resting hand continues its forearm
            fix[f"{side}_{part}"] = fix[f"{side}_elbow"]
        if f"{side}_foot" in place:
            foot = _along(place, own, f"{side}_ankle", f"{side}_foot", whole)
            if _angle(foot @ whole.T) > _FOOT_SLACK:
                fix[f"{side}_ankle"] = fix[f"{side}_foot"] = foot
    return fix


def _along(place: dict, own: dict, joint: str, child: str, whole: Tensor) -> Tensor:
    """``whole``, then the least turn that lays SMPL's bone along the file's."""
    bone = place[child] - place[joint]
    if bone.norm() < 1e-9:
        return whole
    target = torch.nn.functional.normalize(bone, dim=0)
    start = whole @ torch.nn.functional.normalize(own[child] - own[joint], dim=0)
    axis = torch.linalg.cross(start, target)
    angle = torch.atan2(axis.norm(), start @ target)
    if axis.norm() < 1e-9:  # along, or exactly against: about any axis across the bone
        across = torch.eye(3, dtype=start.dtype)[start.abs().argmin()]
        axis = torch.linalg.cross(start, across)
    return axis_angle_to_matrix(torch.nn.functional.normalize(axis, dim=0) * angle) @ whole


def _angle(matrix: Tensor) -> float:
    return matrix_to_axis_angle(matrix).norm().item()


def _frame(place: dict[str, Tensor]) -> Tensor:
    """(3, 3) columns left, up, forward of a resting body, along the axes where close to them."""
    spine = (
        place["left_shoulder"] + place["right_shoulder"] - place["left_hip"] - place["right_hip"]
    ) / 2
    across = place["left_hip"] - place["right_hip"]
    up = _snapped(spine)
    level = across - (across @ up) * up
    if not level.norm() > 0.01 * spine.norm() > 0:
        raise InputError("the resting skeleton has no width between its hips, or no height")
    left = _snapped(level)
    left = torch.nn.functional.normalize(left - (left @ up) * up, dim=0)
    return torch.stack([left, up, torch.linalg.cross(left, up)], 1)


def _snapped(direction: Tensor) -> Tensor:
    unit = torch.nn.functional.normalize(direction, dim=0)
    axis = torch.zeros_like(unit)
    axis[unit.abs().argmax()] = unit[unit.abs().argmax()].sign()
    return axis if unit @ axis > _SNAP else unit


def _orientations(rotation: Tensor, skeleton: Skeleton, fix: dict[str, Tensor]) -> Tensor:
    """World orientations (T, 24, 3, 3) of SMPL's parts from those of the file's joints."""
    made: dict[str, Tensor] = {}
    for name, index in skeleton.joints.items():
        made[name] = rotation[:, index] @ fix[name]
    # Spines of any length: orientations at thirds of the way from the pelvis to the chest.
    knots = [made["pelvis"]] + [rotation[:, i] @ fix["spine3"] for i in skeleton.spine]
    for number in (1, 2, 3):
        made[f"spine{number}"] = _between(knots, number / 3)
    if "neck" not in made:
        made["neck"] = _between([made["spine3"], made.get("head", made["spine3"])], 0.5)
    made.setdefault("head", made["neck"])
    for side in ("left", "right"):
        made.setdefault(f"{side}_collar", made["spine3"])
        if f"{side}_ankle" not in made:
            rest = fix[f"{side}_knee"].T @ fix[f"{side}_ankle"]
            made[f"{side}_ankle"] = made[f"{side}_knee"] @ rest
        for name, carrier in (("foot", "ankle"), ("wrist", "elbow"), ("hand", "wrist")):
            made.setdefault(f"{side}_{name}", made[f"{side}_{carrier}"])
    return torch.stack([made[name] for name in JOINT_NAMES], 1)


def _between(knots: list[Tensor], share: float) -> Tensor:
    """Orientation at ``share`` (0..1) of a chain of orientations (T, 3, 3), by slerp."""
    at = share * (len(knots) - 1)
    low = min(int(at + 1e-9), len(knots) - 1)
    if low == len(knots) - 1 or at - low < 1e-9:
        return knots[low]
    step = matrix_to_axis_angle(knots[low].mT @ knots[low + 1])
    return knots[low] @ axis_angle_to_matrix(step * (at - low))


def _local(world: Tensor, parents: tuple[int, ...]) -> Tensor:
    """World rotations (T, 24, 3, 3) -> those relative to the parent."""
    local = world.clone()
    local[:, 1:] = world[:, list(parents[1:])].mT @ world[:, 1:]
    return local


def _world_up(place: dict[str, Tensor], pelvis: Tensor) -> str:
    """The rest pose stands along the world's up, unless the motion says clearly otherwise."""
    standing = guess_up(_frame(place)[None, :, 1])
    spines = pelvis[:, :, 1]
    moving = guess_up(spines)
    clear = (spines @ _axis(moving)).mean() > 0.7 and (spines @ _axis(standing)).mean() < 0.3
    return moving if clear else standing


def _axis(up: str) -> Tensor:
    """(3,) the direction called ``up`` in the world."""
    return world_turn(up).T @ torch.tensor([0.0, -1.0, 0.0], dtype=torch.float64)


def _leg(place: dict[str, Tensor]) -> float:
    """Mean length of the legs, down to the ankle where both skeletons must have one."""
    length = sum(
        (place[f"{side}_{one}"] - place[f"{side}_{other}"]).norm().item() / 2
        for side in ("left", "right")
        for one, other in (("hip", "knee"), ("knee", "ankle"))
    )
    if length < 1e-9:
        raise InputError("the resting skeleton has legs of no length")
    return length
