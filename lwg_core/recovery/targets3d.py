"""3D points to SMPL parameters: joints or keypoints in metres, one picture or a clip.

Notable decisions:

- the start is a rigid fit (Kabsch) of the trunk in its usual pose; from there the solver follows
  the limbs by itself, so one start is enough, other than in 2D;
- a skeleton of another size is first brought to the body's: the length of a bone cannot tell a
  small adult from a child seen near, but a camera makes them the same picture;
- joints do not show how limbs twist about themselves; only the surface or rotations do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..body.model import BodyModel
from ..body.params import SmplParams
from ..body.rotations import matrix_to_axis_angle
from ..errors import InputError
from ..render.camera import Camera
from .kinematics import LinearPoints, fold
from .point_targets import OUTLIER, PointTargets, joint_table, no_picture
from .priors import RangeOfMotion, range_of_motion
from .solver import Bodies, Evidence, in_chunks
from .start3d import relative_scale, starting_bodies

MINIMUM_POINTS = 6
SHAPE_FRAMES = 32  # frames of a clip that are asked for the shape
REJECTED = 0.12  # metres of mean error above which the body is not to be trusted


@dataclass(frozen=True)
class PointFit:
    """params: T frames, betas shared by all; camera where one was given.

    error: (T,) mean distance of the given points to the body's, metres of the body.
    place: (T, 3) where the body's origin lies in the frame of the given points, metres of the body.
    scale: metres of the given points per metre of the body.
    messages: T sentences, "" where the body is valid.
    """

    params: SmplParams
    error: Tensor
    place: Tensor
    scale: float
    messages: tuple[str, ...]


def fit_points(
    points: Tensor,
    weight: Tensor,
    regressor: Tensor | None,
    body: BodyModel,
    camera: Camera | None = None,
    points2d: Tensor | None = None,
    *,
    weight2d: Tensor | None = None,
    scale: float | None = None,
    fps: float = 30.0,
    progress: Callable[[int, int], None] | None = None,
) -> PointFit:
    """Fit the body to T frames of 3D points, on the device of the body.

    points: (T, K, 3) metres, x right, y down, z forward, any origin. weight: (T, K), 0 = missing.
    regressor: (K, V) of the body model onto the points, taken of posed vertices; None = the 24
        joints about which the body turns, as SMPL defines them (near, but not at, what the joint
        regressor would give on the posed body).
    camera: the one for which ``camera.project(points)`` are pixels of the picture, or None. Its
        focal length and principal point are kept, its translation becomes the body's.
    points2d: (T, K, 2) pixels seen by that camera, with ``weight2d`` (None = ``weight``).
    scale: metres of the points per metre of the body; None = found from the lengths of bones, 1
        within what the shape explains.
    progress: called with (frames done, frames in all).
    """
    table = joint_table(body) if regressor is None else fold(body, regressor)
    like = table.offset
    _check(points, weight, len(table), camera, points2d)
    known = torch.isfinite(points).all(-1) & (weight > 0)
    weight = torch.where(known, weight, 0).to(like)
    points = torch.where(known[..., None], points, 0).to(like)
    good = ((weight > 0).sum(1) >= MINIMUM_POINTS).nonzero().flatten()
    if not len(good):
        raise InputError(f"3D points: no frame has the {MINIMUM_POINTS} points that a body needs")
    motion = range_of_motion(like.dtype, like.device)
    points, weight = points[good], weight[good]
    if scale is None:
        scale = relative_scale(table, motion, points, weight)
    targets = PointTargets(table, points / scale, weight)
    bodies = _fit_targets(table, motion, targets, progress)
    place = targets.place(bodies)
    error = targets.distance(bodies)

    seen = None if camera is None else camera.to(like.device).select(good)
    view = None if seen is None else moved_camera(seen, place, scale)
    if view is not None and points2d is not None:
        if weight2d is None:
            weight2d = weight
        else:
            weight2d = weight2d.to(like)[good]
        pixels = points2d.to(like)[good]
        bodies, view = refine_in_view(table, motion, targets, bodies, view, pixels, weight2d)
        error = targets.distance(bodies)
    nearest = (torch.arange(len(known))[:, None] - good.cpu()).abs().argmin(1).to(good)
    messages = _complaints(len(known), good, error)
    confidence = like.new_zeros(len(known), 24)
    confidence[good] = _confidence(table, weight)
    valid = torch.tensor([not m for m in messages], device=like.device)
    params = SmplParams(
        pose=matrix_to_axis_angle(bodies.rotations)[nearest],
        betas=bodies.betas[0],
        body_model=body.id,
        camera=None if view is None else view.select(nearest),
        confidence=confidence * valid[:, None],
        valid=valid,
        fps=fps,
    )
    return PointFit(params, error[nearest], place[nearest], scale, messages)


def moved_camera(camera: Camera, place: Tensor, scale: float) -> Camera:
    """The camera of the points made the body's: the same picture with the body's origin and metre.

    place: (T, 3) body's origin in the points' frame, metres of the body.
    """
    if camera.focal is None:
        pixels = camera.scale * scale
        return replace(camera, scale=pixels, center=camera.center + pixels[:, None] * place[:, :2])
    translation = place + camera.translation / scale
    if not (translation[:, 2] > camera.near).all():
        raise InputError("3D points: the person is behind the camera; z must point forward")
    return Camera.from_pinhole(camera.focal, translation, camera.size, camera.principal)


def refine_in_view(
    table: LinearPoints,
    motion: RangeOfMotion,
    targets: PointTargets,
    bodies: Bodies,
    camera: Camera,
    pixels: Tensor,
    weight: Tensor,
    steps: int = 8,
) -> tuple[Bodies, Camera]:
    """A few steps with the picture's points (B, K, 2) px too; shape kept, focal length kept."""
    middle, scale = camera.principal_point, camera.scale
    distance = 1e4 if camera.focal is None else camera.translation[:, 2]
    weight = weight * torch.isfinite(pixels).all(-1)
    seen = (pixels.nan_to_num() - middle[:, None]) / scale[:, None, None]
    shift = (camera.center - middle) / scale[:, None]
    bodies = replace(bodies, log_scale=torch.zeros_like(scale), shift=shift)
    evidence = Evidence(seen, weight, distance, terms=(targets,))
    bodies, _ = in_chunks(table, motion, evidence, bodies, steps, 0.01, shape=False)
    center = middle + scale[:, None] * bodies.shift
    camera = replace(camera, scale=scale * bodies.log_scale.exp(), center=center)
    return bodies, camera


def _fit_targets(
    table: LinearPoints,
    motion: RangeOfMotion,
    targets: PointTargets,
    progress: Callable[[int, int], None] | None,
) -> Bodies:
    """Bodies of all frames; the shape is that of up to SHAPE_FRAMES of them, shared."""
    count = len(targets.points)
    empty, evidence = no_picture(replace(targets, outlier=4 * OUTLIER))
    bodies = starting_bodies(table, motion, targets)
    bodies, _ = in_chunks(empty, motion, evidence, bodies, 8, 0.1, False, progress=progress)
    some = torch.linspace(0, count - 1, min(count, SHAPE_FRAMES)).round().long()
    some = some.to(targets.points.device)
    empty, evidence = no_picture(targets)
    shaped, _ = in_chunks(empty, motion, evidence.select(some), bodies.select(some), 10, 0.01, True)
    if count == 1:
        return shaped
    bodies = replace(bodies, betas=shaped.betas.median(0).values.expand(count, 10))
    bodies, _ = in_chunks(empty, motion, evidence, bodies, 8, 0.01, False)
    return bodies


def _check(
    points: Tensor, weight: Tensor, count: int, camera: Camera | None, points2d: Tensor | None
) -> None:
    if points.ndim != 3 or points.shape[1:] != (count, 3) or not len(points):
        raise InputError(f"3D points must be (T, {count}, 3); got {tuple(points.shape)}")
    if weight.shape != points.shape[:2]:
        raise InputError(
            f"3D points: weight must be {tuple(points.shape[:2])}; got {tuple(weight.shape)}"
        )
    if camera is not None and len(camera) != len(points):
        raise InputError(f"3D points: {len(points)} frames but {len(camera)} cameras")
    if points2d is not None and (camera is None or points2d.shape != (*points.shape[:2], 2)):
        raise InputError(
            f"2D points must be {(*points.shape[:2], 2)} with a camera; got "
            f"{tuple(points2d.shape)}" + (" and no camera" if camera is None else "")
        )


def _confidence(table: LinearPoints, weight: Tensor) -> Tensor:
    """(T, 24) 1 where a point that the joint carries was seen, half where only one below it was."""
    seen = weight.clamp(0, 1)[:, :, None]
    carried = (table.weight >= 0.2).to(weight)
    below = ((table.weight @ table.subtree.T) >= 0.5).to(weight)
    return torch.maximum((seen * carried).amax(1), 0.5 * (seen * below).amax(1))


def _complaints(count: int, good: Tensor, error: Tensor) -> tuple[str, ...]:
    messages = [f"fewer than {MINIMUM_POINTS} points of the body are known"] * count
    for frame, value in zip(good.tolist(), error.tolist(), strict=True):
        messages[frame] = ""
        if not value <= REJECTED:
            messages[frame] = (
                f"no body comes near the points (mean error {value * 1e3:.0f} mm, at most "
                f"{REJECTED * 1e3:.0f})"
            )
    return tuple(messages)
