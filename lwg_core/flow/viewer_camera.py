"""Cameras of three.js viewers: the LOAD3D_CAMERA of ComfyUI's 3D nodes.

A dict in a right-handed world, y up: ``position`` and ``target`` {x, y, z} in scene units,
``zoom``, and maybe ``quaternion`` {x, y, z, w}, the camera's rotation in the world; the camera
looks down its own -z. The person stands where it looks, upright and facing +z.

Scene units are nobody's metres, so only the direction, the roll and the zoom are used: the person
keeps the place, the distance and the lens of the source.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import InputError


def viewer_rotation(camera: dict) -> Tensor:
    """(1, 3, 3) view for ``novel_view(..., front=True)``."""
    if not isinstance(camera, dict):
        raise InputError("camera must be a LOAD3D_CAMERA, as the nodes of core ComfyUI give it")
    if camera.get("quaternion"):
        right, up, back = _axes(_numbers(camera, "quaternion", "xyzw"))
    else:
        back = _numbers(camera, "position", "xyz") - _numbers(camera, "target", "xyz")
        if back.norm() < 1e-6:
            raise InputError("camera: position and target are the same point; move one of them")
        back = back / back.norm()
        right = torch.linalg.cross(back.new_tensor([0.0, 1.0, 0.0]), back)
        if right.norm() < 1e-3:  # straight from above or below
            right = back.new_tensor([1.0, 0.0, 0.0])
        right = right / right.norm()
        up = torch.linalg.cross(back, right)
    into_camera = torch.stack([right, -up, -back])
    facing = torch.diag(into_camera.new_tensor([1.0, -1.0, -1.0]))  # seen from the front
    return (into_camera @ facing).float()[None]


def viewer_zoom(camera: dict) -> float:
    """Enlargement, 1 = none."""
    zoom = camera.get("zoom", 1.0)
    if not isinstance(zoom, int | float) or not (math.isfinite(zoom) and zoom > 0):
        raise InputError(f"camera: zoom must be a number above zero; got {zoom!r}")
    return float(zoom)


def _numbers(camera: dict, name: str, axes: str) -> Tensor:
    values = camera.get(name)
    try:
        found = torch.tensor([float(values[axis]) for axis in axes], dtype=torch.float64)
    except (TypeError, KeyError, ValueError):
        raise InputError(f"camera: {name} must hold the numbers {', '.join(axes)}") from None
    if not torch.isfinite(found).all():
        raise InputError(f"camera: {name} holds values that are not finite")
    return found


def _axes(quaternion: Tensor) -> Tensor:
    """World directions (3, 3), one per row, of the camera's own x, y, z."""
    length = quaternion.norm()
    if length < 1e-6:
        raise InputError("camera: quaternion is zero; it must be a rotation")
    x, y, z, w = (quaternion / length).tolist()
    return quaternion.new_tensor(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)],
            [2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w)],
            [2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
