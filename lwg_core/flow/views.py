"""Target conditions of novel view synthesis (paper sec. 3.6): the same body, seen anew.

A view is a rotation R of the person, in the camera frame, about the body's middle; the translation
follows from it, since that middle keeps its place and its distance from the eye. Bullet time and
many views at once are edits of the same kind.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..body.model import BodyModel
from ..body.params import SmplParams
from ..body.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from ..errors import InputError
from .contact import find_feet
from .turning import (
    Box,
    find_pivot,
    move_inside,
    picture_box,
    pivot_pixel,
    placed,
    places,
    turn_scene,
    zoom_about,
    zoom_anywhere,
    zoom_box,
    zoomed,
)
from .window import person_box

POSES = ("own", "T-pose", "A-pose")
MOST_FRAMES = 100_000
ARMS_DOWN = 45.0  # degrees, of the A-pose
_SHOULDERS = ((16, -1.0), (17, 1.0))  # joint, sign of its z angle that lowers the arm

Angles = float | Sequence[float] | Tensor


def view_rotation(yaw: Angles = 0.0, pitch: Angles = 0.0, roll: Angles = 0.0) -> Tensor:
    """Views (T, 3, 3) of angles in degrees, each one number or T of them.

    yaw: the person turns to their own left, so that 90 shows their right side. pitch: the viewer
    rises; 90 looks down from above. roll: the picture turns clockwise. In this order.
    """
    angles = []
    for name, value in (("yaw", yaw), ("pitch", pitch), ("roll", roll)):
        angle = torch.as_tensor(value, dtype=torch.float64).reshape(-1)
        if not len(angle) or not torch.isfinite(angle).all():
            raise InputError(f"{name} must be finite angles in degrees; got {value}")
        angles.append(angle)
    lengths = {len(angle) for angle in angles} - {1}
    if len(lengths) > 1:
        raise InputError(f"yaw, pitch and roll must be as many or one; got {sorted(lengths)}")
    frames = max(lengths, default=1)
    turns = [math.pi / 180 * angle.expand(frames) for angle in angles]
    zero = torch.zeros(frames, dtype=torch.float64)
    about_y = axis_angle_to_matrix(torch.stack([zero, -turns[0], zero], 1))
    about_x = axis_angle_to_matrix(torch.stack([turns[1], zero, zero], 1))
    about_z = axis_angle_to_matrix(torch.stack([zero, zero, turns[2]], 1))
    return (about_z @ about_x @ about_y).float()


def turntable(frames: int, turn: float = 360.0, start: float = 0.0) -> Tensor:
    """Yaws (T,) in degrees, ``turn`` from ``start`` on. Whole turns loop, without their end."""
    if not 1 <= frames <= MOST_FRAMES:
        raise InputError(f"frames must be 1 to {MOST_FRAMES}; got {frames}")
    if not (math.isfinite(turn) and math.isfinite(start)):
        raise InputError(f"turn and start must be finite degrees; got {turn} and {start}")
    steps = frames if turn % 360 == 0 else max(frames - 1, 1)
    return start + turn * torch.arange(frames) / steps


def novel_view(
    params: SmplParams,
    body: BodyModel,
    view: Tensor | None = None,
    pose: str = "own",
    front: bool = False,
    zoom: float = 1.0,
    offsets: Tensor | None = None,
) -> SmplParams:
    """The person of ``params`` from another side, in the same picture and at the same place.

    params: one frame, or a clip (a target of ``imitate``): then the whole scene turns about the
        middle of the person's travel.
    view: (V, 3, 3) from ``view_rotation`` or ``viewer_rotation``; None = unchanged. One frame
        becomes V frames; a clip of T frames takes 1 view or T.
    pose: "own", or an upright "T-pose" or "A-pose" on the ground where the person stands.
    front: views count from the person's front, not from the picture's view.
    zoom: enlargement about the person's middle. Without one, a person who would leave the picture
        is made as much smaller, in all frames alike, as it takes to stay inside (a clip is moved,
        too); as far outside as the person is in the first frame counts as inside.
    Returns max(T, V) frames with the body, the lens and the picture of ``params``.
    """
    _check(params, body)
    if pose not in POSES:
        raise InputError(f"pose '{pose}' does not exist; use one of {', '.join(POSES)}")
    if not (math.isfinite(zoom) and 0 < zoom <= 100):
        raise InputError(f"zoom must be above 0 and at most 100; got {zoom}")
    view = torch.eye(3)[None] if view is None else view
    if view.ndim != 3 or view.shape[1:] != (3, 3) or not torch.isfinite(view).all():
        raise InputError(f"view must be finite rotations (V, 3, 3); got {tuple(view.shape)}")
    frames = max(len(params), len(view))
    if len(view) not in (1, frames) or len(params) not in (1, frames):
        raise InputError(f"a clip of {len(params)} frames takes 1 view or as many; got {len(view)}")
    view = view.to(params.pose)
    start = params if pose == "own" else _posed(params, body, pose, offsets)
    if front:
        view = view @ view_rotation(-math.degrees(_heading(start.pose[0, 0]))).to(view)
    pivot = find_pivot(start, body, offsets)
    if len(start) < frames:
        start = start.select([0] * frames)
    seen = turn_scene(start, body, view.expand(frames, 3, 3), pivot)
    anchor = pivot_pixel(start.camera, pivot)
    if zoom != 1:
        return zoomed(seen, anchor, zoom)
    inside, box = picture_box(params.select([0]), body, offsets), person_box(seen, body, offsets)
    if len(params) == 1:
        return zoomed(seen, anchor, zoom_about(box, inside, anchor))
    return _framed(seen, anchor, zoom_anywhere(box, inside), box, inside)


def bullet_time(
    target: SmplParams,
    body: BodyModel,
    frame: int,
    frames: int,
    turn: float = 360.0,
    pitch: float = 0.0,
    offsets: Tensor | None = None,
) -> SmplParams:
    """``target`` stopped at ``frame`` while the viewer goes around for ``frames`` frames.

    turn: degrees of yaw in all; the clip goes on from the side that is reached. pitch: how high
    the viewer rises halfway round, degrees. Returns T + frames frames.
    """
    _check(target, body)
    length = len(target)
    if not 0 <= frame < length:
        raise InputError(f"frame must be 0 to {length - 1}, a frame of the target; got {frame}")
    if not 1 <= frames <= MOST_FRAMES:
        raise InputError(f"frames must be 1 to {MOST_FRAMES}; got {frames}")
    if not (math.isfinite(turn) and math.isfinite(pitch)):
        raise InputError(f"turn and pitch must be finite degrees; got {turn} and {pitch}")
    part = torch.arange(1, frames + 1) / frames
    stopped = view_rotation(turn * part, pitch * torch.sin(math.pi * part))
    last = view_rotation(turn).expand(length - frame - 1, 3, 3)
    view = torch.cat([torch.eye(3).expand(frame + 1, 3, 3), stopped, last]).to(target.pose)
    index = [*range(frame + 1), *[frame] * frames, *range(frame + 1, length)]
    pivot = find_pivot(target, body, offsets, frame)
    seen = turn_scene(target.select(index), body, view, pivot)
    anchor = pivot_pixel(target.camera, pivot)
    inside, box = picture_box(target, body, offsets), person_box(seen, body, offsets)
    return zoomed(seen, anchor, zoom_about(box, inside, anchor))


def multi_view(
    target: SmplParams,
    body: BodyModel,
    yaws: Sequence[float],
    pitch: float = 0.0,
    offsets: Tensor | None = None,
) -> tuple[SmplParams, ...]:
    """The same clip (or body) from several angles, in degrees: one target per yaw, of one size."""
    _check(target, body)
    if not len(yaws):
        raise InputError("yaws must name at least one angle")
    pivot = find_pivot(target, body, offsets)
    views = [view_rotation(float(yaw), pitch).to(target.pose) for yaw in yaws]
    seen = [turn_scene(target, body, view.expand(len(target), 3, 3), pivot) for view in views]
    anchor = pivot_pixel(target.camera, pivot)
    inside = picture_box(target.select([0]), body, offsets)
    boxes = [person_box(one, body, offsets) for one in seen]
    zoom = min(zoom_anywhere(box, inside) for box in boxes)
    return tuple(
        _framed(one, anchor, zoom, box, inside) for one, box in zip(seen, boxes, strict=True)
    )


def _framed(seen: SmplParams, anchor: Tensor, zoom: float, box: Box, inside: Box) -> SmplParams:
    return move_inside(zoomed(seen, anchor, zoom), zoom_box(box, anchor, zoom), inside)


def _check(params: SmplParams, body: BodyModel) -> None:
    if params.camera is None or params.betas is None:
        raise InputError(
            "a new view needs a body with shape and camera: recover it from a picture, or make a "
            "target with Imitate Motion"
        )
    if params.body_model != body.id:
        raise InputError(
            f"the body belongs to the body model '{params.body_model}', but the body model in use "
            f"is '{body.id}'; use the same one everywhere"
        )


def _heading(root: Tensor) -> float:
    """How far a root (3,) is turned to the person's left from facing the viewer, radians."""
    facing = axis_angle_to_matrix(root)[:, 2]  # the body's +z, in the camera frame
    return math.atan2(float(facing[0]), -float(facing[2]))


def _posed(params: SmplParams, body: BodyModel, pose: str, offsets: Tensor | None) -> SmplParams:
    """Upright, facing the same way as in the first frame, feet on the ground of that frame."""
    first = params.select([0])
    new = torch.zeros_like(first.pose)
    flip = axis_angle_to_matrix(first.pose.new_tensor([math.pi, 0.0, 0.0]))
    turn = view_rotation(math.degrees(_heading(first.pose[0, 0])))[0].to(flip)
    new[0, 0] = matrix_to_axis_angle(turn @ flip)
    if pose == "A-pose":
        for joint, sign in _SHOULDERS:
            new[0, joint, 2] = sign * math.radians(ARMS_DOWN)
    posed = replace(first, pose=new)
    shift = torch.zeros_like(new[:, 0])
    shift[:, 1] = find_feet(first, body, offsets).lowest - find_feet(posed, body, offsets).lowest
    place = places(first.camera, shift[:, 2]) + shift
    camera = placed(first.camera, place, shift[:, 2])
    return replace(posed, camera=camera).select([0] * len(params))
