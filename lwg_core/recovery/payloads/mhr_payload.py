"""Reading MHR_POSE_DATA: frames of persons, their mesh and the lens that saw them, all checked.

``frames`` (per frame a list of persons, the same person at the same place), ``faces`` (F, 3),
``image_size`` (height, width). A person: ``pred_vertices`` (18439, 3) and ``pred_keypoints_3d``
(70, 3) in metres, x right, y down, z forward; ``pred_cam_t`` (3,) and ``focal_length`` px of a
pinhole whose principal point is the middle of the image:

    pixel = focal (point + cam_t)_xy / (point + cam_t)_z + middle

One person, or a list of persons, as SAM 3D Body itself returns them, will do too.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...errors import InputError
from ...render.camera import Camera
from .arrays import LARGEST, LONGEST, frame_rate, image_size, need_mapping, to_tensor

log = logging.getLogger(__name__)

FORM = "the MHR_POSE_DATA of Predict SAM3D Body (frames of persons with pred_vertices)"
MANY_VERTICES = 1_000_000


@dataclass(frozen=True)
class Person:
    """One detection: keypoints (70, 3), pixels (70, 2) or None, vertices (V, 3) or None."""

    keypoints: Tensor
    pixels: Tensor | None
    vertices: Tensor | None
    translation: Tensor
    focal: float | None


@dataclass(frozen=True)
class Lens:
    """Focal length px (per person where None), principal point (2,) px, image (height, width)."""

    focal: float | None
    principal: Tensor
    size: tuple[int, int]

    @classmethod
    def of(cls, people: list[Person], size: tuple[int, int] | None) -> Lens:
        """From what the payload says, else solved from 2D and 3D keypoints of the same person."""
        focal, principal = None, None
        if size is None or any(p.focal is None for p in people):
            focal, principal = _solve_lens(people)
        if size is None:
            size = (round(2 * float(principal[1])), round(2 * float(principal[0])))
            if min(size) < 1 or max(size) > 1e5:
                raise InputError("MHR_POSE_DATA: image_size is missing; give the image's size")
        else:
            principal = torch.tensor([size[1] / 2, size[0] / 2])
        return cls(focal, principal, size)

    def camera(self, people: Sequence[Person]) -> Camera:
        focal = torch.tensor([self.focal if p.focal is None else p.focal for p in people])
        place = torch.stack([p.translation for p in people])
        middle = torch.tensor([self.size[1] / 2, self.size[0] / 2])
        centred = bool(torch.allclose(self.principal, middle, atol=0.01))
        principal = None if centred else self.principal.expand(len(people), 2)
        return Camera.from_pinhole(focal, place, self.size, principal)


def read_mhr(
    payload: object,
) -> tuple[list[list[Mapping]], Tensor | None, tuple[int, int] | None, float | None]:
    """Frames of persons, faces, (height, width) and frames per second behind any accepted form."""
    faces, size, fps = None, None, None
    frames = payload
    if isinstance(payload, Mapping):
        if "_skeleton_override" in payload:
            raise InputError(f"MHR_POSE_DATA: this is another rig's skeleton, not {FORM}")
        if payload.get("faces") is not None:
            faces = to_tensor(payload["faces"], "MHR_POSE_DATA: faces", ((None, 3),)).long()
        if payload.get("image_size") is not None:
            size = image_size(payload["image_size"], "MHR_POSE_DATA: image_size")
        if payload.get("fps") is not None:
            fps = frame_rate(payload["fps"], "MHR_POSE_DATA: fps")
        frames = payload["frames"] if "frames" in payload else [[payload]]
    if not isinstance(frames, list | tuple) or not len(frames):
        found = "an empty list" if isinstance(frames, list | tuple) else type(frames).__name__
        raise InputError(f"MHR_POSE_DATA must be {FORM}; got {found}")
    if all(isinstance(entry, Mapping) for entry in frames):
        frames = [list(frames)]  # the persons of one picture
    if len(frames) > LONGEST:
        raise InputError(f"MHR_POSE_DATA: {len(frames):,} frames; at most {LONGEST:,} make sense")
    for number, frame in enumerate(frames):
        if not isinstance(frame, list | tuple):
            raise InputError(
                f"MHR_POSE_DATA: frame {number} must be a list of persons; "
                f"got {type(frame).__name__}"
            )
        if len(frame) > 1000:
            raise InputError(f"MHR_POSE_DATA: frame {number} claims {len(frame):,} persons")
    return [list(frame) for frame in frames], faces, size, fps


def read_person(person: object, name: str) -> Person | None:
    """One detection, or None where the tracker had lost the person or the numbers are broken."""
    right = "an object with pred_keypoints_3d, pred_vertices and pred_cam_t"
    person = need_mapping(person, name, right)
    missing = [k for k in ("pred_keypoints_3d", "pred_cam_t") if person.get(k) is None]
    if missing:
        raise InputError(f"{name} must be {right}; it has no {' and no '.join(missing)}")

    def read(key: str, *shapes: tuple[int | None, ...]) -> Tensor | None:
        value = person.get(key)
        if value is None:
            return None
        tensor = to_tensor(value, f"{name}, {key},", (*shapes, *((1, *s) for s in shapes)))
        return tensor.reshape(tensor.shape[-len(shapes[0]) :])

    keypoints = read("pred_keypoints_3d", (None, 3))
    if len(keypoints) < 70:
        raise InputError(f"{name}, pred_keypoints_3d, must be (70, 3); got {len(keypoints)} points")
    vertices = read("pred_vertices", (None, 3))
    if vertices is not None and not 500 <= len(vertices) <= MANY_VERTICES:
        raise InputError(f"{name}, pred_vertices, must be a body's; got {len(vertices)} vertices")
    translation = read("pred_cam_t", (3,))
    pixels = read("pred_keypoints_2d", (None, 2))
    focal = person.get("focal_length")
    if focal is not None:
        focal = float(to_tensor(focal, f"{name}, focal_length,", ((), (1,), (2,), (1, 1))).mean())
    if _mask_is_empty(person.get("mask")):
        return None
    parts = [keypoints[:70], translation] + ([] if vertices is None else [vertices])
    if not all(torch.isfinite(p).all() for p in parts) or not _is_somewhere(keypoints, translation):
        log.warning("%s holds NaN, infinite or impossible values: left out", name)
        return None
    if focal is not None and not 1 <= focal <= 1e7:
        raise InputError(f"{name}, focal_length, must be pixels above zero; got {focal}")
    if pixels is not None and (len(pixels) < 70 or not torch.isfinite(pixels[:70]).all()):
        pixels = None
    return Person(
        keypoints[:70], None if pixels is None else pixels[:70], vertices, translation, focal
    )


def _is_somewhere(keypoints: Tensor, translation: Tensor) -> bool:
    """A body of a size, wholly before the camera."""
    extent = float((keypoints.amax(0) - keypoints.amin(0)).norm())
    return 0.05 < extent < 100 and bool((keypoints[:, 2] + translation[2] > 0.01).all())


def _mask_is_empty(mask: object) -> bool:
    """The tracker's mask is there and shows nobody: the body was made up from the whole frame."""
    if not isinstance(mask, Tensor | np.ndarray) or not 0 < math.prod(mask.shape) <= LARGEST:
        return False
    return not bool((mask != 0).any())


def indexes(faces: Tensor, count: int) -> bool:
    return bool(((faces >= 0) & (faces < count)).all())


def _solve_lens(people: list[Person]) -> tuple[float, Tensor]:
    """Focal length and principal point (2,) px that take 3D keypoints to 2D ones, least squares."""
    rows, values = [], []
    for person in people[:50]:
        if person.pixels is None:
            continue
        moved = person.keypoints + person.translation
        slope = (moved[:, :2] / moved[:, 2:]).double()
        one, zero = torch.ones_like(slope[:, 0]), torch.zeros_like(slope[:, 0])
        rows += [torch.stack([slope[:, 0], one, zero], 1), torch.stack([slope[:, 1], zero, one], 1)]
        values += [person.pixels[:, 0].double(), person.pixels[:, 1].double()]
    if not rows:
        raise InputError(
            "MHR_POSE_DATA: focal_length or image_size is missing and there are no 2D keypoints to "
            "find them from"
        )
    solved = torch.linalg.lstsq(torch.cat(rows), torch.cat(values)[:, None]).solution.flatten()
    if not 1 <= float(solved[0]) <= 1e7:
        raise InputError(
            "MHR_POSE_DATA: its 2D keypoints are not what its 3D keypoints look like; "
            "focal_length and image_size are needed"
        )
    return float(solved[0]), solved[1:].float()
