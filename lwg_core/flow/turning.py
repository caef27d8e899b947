"""A scene turned about a point, for a camera that stays: what new views are made of.

The rotation is applied to the person; the camera keeps its lens and its picture. A camera without
perspective tells depth by size alone: it is taken to stand ASSUMED_DISTANCE away.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..body.model import BodyModel
from ..body.params import SmplParams
from ..body.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from ..errors import InputError
from ..render.camera import Camera
from .contact import ASSUMED_DISTANCE
from .window import person_box

SMALLEST_FIT = 0.2  # a person is not made smaller than that to stay in the picture
NEAREST = 0.2  # metres in front of the eye: as near as a new view may bring the body's middle


def places(camera: Camera, behind: Tensor) -> Tensor:
    """(T, 3) metres: the model origin relative to the eye.

    Without perspective the size tells the depth of the body's middle, ``behind`` (() or (T,))
    metres behind the origin, and the camera stands ASSUMED_DISTANCE away in frame 0.
    """
    if camera.focal is not None:
        return camera.translation
    planar = (camera.center - camera.principal_point) / camera.scale[:, None]
    depth = ASSUMED_DISTANCE * camera.scale[0] / camera.scale - behind
    return torch.cat([planar, depth[:, None]], 1)


def placed(camera: Camera, place: Tensor, behind: Tensor) -> Camera:
    """``camera`` with the body at ``place`` (T, 3), the inverse of ``places``."""
    if camera.focal is not None:
        return Camera.from_pinhole(camera.focal, place, camera.size, camera.principal_point)
    scale = ASSUMED_DISTANCE * camera.scale[0] / (place[:, 2] + behind)
    center = camera.principal_point + place[:, :2] * scale[:, None]
    return replace(camera, scale=scale, center=center)


@dataclass(frozen=True)
class Pivot:
    """point: (3,) metres from the eye, about which the scene turns. middle: (3,) the body's middle
    from the model origin, in the frame that the pivot belongs to."""

    point: Tensor
    middle: Tensor


def find_pivot(
    params: SmplParams, body: BodyModel, offsets: Tensor | None, frame: int | None = None
) -> Pivot:
    """The body's middle, the pelvis at half the body's height: in ``frame``, or amid its travel."""
    one = params.select([frame or 0])
    y = body.vertices(one.pose, one.betas, offsets)[0, :, 1]
    pelvis = body.joints_rest(one.betas[None])[0, 0]
    middle = torch.stack([pelvis[0], (y.amin() + y.amax()) / 2, pelvis[2]])
    place = places(params.camera, middle[2])
    place = (place.amin(0) + place.amax(0)) / 2 if frame is None else place[frame]
    return Pivot(place + middle, middle)


def pivot_pixel(camera: Camera, pivot: Pivot) -> Tensor:
    """(2,) where the pivot is seen."""
    x, y, z = pivot.point
    scale = ASSUMED_DISTANCE * camera.scale[0] if camera.focal is None else camera.focal[0]
    return camera.principal_point[0] + torch.stack([x, y]) * scale / z


def turn_scene(params: SmplParams, body: BodyModel, view: Tensor, pivot: Pivot) -> SmplParams:
    """All of the scene turned by ``view`` (T, 3, 3) about the pivot.

    The model turns about its pelvis p: R (v - p) + p plus the new place must be R of what was.
    """
    pelvis, middle = body.joints_rest(params.betas[None])[0, 0], pivot.middle
    place = places(params.camera, middle[2]) + pelvis - pivot.point
    place = (view @ place[..., None]).squeeze(-1) + pivot.point - pelvis
    behind = (view @ (middle - pelvis))[:, 2] + pelvis[2]
    near = place[:, 2] + behind < NEAREST
    if near.any():
        raise InputError(
            f"this view puts the person behind the viewer in frames "
            f"{near.nonzero().flatten()[:10].tolist()}, because the motion travels that far; use "
            "another angle or the camera strategy 'source'"
        )
    pose = params.pose.clone()
    pose[:, 0] = matrix_to_axis_angle(view @ axis_angle_to_matrix(pose[:, 0]))
    return replace(params, pose=pose, camera=placed(params.camera, place, behind))


Box = tuple[float, float, float, float]  # left, top, right, bottom, pixels


def picture_box(params: SmplParams, body: BodyModel, offsets: Tensor | None) -> Box:
    """The picture, and what of the person is outside it already."""
    left, top, right, bottom = person_box(params, body, offsets)
    height, width = params.camera.size
    return min(left, 0.0), min(top, 0.0), max(right, width), max(bottom, height)


def zoom_about(box: Box, inside: Box, anchor: Tensor) -> float:
    """Zoom, at most 1, about ``anchor`` that brings ``box`` inside."""
    x, y = anchor.tolist()
    middle, signs = (x, y, x, y), (-1, -1, 1, 1)
    reach = [
        (sign * (limit - at), sign * (edge - at))
        for edge, limit, at, sign in zip(box, inside, middle, signs, strict=True)
    ]
    return max(min([1.0, *(free / used for free, used in reach if used > free)]), SMALLEST_FIT)


def zoom_anywhere(box: Box, inside: Box) -> float:
    """Zoom, at most 1, that makes ``box`` as small as ``inside``, wherever it lies."""
    sides = [(inside[k + 2] - inside[k]) / (box[k + 2] - box[k]) for k in (0, 1)]
    return max(min(1.0, *sides), SMALLEST_FIT)


def move_inside(seen: SmplParams, box: Box, inside: Box) -> SmplParams:
    """``seen`` with its picture moved as little as it takes to bring ``box`` inside."""
    shift = [max(0.0, inside[k] - box[k]) - max(0.0, box[k + 2] - inside[k + 2]) for k in (0, 1)]
    shift = seen.camera.center.new_tensor(shift)
    principal = None if seen.camera.focal is None else seen.camera.principal_point + shift
    camera = replace(seen.camera, center=seen.camera.center + shift, principal=principal)
    return replace(seen, camera=camera)


def zoom_box(box: Box, anchor: Tensor, zoom: float) -> Box:
    x, y = anchor.tolist()
    return tuple(at + (edge - at) * zoom for edge, at in zip(box, (x, y, x, y), strict=True))


def zoomed(seen: SmplParams, anchor: Tensor, zoom: float) -> SmplParams:
    """``seen`` with its picture scaled about the pixel ``anchor``."""
    camera = seen.camera
    scaled = replace(
        camera,
        scale=camera.scale * zoom,
        center=anchor + (camera.center - anchor) * zoom,
        focal=None if camera.focal is None else camera.focal * zoom,
        principal=(
            None if camera.focal is None else anchor + (camera.principal_point - anchor) * zoom
        ),
    )
    return replace(seen, camera=scaled)
