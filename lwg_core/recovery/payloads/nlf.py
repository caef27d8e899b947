"""NLFPRED, the 3D joints that NLF nodes pass around -> SmplParams.

What producers really emit: ``{"joints3d_nonparam": [[(P, 24, 3), ...]]}`` (a batch of frames of
persons, NLF's own nesting), the list of frames alone, (T, 24, 3) of one person, (1, 17, 3) a frame
of COCO's keypoints, 22 joints without hands, rows of 72 or 51 numbers; empty frames or zeros where
nobody was seen; millimetres, sometimes metres. x right, y down, z forward. NLF sees through a
pinhole of 55 degrees along the longer side of the picture, its principal point in the middle.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ...body.model import BodyModel
from ...body.params import JOINT_NAMES, SmplParams
from ...errors import InputError
from ...render.camera import Camera
from ..importers.assemble import spread
from ..projection import stacked_regressor
from ..targets3d import fit_points
from .arrays import LONGEST, link, to_tensor

log = logging.getLogger(__name__)

FORM = "frames of persons of 24 SMPL joints, (P, 24, 3) each"
KEYS = ("joints3d_nonparam", "joints3d")
COUNTS = (24, 22, 17)
# COCO's 17 keypoints in our order, which has a neck and begins with the right side.
FROM_COCO17 = (0, None, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
JUMP = 0.8  # metres that a person moves between frames at most
NEAREST = 0.3  # metres: joints nearer to the origin are not in a camera's frame
# Hip to knee and knee to ankle of anybody, metres; units by how many of them make one.
BONE = (0.12, 0.8)
UNITS = {"metres": 1.0, "millimetres": 1e-3, "centimetres": 1e-2}


def import_nlf(
    payload: object,
    body: BodyModel,
    size: tuple[int, int] | None = None,
    *,
    fov: float = 55.0,
    fps: float = 30.0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[SmplParams, ...]:
    """One SmplParams of all frames per person.

    size: (height, width) of the picture; without it there is no camera. fov: degrees along its
    longer side. progress: called with (frames done, frames in all), for each person anew.
    """
    if not 1 <= fov <= 170:
        raise InputError(f"fov must be 1 to 170 degrees; got {fov}")
    if isinstance(payload, Mapping):
        key = next((k for k in KEYS if payload.get(k) is not None), None)
        if key is None:
            raise InputError(
                f"NLFPRED must hold {KEYS[0]}, {FORM}; it holds "
                f"{', '.join(str(k)[:40] for k in list(payload)[:8]) or 'nothing'}"
            )
        payload = payload[key]
    people = [_people(frame, number) for number, frame in enumerate(_frames(payload))]
    counts = {p.shape[1] for p in people if len(p)}
    if not counts:
        raise InputError("NLFPRED: no person was found in any frame")
    if len(counts) > 1:
        raise InputError(f"NLFPRED: frames of {sorted(counts)} joints are mixed; one is right")
    count = counts.pop()
    people = [p if len(p) else p.new_zeros(0, count, 3) for p in people]
    unit = _unit(torch.cat(people))
    people = [unit * p for p in people]
    rows = link([p[:, _pelvis(count)].mean(1) for p in people], JUMP)
    result = []
    for row in rows.tolist():
        seen = torch.tensor([t for t, i in enumerate(row) if i >= 0])
        points = torch.stack([people[t][row[t]] for t in seen.tolist()])
        params = _import_track(points, body, size, fov, progress)
        params = replace(params, fps=fps, track=len(result))
        result.append(spread(params, seen.tolist(), len(row)))
    return tuple(result)


def _import_track(
    points: Tensor,
    body: BodyModel,
    size: tuple[int, int] | None,
    fov: float,
    progress: Callable[[int, int], None] | None,
) -> SmplParams:
    """points: (T, 24, 22 or 17, 3) metres of one person."""
    count = points.shape[1]
    root = points[:, _pelvis(count)].mean(1, keepdim=True)
    camera = None
    if size is not None and bool((root[..., 2] > NEAREST).all()):
        focal = max(size) / (2 * math.tan(math.radians(fov) / 2))
        camera = Camera.from_pinhole(torch.full((len(points),), focal), root[:, 0], size)
    elif size is not None:
        log.warning("NLFPRED: the joints are not before a camera; the body has none")
    points = points - root
    weight = torch.ones_like(points[..., 0])
    regressor = None
    if count == 17:
        regressor = stacked_regressor(body)[: len(FROM_COCO17)]
        rows = [0 if i is None else i for i in FROM_COCO17]
        known = torch.tensor([float(i is not None) for i in FROM_COCO17])
        points, weight = points[:, rows], weight[:, rows] * known
    else:
        points, weight = _with_hands(points, weight)
    device = body.v_template.device
    camera = None if camera is None else camera.to(device)
    fit = fit_points(
        points.to(device), weight.to(device), regressor, body, camera, progress=progress
    )
    bad = [t for t, message in enumerate(fit.messages) if message]
    if bad:
        log.warning("NLFPRED: frame %d of a person: %s", bad[0], fit.messages[bad[0]])
    return fit.params


def _with_hands(points: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """All 24 joints; hands that are missing, or copies of the wrists, weigh nothing."""
    wrists = [JOINT_NAMES.index("left_wrist"), JOINT_NAMES.index("right_wrist")]
    if points.shape[1] == 22:
        points = torch.cat([points, points[:, wrists]], 1)
        weight = torch.cat([weight, weight[:, wrists]], 1)
    copied = (points[:, 22:] - points[:, wrists]).norm(dim=-1) < 1e-4
    weight = weight.clone()
    weight[:, 22:] *= ~copied
    return points, weight


def _pelvis(count: int) -> list[int]:
    """Rows whose middle is the pelvis."""
    return [11, 12] if count == 17 else [0]


def _unit(joints: Tensor) -> float:
    """Metres per unit of joints (N, J, 3), from the length of legs."""
    legs = ((1, 4), (4, 7), (2, 5), (5, 8))
    if joints.shape[1] == 17:
        legs = ((11, 13), (13, 15), (12, 14), (14, 16))
    first, second = (list(side) for side in zip(*legs, strict=True))
    length = float((joints[:, first] - joints[:, second]).norm(dim=-1).median())
    for unit in UNITS.values():
        if BONE[0] <= length * unit <= BONE[1]:
            return unit
    raise InputError(
        f"NLFPRED: from hip to knee it is {length:.3g}, which is no length of a leg in metres, "
        "centimetres or millimetres"
    )


def _frames(value: object) -> list[object]:
    """The list of frames behind any nesting."""
    if isinstance(value, Tensor | np.ndarray):
        if not 1 <= value.ndim <= 5:
            raise InputError(f"NLFPRED must be {FORM}; got {tuple(value.shape)}")
        if value.ndim == 5:  # a batch of clips
            value = value.reshape(-1, *value.shape[2:])
        elif value.ndim == 1 or (value.ndim == 2 and value.shape[-1] == 3):
            value = value[None]
        frames = list(value) if len(value) <= LONGEST else None
    elif isinstance(value, list | tuple):
        frames = list(value)
        if not frames:
            raise InputError("NLFPRED: there is no frame")
        if len(frames) == 1 and _depth(frames) <= 5 and _is_frames(frames[0]):  # NLF's batch of one
            return _frames(frames[0])
        if _depth(frames) == 5:
            frames = [frame for clip in frames for frame in clip]
        elif _depth(frames) == 1 or (_depth(frames) == 2 and len(frames) in COUNTS):
            frames = [frames]
    else:
        raise InputError(f"NLFPRED must be {FORM}; got {type(value).__name__}")
    if frames is None or len(frames) > LONGEST:
        raise InputError(f"NLFPRED: {len(value):,} frames; at most {LONGEST:,} make sense")
    return frames


def _is_frames(value: object) -> bool:
    """A list of arrays of points, or lists nested as deep as frames of persons."""
    return isinstance(value, list | tuple) and (
        _depth(value) >= 4 or any(isinstance(entry, Tensor | np.ndarray) for entry in value)
    )


def _depth(value: object, deepest: int = 8) -> int:
    """How deep lists and arrays are nested, along their first entries that hold something."""
    if isinstance(value, Tensor | np.ndarray):
        return value.ndim
    if not isinstance(value, list | tuple) or not deepest:
        return 0
    filled = next((v for v in value if not _is_empty(v)), value[0] if value else None)
    return 1 + _depth(filled, deepest - 1)


def _is_empty(value: object, deepest: int = 8) -> bool:
    """None, or lists and arrays with nothing in them."""
    if isinstance(value, list | tuple):
        return deepest > 0 and all(_is_empty(v, deepest - 1) for v in value[:1000])
    return value is None or (isinstance(value, Tensor | np.ndarray) and 0 in value.shape)


def _people(frame: object, number: int) -> Tensor:
    """(P, J, 3) of one frame, P = 0 where nobody was seen."""
    name = f"NLFPRED: frame {number}"
    if _is_empty(frame):
        return torch.zeros(0, 24, 3)
    if isinstance(frame, list | tuple) and any(isinstance(p, Tensor) for p in frame):
        shape = ((24, 3), (22, 3), (17, 3))
        frame = torch.stack([to_tensor(p, f"{name}, person {i},", shape) for i, p in
                             enumerate(frame)])  # fmt: skip
    shapes = [s for n in COUNTS for s in ((None, n, 3), (n, 3), (1, None, n, 3), (n * 3,))]
    joints = to_tensor(frame, name, tuple(shapes), "persons of 24, 22 or 17 joints, (P, 24, 3)")
    if joints.ndim == 1:
        joints = joints.unflatten(0, (-1, 3))
    joints = joints.reshape(-1, *joints.shape[-2:])
    if len(joints) > 1000:
        raise InputError(f"{name} claims {len(joints):,} persons")
    whole = torch.isfinite(joints).flatten(1).all(1) & (joints != 0).flatten(1).any(1)
    reach = (joints - joints.mean(1, keepdim=True)).abs().flatten(1).amax(1)
    return joints[whole & (reach > 0)]
