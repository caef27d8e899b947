"""EasyMocap: a json per frame, each a list of people {"id", "Rh", "Th", "poses", "shapes"}.

``poses`` has its root zeroed (or, 69 numbers wide, left out); the body is posed, then turned by Rh
about the model's origin, not its pelvis, and moved by Th. The world is the calibration's, z-up or
y-up, or that of a single camera.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import torch
from torch import Tensor

from ...body.model import BodyModel
from ...body.open_body import open_body
from ...body.params import SmplParams
from ...body.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from ...errors import InputError
from .arrays import numbers, rows, scalar
from .assemble import (
    Size,
    by_presence,
    check_extent,
    guess_up,
    imagined_camera,
    motion,
    spread,
    upright,
    world_turn,
)

MAX_TEXT = 1 << 28  # bytes of one file
_MODELS = {69: "smpl", 72: "smpl", 78: "smplh", 156: "smplh", 87: "smplx", 165: "smplx"}
_NUMBER = re.compile(r"\d{1,9}")


def is_easymocap(data: object) -> bool:
    people = _people(data)
    return bool(people) and all("poses" in person and "Th" in person for person in people)


def _people(data: object) -> list[dict]:
    if isinstance(data, dict):
        data = data.get("annots", [data])
    if not isinstance(data, list) or not all(isinstance(person, dict) for person in data):
        return []
    return data


def read_json(path: Path) -> object:
    if path.stat().st_size > MAX_TEXT:
        raise InputError(f"is larger than {MAX_TEXT >> 20} MB")
    try:
        return json.loads(path.read_text("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"is no json that can be read ({error})") from error


def read_folder(folder: Path, body: BodyModel | None) -> tuple[SmplParams, ...]:
    """A folder of 000000.json, 000001.json, ...; numbers that are left out are missing frames."""
    with os.scandir(folder) as listing:
        names = sorted(entry.name for entry in listing if entry.name.lower().endswith(".json"))
    numbered = [(int(match[-1]), n) for n in names if (match := _NUMBER.findall(Path(n).stem))]
    if not numbered:
        raise InputError("holds no numbered .json files, as EasyMocap writes one for each frame")
    numbered.sort()
    frames = {}
    for number, file in numbered:
        try:
            data = read_json(folder / file)
            if not is_easymocap(data) and data != []:
                raise InputError("is no list of people with poses, Rh and Th")
        except InputError as error:
            raise InputError(f"{file}: {error}") from error
        frames[number - numbered[0][0]] = _people(data)
    return _tracks(frames, body)


def read_easymocap(
    data: object, name: str, body: BodyModel | None, size: Size
) -> tuple[SmplParams, ...]:
    """One file: a frame, or a person's clip with a row for each frame."""
    people = _people(data)
    longest = max(_row_count(person) for person in people)
    if longest == 1:
        return _tracks({0: people}, body)
    split = [
        [_row(person, number) for person in people if number < _row_count(person)]
        for number in range(longest)
    ]
    return _tracks(dict(enumerate(split)), body)


def _row_count(person: dict) -> int:
    poses = numbers(person["poses"], "poses")
    return len(poses) if poses.ndim == 2 else 1


def _row(person: dict, number: int) -> dict:
    found = {"id": person.get("id", 0)}
    for key in ("poses", "Rh", "Th", "shapes"):
        if key in person:
            values = numbers(person[key], key)
            single = values.ndim < 2 or (key == "shapes" and len(values) == 1)
            if not single and number >= len(values):
                raise InputError(f"{key} has {len(values)} rows; poses has more")
            found[key] = values if single else values[number]
    return found


def _tracks(frames: dict[int, list[dict]], body: BodyModel | None) -> tuple[SmplParams, ...]:
    found: dict[int, dict[int, dict]] = {}
    for frame, people in frames.items():
        for order, person in enumerate(people):
            ident = int(scalar(person.get("id", person.get("personID", order)), "id"))
            found.setdefault(ident, {})[frame] = person
    if not found:
        raise InputError("holds no person")
    total = max(frames) + 1
    check_extent(total, len(found))
    clips = {ident: _clip(seen) for ident, seen in sorted(found.items())}
    spines = torch.cat([axis_angle_to_matrix(clip[1])[:, :, 1] for clip in clips.values()])
    turn = world_turn(guess_up(spines))
    return by_presence(
        [
            spread(_person(ident, clip, turn, body), list(found[ident]), total)
            for ident, clip in clips.items()
        ]
    )


def _clip(seen: dict[int, dict]) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """poses (T, n), Rh (T, 3), Th (T, 3), shapes (T, 10) of one person's frames."""
    people = list(seen.values())
    widths = {numbers(person["poses"], "poses").numel() for person in people}
    width = widths.pop()
    if widths or width not in _MODELS:
        wanted = ", ".join(str(known) for known in _MODELS)
        raise InputError(f"poses must have one of {wanted} numbers a frame; one has {width}")
    poses, turns, moves = (
        torch.cat([rows(person.get(key, [[0.0] * 3]), key, size, 1) for person in people])
        for key, size in (("poses", width), ("Rh", 3), ("Th", 3))
    )
    shapes = [numbers(p["shapes"], "shapes").flatten()[:10] for p in people if "shapes" in p]
    betas = torch.stack(shapes) if shapes and len({len(s) for s in shapes}) == 1 else None
    return poses, turns, moves, betas


def _person(ident: int, clip: tuple, turn: Tensor, body: BodyModel | None) -> SmplParams:
    poses, turns, moves, betas = clip
    width = poses.shape[1]
    joints = torch.nn.functional.pad(poses, (3, 0)) if width == 69 else poses
    kept = 72 if width in (69, 72) else 66
    pose = joints[:, :kept].unflatten(1, (-1, 3)).clone()
    outer, inner = axis_angle_to_matrix(turns), axis_angle_to_matrix(pose[:, 0])
    pelvis = (body or open_body()).joints_rest(torch.zeros(1, 10))[0, 0].to(pose)
    pose[:, 0] = upright(matrix_to_axis_angle(turn @ outer @ inner))
    travel = (outer @ pelvis + moves) @ turn.T  # of the pelvis, about which the root turns
    model = _MODELS[width]
    return motion(pose, betas, model, imagined_camera(travel), body=body, track=ident)
