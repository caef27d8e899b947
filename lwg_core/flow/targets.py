"""Target conditions of the tasks: whose body, in which pose, seen by which camera.

Motion imitation (paper sec. 3.6): the pose comes from the motion, the shape from the source, the
camera from one of the strategies below.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..body.model import BodyModel
from ..body.params import SmplParams
from ..errors import InputError
from ..render.camera import Camera

CAMERA_STRATEGIES = ("travel", "source", "copy")
_CHUNK = 32


def imitate(
    source: SmplParams,
    motion: SmplParams,
    body: BodyModel,
    camera_strategy: str = "travel",
    offsets: Tensor | None = None,
) -> SmplParams:
    """The source person doing ``motion``.

    source: one frame with betas and a camera. motion: T frames; its own betas are not used.
    camera_strategy:
        travel  the source's camera; the walk across the picture and towards or away from it is
                the motion's, in proportion to the body's size. A motion without a camera stays in
                place with its feet on the ground.
        source  the source's camera, the person stays in place, the lowest point of the body stays
                on the source's ground.
        copy    the motion's camera as it is.
    Returns T frames with the source's betas, in the source's picture (for ``copy``, the motion's).
    """
    if camera_strategy not in CAMERA_STRATEGIES:
        raise InputError(
            f"camera strategy '{camera_strategy}' does not exist; use one of {CAMERA_STRATEGIES}"
        )
    if len(source) != 1 or source.camera is None or source.betas is None:
        raise InputError("the source body must be one frame with betas and a camera")
    if source.body_model != body.id:
        raise InputError(
            f"the source was recovered with the body model '{source.body_model}', but the body "
            f"model in use is '{body.id}'; use the same one everywhere"
        )
    if camera_strategy == "copy":
        if motion.camera is None:
            raise InputError("camera strategy 'copy' needs a motion that brings its own camera")
        camera = motion.camera
    elif camera_strategy == "travel" and motion.camera is not None:
        camera = _travel_camera(source.camera, motion.camera)
    else:
        camera = _grounded_camera(source, motion, body, offsets)
    return replace(
        motion, betas=source.betas, body_model=source.body_model, camera=camera, track=source.track
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


def _travel_camera(source: Camera, motion: Camera) -> Camera:
    """Displacement since the first frame in units of the first frame's scale, i.e. metres."""
    growth = motion.scale / motion.scale[:1]
    metres = (motion.center - motion.center[:1]) / motion.scale[:1, None]
    return _same_lens(source, source.scale * growth, source.center + metres * source.scale)


def _grounded_camera(
    source: SmplParams, motion: SmplParams, body: BodyModel, offsets: Tensor | None
) -> Camera:
    """Moves the body up or down so that its lowest point stays on the source's ground."""
    ground = body.vertices(source.pose, source.betas, offsets)[..., 1].amax(1)
    lowest = torch.cat(
        [
            body.vertices(motion.pose[i : i + _CHUNK], source.betas, offsets)[..., 1].amax(1)
            for i in range(0, len(motion), _CHUNK)
        ]
    )
    scale = source.camera.scale.expand(len(motion)).clone()
    center = source.camera.center.expand(len(motion), 2).clone()
    center[:, 1] += (ground - lowest) * scale
    return _same_lens(source.camera, scale, center)
