"""Target conditions of motion imitation: whose body, in which pose, seen by which camera.

Motion imitation (paper sec. 3.6): the pose comes from the motion, the shape from the source, the
camera from one of the strategies below.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..body.model import BodyModel
from ..body.params import SmplParams
from ..errors import InputError
from ..render.camera import Camera
from .contact import Feet, find_feet, seen_points, standing, steady
from .official_camera import from_official, stabilize, swap_camera, to_official

CAMERA_STRATEGIES = ("travel", "source", "smooth", "reference-position", "copy")
ON_THE_GROUND = 0.1  # metres: a source whose feet are not that near its lowest point does not stand
NEAREST = 0.3  # of the distance from the eye: how near a correction may bring the body
_ROUNDS = 2


def imitate(
    source: SmplParams,
    motion: SmplParams,
    body: BodyModel,
    camera_strategy: str = "travel",
    offsets: Tensor | None = None,
    steady_feet: bool = True,
    worn: Tensor | None = None,
) -> SmplParams:
    """The source person doing ``motion``.

    source: one frame with betas and a camera. motion: T frames; its own betas only tell its size.
    camera_strategy:
        travel  the motion's picture, scaled and moved so that its person has the size and the
                place of the source at first: the walk across the picture and towards or away from
                the viewer is the motion's, in proportion to the body's size. A motion without a
                camera stays in place with its feet on the ground.
        source  the source's camera, the person stays in place, the lowest point of the body stays
                on the source's ground.
        smooth  the official default: only the height above the ground changes, jumps are kept.
        reference-position  the source's size at the motion's place in the picture.
        copy    the motion's camera as it is.
    steady_feet: with ``travel`` and ``source``, move the person so that feet that stand do not
        slide; with ``travel``, also onto the ground that the source stands on.
    offsets: (V,) metres, the source's hair and clothes. worn: what the target wears in their place
        (``transfer.worn_offsets``: other shoes have other soles); None = the same.
    Returns T frames with the source's betas, in the source's picture (for ``copy``, the motion's).
    """
    worn = offsets if worn is None else worn
    check_strategy(camera_strategy, motion)
    if len(source) != 1 or source.camera is None or source.betas is None:
        raise InputError("the source body must be one frame with betas and a camera")
    if source.body_model != body.id:
        raise InputError(
            f"the source was recovered with the body model '{source.body_model}', but the body "
            f"model in use is '{body.id}'; use the same one everywhere"
        )
    target = replace(
        motion, betas=source.betas, body_model=source.body_model, camera=None, track=source.track
    )
    if camera_strategy == "copy":
        return replace(target, camera=motion.camera)
    if camera_strategy in ("smooth", "reference-position"):
        return replace(target, camera=_official(source, motion, body, camera_strategy))
    if camera_strategy == "travel" and motion.camera is not None:
        camera = _travelling(source.camera, motion, _size_ratio(source, motion, body))
        if steady_feet:
            stands = standing(
                find_feet(_driver(motion, body), body), motion.camera, motion.fps, motion.valid
            )
            feet = find_feet(target, body, worn)
            camera = _on_source_ground(camera, source, feet, stands, body, offsets)
            camera = _steadied(camera, feet, stands, motion.camera.focal is not None)
    else:
        feet = find_feet(target, body, worn)
        ground = find_feet(source, body, offsets).lowest
        camera = _in_place(source.camera, ground, feet.lowest)
        if steady_feet:
            theirs = find_feet(_driver(motion, body), body)
            seen = _in_place(source.camera, theirs.lowest[:1], theirs.lowest)
            correction = steady(feet.points, standing(theirs, seen, motion.fps, motion.valid))
            camera = _moved(camera, correction * correction.new_tensor([1.0, 0.0, 1.0]))
    return replace(target, camera=camera)


def check_strategy(camera_strategy: str, motion: SmplParams) -> None:
    """Raise an InputError unless the strategy exists and the motion has what it takes."""
    if camera_strategy not in CAMERA_STRATEGIES:
        raise InputError(
            f"camera strategy '{camera_strategy}' does not exist; use one of {CAMERA_STRATEGIES}"
        )
    if camera_strategy in ("copy", "reference-position") and motion.camera is None:
        raise InputError(
            f"camera strategy '{camera_strategy}' needs a motion that brings its own camera"
        )


def _same_lens(camera: Camera, scale: Tensor, center: Tensor) -> Camera:
    """``camera`` (one frame) with new scales (T,) and centres (T, 2)."""
    frames = scale.shape[0]
    return replace(
        camera,
        scale=scale,
        center=center,
        focal=None if camera.focal is None else camera.focal.expand(frames).clone(),
        principal=None if camera.principal is None else camera.principal.expand(frames, 2).clone(),
    )


def _official(
    source: SmplParams, motion: SmplParams, body: BodyModel, camera_strategy: str
) -> Camera:
    own = to_official(source.camera)
    if camera_strategy == "reference-position":
        found = swap_camera(own, to_official(motion.camera), "ref_txty")
        return from_official(found, source.camera)
    if motion.camera is None:
        given = torch.eye(3, device=own.device, dtype=own.dtype)[:1].expand(len(motion), 3)
    else:
        given = to_official(motion.camera)
    steadied = stabilize(given, find_feet(_driver(motion, body), body).lowest)
    return from_official(swap_camera(own, steadied, "smooth"), source.camera)


def _driver(motion: SmplParams, body: BodyModel) -> SmplParams:
    """The motion with a body: its own, or the average one if it brings none of this model."""
    if motion.betas is not None and motion.body_model == body.id:
        return motion
    return replace(motion, betas=motion.pose.new_zeros(10), body_model=body.id)


def _size_ratio(source: SmplParams, motion: SmplParams, body: BodyModel) -> float:
    """Height of the source's body per height of the motion's; 1 if that is not known."""
    if motion.betas is None or motion.body_model != body.id:
        return 1.0
    heights = [body.rest(betas)[:, 1] for betas in (source.betas, motion.betas)]
    own, theirs = (float(y.amax() - y.amin()) for y in heights)
    return own / theirs


def _travelling(source: Camera, motion: SmplParams, ratio: float) -> Camera:
    """The motion's cameras, their picture enlarged and moved onto the source's.

    ratio: height of the source's body per height of the motion's. A motion with a perspective
    keeps it, so that its ground remains a plane and its feet remain where they stand.
    """
    theirs = motion.camera
    zoom = source.scale / theirs.scale[:1] * ratio
    shift = source.center - theirs.center[:1] * zoom
    scale = source.scale * (theirs.scale / theirs.scale[:1])
    center = theirs.center * zoom + shift
    if theirs.focal is None:
        return _same_lens(source, scale, center)
    principal = theirs.principal_point * zoom + shift
    return Camera(scale, center, source.size, theirs.focal * zoom, principal)


def _on_source_ground(
    camera: Camera,
    source: SmplParams,
    feet: Feet,
    stands: Tensor,
    body: BodyModel,
    offsets: Tensor | None,
) -> Camera:
    """The picture moved up or down: where the motion first stands is where the source stands."""
    own = find_feet(source, body, offsets)
    above = own.lowest[:, None] - own.points[..., 1] - own.clearance
    on_foot = stands.amax(1) > 0.5
    if above.amin() > ON_THE_GROUND or not on_foot.any():
        return camera
    first = int(on_foot.nonzero()[0])
    here = camera.center[first, 1] + camera.scale[first] * feet.lowest[first]
    wanted = source.camera.center[0, 1] + source.camera.scale[0] * own.lowest[0]
    down = torch.stack([torch.zeros_like(here), wanted - here])
    principal = None if camera.principal is None else camera.principal + down
    return replace(camera, center=camera.center + down, principal=principal)


def _steadied(camera: Camera, feet: Feet, stands: Tensor, deep: bool) -> Camera:
    """``camera`` with the body moved so that feet that stand, (T, P) in 0..1, do not slide.

    deep: the lens is the motion's, so the ground is a plane and feet stay put on it. Otherwise
        they stay put sideways: without perspective a nearer foot is no lower in the picture, and
        feet held in height would hold back whoever comes closer.
    """
    if deep:
        return _moved(camera, steady(feet.points + camera.translation[:, None], stands))
    for _ in range(_ROUNDS):  # a lens makes a point nearer than the root move a little more
        shift = steady(seen_points(feet.points, camera)[..., :1], stands)
        camera = replace(camera, center=camera.center + F.pad(shift, (0, 1)))
    return camera


def _moved(camera: Camera, shift: Tensor) -> Camera:
    """``camera`` with the body moved by ``shift`` (T, 3) metres."""
    if camera.focal is None:
        return replace(camera, center=camera.center + shift[:, :2] * camera.scale[:, None])
    place = camera.translation
    depth = torch.maximum(place[:, 2] + shift[:, 2], NEAREST * place[:, 2])
    place = torch.cat([place[:, :2] + shift[:, :2], depth[:, None]], 1)
    return Camera.from_pinhole(camera.focal, place, camera.size, camera.principal_point)


def _in_place(camera: Camera, ground: Tensor, lowest: Tensor) -> Camera:
    """``camera`` (one frame) with the lowest point of the body on the ``ground``, (1,) y in metres.

    lowest: (T,) y of the lowest point in the frame that the root pose turns into, metres.
    """
    frames = len(lowest)
    still = _same_lens(camera, camera.scale.expand(frames), camera.center.expand(frames, 2))
    zero = torch.zeros_like(lowest)
    return _moved(still, torch.stack([zero, ground - lowest, zero], 1))
