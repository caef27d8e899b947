"""2D keypoints of people, read from POSE_KEYPOINT (OpenPose JSON).

Order inside: the 18 keypoints of OpenPose's COCO model, then its six foot points; other layouts are
reordered at the door. Left and right are the person's own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from .layouts import BODY_COUNT, KEYPOINT_NAMES, LEAST_SCORE, ROWS, extent, read_person

MIRRORED = tuple(
    KEYPOINT_NAMES.index(
        n.replace("left", "x").replace("right", "left").replace("x", "right") if "_" in n else n
    )
    for n in KEYPOINT_NAMES
)
MINIMUM_POINTS = 6
MARGIN = 0.02  # of the picture's long side: a point farther outside it is a guess


@dataclass(frozen=True)
class Keypoints:
    """Keypoints of one person over T frames.

    points: (T, 24, 2) pixel position (x, y) in the image, KEYPOINT_NAMES order; 0 where missing.
    confidence: (T, 24) in 0..1, 0 = missing.
    size: (height, width) of the image in pixels.
    hands: (T, 2, 3) x, y, confidence of the middle of the knuckles, left and right hand: where the
        hand joints of a body lie; 0 where missing. None = there are no hands.
    """

    points: Tensor
    confidence: Tensor
    size: tuple[int, int]
    hands: Tensor | None = None

    def __len__(self) -> int:
        return self.points.shape[0]

    @property
    def usable(self) -> Tensor:
        """(T,) bool: frames with enough body points to fit a body."""
        return (self.confidence[:, :BODY_COUNT] > 0).sum(1) >= MINIMUM_POINTS


@dataclass(frozen=True)
class Detections:
    """Everybody whom a detector found.

    frames: of T frames the people, (26, 3) x, y (image pixels) and confidence each: KEYPOINT_NAMES
        and the knuckles of the left and right hand, zeros where missing.
    size: (height, width) of the image in pixels.
    """

    frames: tuple[tuple[np.ndarray, ...], ...]
    size: tuple[int, int]


def parse_pose_keypoints(
    data: object, size: tuple[int, int] | None = None, person: int | None = None
) -> Keypoints:
    """One person of POSE_KEYPOINT; ``data`` and ``size`` as in ``read_people``.

    person: number of the person in each frame, None = the largest one of each. Detectors number
    people anew in every frame; ``people.track_people`` follows them. Frames in which the person is
    missing are kept, with no points.
    """
    if person is not None and (not isinstance(person, int) or person < 0):
        raise InputError(f"person must be 0, 1, 2, ... or None for the largest; got {person!r}")
    found = read_people(data, size)
    if person is not None and all(person >= len(people) for people in found.frames):
        most = max(len(people) for people in found.frames)
        raise InputError(
            f"POSE_KEYPOINT: there is no person {person}; "
            f"at most {most} {'person was' if most == 1 else 'persons were'} found in a frame"
        )
    keypoints = stack_keypoints([_choose(people, person) for people in found.frames], found.size)
    check_usable(keypoints)
    return keypoints


def stack_keypoints(people: Sequence[np.ndarray | None], size: tuple[int, int]) -> Keypoints:
    """T frames of one person, (26, 3) as in ``Detections`` or None."""
    rows = np.stack([np.zeros((ROWS, 3)) if person is None else person for person in people])
    body, hands = torch.from_numpy(rows).float().split([ROWS - 2, 2], 1)
    return Keypoints(body[..., :2], body[..., 2], size, hands if hands.any() else None)


def check_usable(keypoints: Keypoints) -> None:
    """Raise an InputError unless at least one frame has enough points for a body."""
    if not keypoints.usable.any():
        most = int((keypoints.confidence[:, :BODY_COUNT] > 0).sum(1).max())
        raise InputError(
            f"POSE_KEYPOINT: only {most} body keypoints are usable; at least {MINIMUM_POINTS} "
            f"inside the picture, with a confidence of at least {LEAST_SCORE}, are needed"
        )


def read_people(data: object, size: tuple[int, int] | None = None) -> Detections:
    """Read POSE_KEYPOINT: a frame, a list of frames, their JSON text or the path of a JSON file.

    size: (height, width) of the image that the keypoints belong to; None = the canvas's own.

    Each frame holds ``canvas_width``, ``canvas_height`` and ``people`` with ``pose_keypoints_2d``:
    18 (COCO), 24 (COCO and feet), 25 (BODY_25), 133 or 134 (COCO-WholeBody without or with a neck)
    triples x, y, confidence, and perhaps ``foot_keypoints_2d`` (6), ``face_keypoints_2d`` (68 or
    70), ``hand_left_keypoints_2d`` and ``hand_right_keypoints_2d`` (21). Coordinates are pixels of
    the canvas, or fractions of it. A point is missing where it is at 0, 0 or -1, -1, null or NaN,
    outside the picture or less certain than LEAST_SCORE: some detectors always give all points.
    """
    frames = [_frame(frame, number) for number, frame in enumerate(_load(data))]
    seen = [points[points[:, 2] > 0, :2] for people, _ in frames for points in people]
    if not seen:
        raise InputError("POSE_KEYPOINT: no person was found in any frame")
    if not any(len(points) for points in seen):
        raise InputError(
            "POSE_KEYPOINT: every keypoint is missing (at 0, 0, or with a confidence below "
            f"{LEAST_SCORE})"
        )
    # Nobody is two pixels tall, and a point just outside the canvas may pass 1.
    fractions = max(np.abs(points).max() for points in seen if len(points)) <= 2
    if size is None:
        size = next((canvas for _, canvas in frames if canvas is not None), None)
    if size is None:
        raise InputError(
            "POSE_KEYPOINT: canvas_width and canvas_height are missing; give the image's size"
        )
    placed = []
    for number, (people, canvas) in enumerate(frames):
        canvas = canvas or size
        ratio = size[1] / canvas[1] / (size[0] / canvas[0])
        if abs(ratio - 1) > 0.03:
            raise InputError(
                f"POSE_KEYPOINT: the canvas of frame {number} is {canvas[1]}x{canvas[0]} but the "
                f"image is {size[1]}x{size[0]}; they must have the same proportions"
            )
        factor = (size[1], size[0]) if fractions else (size[1] / canvas[1], size[0] / canvas[0])
        placed.append(tuple(_place(points, factor, size) for points in people))
    return Detections(tuple(placed), size)


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
    """One frame -> the people's (26, 3) arrays as stored; the canvas (height, width) or None."""
    if not isinstance(frame, Mapping) or "people" not in frame:
        raise InputError(
            f"POSE_KEYPOINT: frame {number} must be an object with 'people' (OpenPose JSON)"
        )
    people = frame["people"] if frame["people"] is not None else []
    if not isinstance(people, list | tuple):
        raise InputError(f"POSE_KEYPOINT: 'people' of frame {number} must be a list")
    found = [read_person(p, f"person {i} of frame {number}") for i, p in enumerate(people)]
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


def _place(points: np.ndarray, factor: tuple[float, float], size: tuple[int, int]) -> np.ndarray:
    """Stored points -> image pixels, without those that lie outside the picture."""
    placed = points * (*factor, 1.0)
    margin = MARGIN * max(size)
    low, high = -margin, np.array([size[1], size[0]]) + margin
    placed[((placed[:, :2] < low) | (placed[:, :2] > high)).any(1)] = 0
    return placed


def _choose(people: tuple[np.ndarray, ...], person: int | None) -> np.ndarray | None:
    """The person's (26, 3) array, None if this frame does not have them."""
    if person is not None:
        people = people[person : person + 1]
    return max(people, key=extent, default=None)
