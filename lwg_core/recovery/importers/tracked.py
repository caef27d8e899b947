"""Files with one entry per tracked person: 4D-Humans (PHALP), WHAM, VIBE and PARE.

PHALP (joblib): {frame path: {"time", "tid": [...], "smpl": [{"global_orient" (1, 3, 3),
"body_pose" (23, 3, 3), "betas" (10,)}, ...], "camera": [(3,), ...], "size": [[h, w], ...],
"tracked_time": [...], ...}}, root in the camera frame; the lens is 5000 px on a 256 px square
around the picture. A person with ``tracked_time`` above zero was not seen but guessed.
WHAM (joblib): {person: {"pose" (T, 72) and "trans" (T, 3) in the camera frame, "betas" (T, 10),
"frame_ids" (T,)}}; the lens is not stored.
VIBE and PARE (joblib): {person: {"pose" (T, 72) or "pred_pose" (T, 24, 3, 3), "betas",
"pred_cam" (T, 3) of the square crop, "bboxes" (T, 4) centre and size, "orig_cam" (T, 4),
"frame_ids"}}.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ...body.model import BodyModel
from ...body.params import SmplParams
from ...errors import InputError
from ...render.camera import NEAR, Camera
from .arrays import first, numbers, rotations, rows, scalar
from .assemble import (
    Size,
    by_presence,
    check_extent,
    keep_pelvis,
    motion,
    pinhole,
    seen_camera,
    spread,
    weak,
)

PHALP_FOCAL = 5000 / 256  # px per px of the longer side
_POSE_KEYS = ("pose", "pred_pose", "smpl_pose")
_SHAPE_KEYS = ("betas", "pred_shape", "pred_betas", "smpl_betas", "shape")


def _entries(data: object) -> list[dict]:
    """The values of a dictionary of dictionaries, else nothing."""
    if not isinstance(data, dict) or not data:
        return []
    values = list(data.values())
    return values if all(isinstance(value, dict) for value in values) else []


def is_phalp(data: object) -> bool:
    return any("tid" in frame and "smpl" in frame for frame in _entries(data))


def is_wham(data: object) -> bool:
    return any("pose" in person and "trans" in person for person in _entries(data))


def is_cropped(data: object) -> bool:
    return any(
        first(person, *_POSE_KEYS) is not None and ("pred_cam" in person or "orig_cam" in person)
        for person in _people(data).values()
    )


def _people(data: object) -> dict:
    """{number: person}, of a file of one or of several people."""
    if isinstance(data, dict) and first(data, *_POSE_KEYS) is not None:
        return {0: data}
    return dict(data) if _entries(data) else {}


def read_phalp(data: dict, name: str, body: BodyModel | None, size: Size) -> tuple[SmplParams, ...]:
    frames = _entries(data)
    if all("time" in frame for frame in frames):
        frames = sorted(frames, key=lambda frame: scalar(frame["time"], "time"))
    found: dict[int, dict[int, tuple]] = {}
    sizes = set()
    for number, frame in enumerate(frames):
        for ident, person, eye, extent in _seen(frame, number):
            found.setdefault(ident, {})[number] = (person, eye)
            sizes.add(extent)
    if not found:
        raise InputError("holds no tracked person in any of its frames")
    if len(sizes) > 1:
        raise InputError(f"has frames of different sizes {sorted(sizes)}; one size is right")
    check_extent(len(frames), len(found))
    (extent,) = sizes
    tracks = [
        _phalp_track(ident, seen, len(frames), extent, body)
        for ident, seen in sorted(found.items())
    ]
    return by_presence(tracks)


def _seen(frame: dict, number: int):
    """The people seen in a frame of PHALP: (id, smpl, translation, (height, width))."""
    keys = ["tid", "smpl", "camera", "size"]
    keys += ["tracked_time"] if "tracked_time" in frame else []
    lists = [frame.get(key, []) for key in keys]
    if not all(isinstance(values, (list, tuple)) for values in lists):
        raise InputError(f"frame {number}: {', '.join(keys)} must be lists")
    if len({len(values) for values in lists}) != 1:
        raise InputError(f"frame {number}: {', '.join(keys)} differ in length")
    for ident, person, eye, extent, *since in zip(*lists, strict=True):
        if not isinstance(person, dict):
            continue  # a guess of the tracker
        eye = numbers(eye, f"frame {number}: camera").flatten()
        extent = numbers(extent, f"frame {number}: size").flatten()
        if len(eye) != 3 or len(extent) != 2:
            raise InputError(f"frame {number}: camera must be (3,) and size (height, width)")
        seen = not since or scalar(since[0], "tracked_time") <= 0
        if seen and eye[2] > NEAR:
            yield int(scalar(ident, "tid")), person, eye, tuple(extent.tolist())


def _phalp_track(ident: int, seen: dict, total: int, size: tuple, body) -> SmplParams:
    people = [person for person, _ in seen.values()]
    root, joints, betas = (
        _stacked(people, key, f"track {ident}: {key}")
        for key in ("global_orient", "body_pose", "betas")
    )
    pose = torch.cat(
        [rotations(root, "global_orient", (1,)), rotations(joints, "body_pose", (23,))], 1
    )
    eyes = torch.stack([eye for _, eye in seen.values()])
    camera = keep_pelvis(pinhole(eyes, PHALP_FOCAL * max(size), size), "smpl", body)
    params = motion(pose, betas, "smpl", camera, body=body, track=ident)
    return spread(params, list(seen), total)


def _stacked(people: list[dict], key: str, what: str) -> Tensor:
    values = [numbers(person.get(key), what) for person in people]
    if len({value.shape for value in values}) != 1:
        raise InputError(f"{what} must have the same shape in every frame")
    return torch.stack(values)


def read_wham(data: dict, name: str, body: BodyModel | None, size: Size) -> tuple[SmplParams, ...]:
    def camera(person: dict, frames: int) -> tuple[Camera, None]:
        translation = rows(person.get("trans"), "trans", 3, frames)
        return seen_camera(translation, size, name), None

    return _read_people(data, camera, body)


def read_cropped(
    data: dict, name: str, body: BodyModel | None, size: Size
) -> tuple[SmplParams, ...]:
    return _read_people(data, lambda person, frames: _crop_camera(person, frames, size), body)


def _read_people(data: dict, camera_of, body: BodyModel | None) -> tuple[SmplParams, ...]:
    people = _people(data)
    frames = {key: _frame_ids(person, key) for key, person in people.items()}
    total = max(ids[-1] for ids in frames.values()) + 1
    check_extent(total, len(people))
    tracks = []
    for number, (key, person) in enumerate(people.items()):
        ident = int(key) if isinstance(key, int) or str(key).isdecimal() else number
        pose = rotations(first(person, *_POSE_KEYS), f"person {key}: pose", (24,))
        if len(pose) != len(frames[key]):
            raise InputError(f"person {key} has {len(pose)} poses but {len(frames[key])} frame_ids")
        betas = first(person, *_SHAPE_KEYS)
        betas = None if betas is None else numbers(betas, f"person {key}: betas")
        camera, wrong = camera_of(person, len(pose))
        camera = keep_pelvis(camera, "smpl", body)
        params = motion(pose, betas, "smpl", camera, body=body, track=ident)
        if wrong is not None:
            params = replace(params, valid=~wrong, confidence=params.confidence * ~wrong[:, None])
        tracks.append(spread(params, frames[key], total))
    return by_presence(tracks)


def _frame_ids(person: dict, key: object) -> list[int]:
    """Ascending whole numbers; without them the frames follow each other from 0."""
    given = person.get("frame_ids")
    if given is None:
        return list(range(len(rotations(first(person, *_POSE_KEYS), "pose", (24,)))))
    ids = numbers(given, f"person {key}: frame_ids").flatten()
    if not len(ids) or ids[0] < 0 or (ids.diff() <= 0).any() or (ids != ids.round()).any():
        raise InputError(
            f"person {key}: frame_ids must be whole numbers that ascend from 0 or more"
        )
    check_extent(int(ids[-1]), 1)
    return ids.long().tolist()


def _crop_camera(person: dict, frames: int, size: Size) -> tuple[Camera | None, Tensor | None]:
    """The crop's (s, tx, ty) on the whole picture, and the frames (T,) in which it makes no sense.

    A crop of h px: S = s h / 2 px per metre, centre = S t + centre of the crop. ``orig_cam`` is the
    same divided by half the picture's sides, so the two together tell the picture's size.
    """
    crop = (
        None if person.get("pred_cam") is None else rows(person["pred_cam"], "pred_cam", 3, frames)
    )
    boxes = None if person.get("bboxes") is None else rows(person["bboxes"], "bboxes", 4, frames)
    whole = (
        None if person.get("orig_cam") is None else rows(person["orig_cam"], "orig_cam", 4, frames)
    )
    if crop is not None and boxes is not None:
        scale = crop[:, 0] * boxes[:, 3] / 2
        center = crop[:, 1:] * scale[:, None] + boxes[:, :2]
        if size is None and whole is not None:
            sides = 2 * scale[:, None] / whole[:, :2]  # width, height
            sound = sides[(scale > 0) & torch.isfinite(sides).all(1)]
            size = tuple(sound.median(0).values.flip(0).tolist()) if len(sound) else None
    elif whole is not None and size is not None:
        half = whole.new_tensor([size[1] / 2, size[0] / 2])
        scale = (whole[:, :2] * half).mean(1)
        center = (whole[:, 2:] * whole[:, :2] + 1) * half
    else:
        return None, None
    wrong = scale <= 0
    if size is None or wrong.all():
        return None, None
    scale = torch.where(wrong, scale[~wrong].median(), scale)
    return weak(scale, center, size), wrong if wrong.any() else None
