"""2D keypoints of one person, read from POSE_KEYPOINT (OpenPose JSON).

Order inside: the 18 keypoints of OpenPose's COCO model, then its six foot points. BODY_25 input is
reordered at the door. Left and right are the person's own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError

KEYPOINT_NAMES = (
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist "
    "right_hip right_knee right_ankle left_hip left_knee left_ankle right_eye left_eye "
    "right_ear left_ear "
    "left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel"
).split()
BODY_COUNT = 18
MIRRORED = tuple(
    KEYPOINT_NAMES.index(
        n.replace("left", "x").replace("right", "left").replace("x", "right") if "_" in n else n
    )
    for n in KEYPOINT_NAMES
)
FROM_BODY_25 = (*range(8), *range(9, 25))  # without 8, the middle of the hips
MINIMUM_POINTS = 6


@dataclass(frozen=True)
class Keypoints:
    """Keypoints of one person over T frames.

    points: (T, 24, 2) pixel position (x, y) in the image, KEYPOINT_NAMES order; 0 where missing.
    confidence: (T, 24) in 0..1, 0 = missing.
    size: (height, width) of the image in pixels.
    """

    points: Tensor
    confidence: Tensor
    size: tuple[int, int]

    def __len__(self) -> int:
        return self.points.shape[0]

    @property
    def usable(self) -> Tensor:
        """(T,) bool: frames with enough body points to fit a body."""
        return (self.confidence[:, :BODY_COUNT] > 0).sum(1) >= MINIMUM_POINTS


def parse_pose_keypoints(
    data: object, size: tuple[int, int] | None = None, person: int | None = None
) -> Keypoints:
    """Read POSE_KEYPOINT: a frame, a list of frames, their JSON text or the path of a JSON file.

    size: (height, width) of the image that the keypoints belong to; None = the canvas's own.
    person: number of the person in each frame, None = the largest one.

    Each frame holds ``canvas_width``, ``canvas_height`` and ``people`` with ``pose_keypoints_2d``:
    18 (COCO), 24 (COCO and feet) or 25 (BODY_25) triples x, y, confidence, and perhaps
    ``foot_keypoints_2d`` of six. Coordinates are pixels of the canvas, or fractions of it. Frames
    in which the person is missing are kept, with no points.
    """
    if person is not None and (not isinstance(person, int) or person < 0):
        raise InputError(f"person must be 0, 1, 2, ... or None for the largest; got {person!r}")
    frames = [_frame(frame, number) for number, frame in enumerate(_load(data))]
    if person is not None and all(person >= len(people) for people, _ in frames):
        most = max(len(people) for people, _ in frames)
        raise InputError(
            f"POSE_KEYPOINT: there is no person {person}; "
            f"at most {most} {'person was' if most == 1 else 'persons were'} found in a frame"
        )
    seen = [points[points[:, 2] > 0, :2] for people, _ in frames for points in people]
    if not seen:
        raise InputError("POSE_KEYPOINT: no person was found in any frame")
    if not any(len(points) for points in seen):
        raise InputError("POSE_KEYPOINT: every keypoint is missing (confidence 0 or at 0, 0)")
    # Nobody is two pixels tall, and a point just outside the canvas may pass 1.
    fractions = max(np.abs(points).max() for points in seen if len(points)) <= 2
    if size is None:
        size = next((canvas for _, canvas in frames if canvas is not None), None)
    if size is None:
        raise InputError(
            "POSE_KEYPOINT: canvas_width and canvas_height are missing; give the image's size"
        )
    chosen = []
    for number, (people, canvas) in enumerate(frames):
        canvas = canvas or size
        ratio = size[1] / canvas[1] / (size[0] / canvas[0])
        if abs(ratio - 1) > 0.03:
            raise InputError(
                f"POSE_KEYPOINT: the canvas of frame {number} is {canvas[1]}x{canvas[0]} but the "
                f"image is {size[1]}x{size[0]}; they must have the same proportions"
            )
        factor = (size[1], size[0]) if fractions else (size[1] / canvas[1], size[0] / canvas[0])
        placed = [_place(points, factor, size) for points in people]
        chosen.append(_choose(placed, person))
    stacked = torch.from_numpy(np.stack(chosen)).float()
    keypoints = Keypoints(stacked[..., :2], stacked[..., 2], size)
    if not keypoints.usable.any():
        most = int((stacked[:, :BODY_COUNT, 2] > 0).sum(1).max())
        raise InputError(
            f"POSE_KEYPOINT: only {most} body keypoints are usable; "
            f"at least {MINIMUM_POINTS} are needed"
        )
    return keypoints


def _load(data: object) -> list:
    """The list of frames behind any accepted form."""
    if isinstance(data, str) and data.lstrip()[:1] in ("{", "["):
        data = _decode(data, "the text")
    elif isinstance(data, str | PathLike):
        path = Path(data)
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a NUL in the name
            raise InputError(f"POSE_KEYPOINT: cannot read {str(path)[:200]!r} ({error})") from None
        data = _decode(text, path.name)
    if isinstance(data, Mapping):
        data = [data]
    if not isinstance(data, list | tuple):
        raise InputError(
            "POSE_KEYPOINT must be a list of frames, one frame, JSON text or the path of a JSON "
            f"file; got {type(data).__name__}"
        )
    if not data:
        raise InputError("POSE_KEYPOINT: the list holds no frame")
    return list(data)


def _decode(text: str, name: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"POSE_KEYPOINT: {name} is not valid JSON ({error})") from None


def _frame(frame: object, number: int) -> tuple[list[np.ndarray], tuple[int, int] | None]:
    """One frame -> the people's (24, 3) arrays as stored; the canvas (height, width) or None."""
    if not isinstance(frame, Mapping) or "people" not in frame:
        raise InputError(
            f"POSE_KEYPOINT: frame {number} must be an object with 'people' (OpenPose JSON)"
        )
    people = frame["people"] if frame["people"] is not None else []
    if not isinstance(people, list | tuple):
        raise InputError(f"POSE_KEYPOINT: 'people' of frame {number} must be a list")
    found = [_person(p, f"person {i} of frame {number}") for i, p in enumerate(people)]
    canvas = []
    for key in ("canvas_height", "canvas_width"):
        value = frame.get(key)
        if value is None:
            return found, None
        if not isinstance(value, Real) or not 1 <= value <= 1e5:
            raise InputError(
                f"POSE_KEYPOINT: {key} of frame {number} must be a size in pixels; "
                f"got {str(value)[:40]}"
            )
        canvas.append(int(value))
    return found, (canvas[0], canvas[1])


def _person(person: object, name: str) -> np.ndarray:
    """One person -> (24, 3) x, y, confidence as stored; zeros where missing."""
    if not isinstance(person, Mapping):
        raise InputError(f"POSE_KEYPOINT: {name} must be an object with 'pose_keypoints_2d'")
    points = np.zeros((len(KEYPOINT_NAMES), 3))
    body = _triples(person.get("pose_keypoints_2d"), f"pose_keypoints_2d of {name}", (18, 24, 25))
    if len(body) == 25:
        body = body[list(FROM_BODY_25)]
    points[: len(body)] = body
    feet = _triples(person.get("foot_keypoints_2d"), f"foot_keypoints_2d of {name}", (6,))
    if len(feet):
        points[BODY_COUNT:] = feet
    missing = ~np.isfinite(points).all(1) | (points[:, 2] <= 0) | (points[:, :2] == 0).all(1)
    points[missing] = 0
    return points


def _triples(values: object, name: str, counts: Sequence[int]) -> np.ndarray:
    """Flat numbers -> (n, 3); None and an empty list mean no point."""
    if isinstance(values, np.ndarray | Tensor):
        values = values.tolist()
    if values is None or (isinstance(values, list | tuple) and not values):
        return np.zeros((0, 3))
    expected = " or ".join(str(3 * n) for n in counts)
    if not isinstance(values, list | tuple) or len(values) not in [3 * n for n in counts]:
        got = f"{len(values)}" if isinstance(values, list | tuple) else type(values).__name__
        raise InputError(f"POSE_KEYPOINT: {name} must be a list of {expected} numbers; got {got}")
    if not all(v is None or isinstance(v, Real) for v in values):
        raise InputError(f"POSE_KEYPOINT: {name} holds something that is not a number")
    # Python integers have no bound: what no float can hold is as missing as null and infinity.
    clean = [math.nan if v is None or not abs(v) < 1e30 else float(v) for v in values]
    return np.array(clean).reshape(-1, 3)


def _place(points: np.ndarray, factor: tuple[float, float], size: tuple[int, int]) -> np.ndarray:
    """Stored points -> image pixels. What lies a whole image away is no point of the picture."""
    height, width = size
    placed = points * (*factor, 1.0)
    x, y = placed[:, 0], placed[:, 1]
    near = (x > -width) & (x < 2 * width) & (y > -height) & (y < 2 * height)
    placed[~near] = 0
    placed[:, 2] = placed[:, 2].clip(0, 1)  # some detectors give scores above 1
    return placed


def _choose(people: list[np.ndarray], person: int | None) -> np.ndarray:
    """The person's (24, 3) array, zeros if this frame does not have them."""
    if person is not None:
        people = people[person : person + 1]
    return max(people, key=_extent, default=np.zeros((len(KEYPOINT_NAMES), 3)))


def _extent(points: np.ndarray) -> float:
    """Diagonal of the box around the seen points, pixels."""
    seen = points[points[:, 2] > 0, :2]
    return float(np.linalg.norm(np.ptp(seen, axis=0))) if len(seen) else -1.0
