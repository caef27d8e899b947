"""The BVH file format: a tree of joints with offsets, and a row of channels for each frame."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...errors import InputError

MAX_TEXT = 1 << 28  # bytes; an hour of 60 joints at 30 frames per second
MAX_JOINTS = 1000
MAX_HEAD = 1 << 20  # characters
_CHANNELS = {
    f"{axis}{kind}": (kind == "rotation", number)
    for number, axis in enumerate("xyz")
    for kind in ("position", "rotation")
}


@dataclass
class Joint:
    """name, parent (-1 for a root), offset from the parent in the file's unit, and channels as
    (is a rotation, axis 0..2, column of the motion rows). tips: offsets of its End Sites."""

    name: str
    parent: int
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    channels: list[tuple[bool, int, int]] = field(default_factory=list)
    tips: list[tuple[float, float, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Bvh:
    """joints: parents before children. rows: (T, channels). fps: frames per second."""

    joints: tuple[Joint, ...]
    rows: Tensor
    fps: float

    def pose(self, frames: slice) -> tuple[Tensor, Tensor]:
        """World rotations (T, J, 3, 3) and positions (T, J, 3) of some frames, float64.

        A joint's channels act in the order they are listed: "Zrotation Xrotation" is Rz Rx.
        """
        rows = self.rows[frames]
        turns, places = [], []
        for joint in self.joints:
            turn = torch.eye(3, dtype=torch.float64).expand(len(rows), 3, 3)
            place = rows.new_tensor(joint.offset).expand(len(rows), 3).clone()
            for is_rotation, axis, column in joint.channels:
                if is_rotation:
                    turn = turn @ _about(axis, torch.deg2rad(rows[:, column]))
                else:
                    place[:, axis] = rows[:, column]
            if joint.parent >= 0:
                place = places[joint.parent] + (turns[joint.parent] @ place[..., None])[..., 0]
                turn = turns[joint.parent] @ turn
            turns.append(turn)
            places.append(place)
        return torch.stack(turns, 1), torch.stack(places, 1)

    def rest(self) -> Tensor:
        """Joint positions (J, 3) with no rotation, the first root at its offset."""
        places: list[Tensor] = []
        for joint in self.joints:
            place = torch.tensor(joint.offset, dtype=torch.float64)
            places.append(place if joint.parent < 0 else places[joint.parent] + place)
        return torch.stack(places)


def _about(axis: int, angle: Tensor) -> Tensor:
    """(T, 3, 3) rotations about x, y or z by angles (T,) in radians."""
    matrix = torch.zeros(len(angle), 3, 3, dtype=angle.dtype)
    b, c = (axis + 1) % 3, (axis + 2) % 3
    matrix[:, axis, axis] = 1
    matrix[:, b, b] = matrix[:, c, c] = angle.cos()
    matrix[:, c, b], matrix[:, b, c] = angle.sin(), -angle.sin()
    return matrix


def read_bvh_text(path: Path) -> Bvh:
    if path.stat().st_size > MAX_TEXT:
        raise InputError(f"is larger than {MAX_TEXT >> 20} MB")
    text = path.read_text("utf-8-sig", "replace")
    head, found, tail = text.partition("MOTION")
    if not found:
        raise InputError("has no MOTION part; a BVH file has HIERARCHY and MOTION")
    joints = _hierarchy(head)
    columns = sum(len(joint.channels) for joint in joints)
    return Bvh(joints, *_rows(tail, columns))


def _hierarchy(text: str) -> tuple[Joint, ...]:
    if len(text) > MAX_HEAD:
        raise InputError(f"has a HIERARCHY of more than {MAX_HEAD >> 20} MB")
    joints: list[Joint] = []
    open_joints: list[int] = []  # -1 stands for an End Site
    waiting: int | None = None  # named, but its brace has not come yet
    column = 0
    for number, line in enumerate(text.splitlines(), 1):
        words = line.replace("{", " { ").replace("}", " } ").split()
        at = 0
        while at < len(words):
            word = words[at].upper()
            here = open_joints[-1] if open_joints else None
            rest = words[at + 1 : at + 16]
            if word == "HIERARCHY":
                at += 1
            elif word in ("ROOT", "JOINT") and rest and (word == "ROOT") == (here is None):
                name = " ".join(rest[: rest.index("{")] if "{" in rest else rest)
                joints.append(Joint(name, -1 if here is None else here))
                waiting = len(joints) - 1
                at += 1 + len(name.split())
            elif word == "END" and here is not None and here >= 0:
                waiting, at = -1, at + 2
            elif word == "{" and waiting is not None:
                open_joints.append(waiting)
                waiting, at = None, at + 1
            elif word == "}" and open_joints:
                open_joints.pop()
                at += 1
            elif word == "OFFSET" and here is not None and len(rest) >= 3:
                offset = _three(rest[:3], number)
                if here >= 0:
                    joints[here].offset = offset
                else:
                    joints[open_joints[-2]].tips.append(offset)
                at += 4
            elif word == "CHANNELS" and here is not None and here >= 0 and rest:
                count = int(rest[0]) if rest[0].isdecimal() and len(rest[0]) < 3 else 99
                names = rest[1 : 1 + count]
                kinds = [_CHANNELS.get(name.lower()) for name in names]
                if len(names) < count or None in kinds or joints[here].channels:
                    raise InputError(f"line {number}: CHANNELS of {joints[here].name} are broken")
                joints[here].channels = [(*kind, column + i) for i, kind in enumerate(kinds)]
                column += count
                at += 2 + count
            else:
                raise InputError(f"line {number}: {words[at]!a:.40} is out of place in HIERARCHY")
        if len(joints) > MAX_JOINTS:
            raise InputError(f"has more than {MAX_JOINTS} joints")
    if open_joints or waiting is not None or not joints:
        raise InputError("ends within its HIERARCHY; a brace is missing")
    return tuple(joints)


def _three(words: list[str], number: int) -> tuple[float, float, float]:
    try:
        x, y, z = (float(word) for word in words)
    except ValueError as error:
        raise InputError(f"line {number}: OFFSET needs three numbers") from error
    if not all(math.isfinite(value) and abs(value) < 1e6 for value in (x, y, z)):
        raise InputError(f"line {number}: OFFSET needs three numbers of sensible size")
    return x, y, z


def _rows(text: str, columns: int) -> tuple[Tensor, float]:
    """Frames and frames per second of what follows MOTION."""
    claimed = seconds = None
    rows: list[np.ndarray] = []
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        try:
            if colon and key.strip().lower() == "frames":
                claimed = int(value)
            elif colon and key.strip().lower() == "frame time":
                seconds = float(value)
            elif line.strip():
                rows.append(np.array(line.split(), np.float64))
        except ValueError as error:
            raise InputError(f"MOTION holds {line.strip()!a:.40}, which is no number") from error
    if claimed is None or seconds is None or not (seconds > 0 and math.isfinite(seconds)):
        raise InputError("MOTION needs 'Frames:' and a 'Frame Time:' above zero")
    flat = np.concatenate(rows) if rows else np.zeros(0)
    if columns == 0 or claimed < 1 or claimed * columns != flat.size:
        raise InputError(
            f"MOTION says {claimed} frames of {columns} channels but holds {flat.size} numbers"
        )
    if not np.isfinite(flat).all():
        bad = np.unique(np.flatnonzero(~np.isfinite(flat)) // columns)[:10].tolist()
        raise InputError(f"MOTION holds NaN or infinite values in frames {bad}")
    rate = 1 / seconds
    whole = round(rate)  # 0.033333 is meant to be 30
    fps = float(whole) if abs(rate - whole) < 1e-3 * rate else rate
    return torch.from_numpy(flat.reshape(claimed, columns)), fps
