"""From checked numbers to SmplParams: frames of reference, cameras, gaps.

World motions are turned so that the world's up is the camera's up (-y); nothing is turned about
the vertical, so who faces +z of a y-up world, or -y of a z-up world, faces the camera. How a body
travels through its world is carried by an imagined camera that stands back far enough to see all
of it, because travel is read off cameras (``flow.targets.imitate``).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ...body.model import BodyModel
from ...body.params import SmplParams
from ...body.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from ...errors import InputError
from ...render.camera import NEAR, Camera

logger = logging.getLogger(__name__)

Size = tuple[int, int] | None  # height, width of a picture, where it is known

MAX_FRAMES = 200_000  # of one clip: almost two hours
MAX_BODIES = 2_000_000  # frames times tracks
ASSUMED_SIZE = (720, 1280)  # height, width of a picture nobody has told the size of
ASSUMED_DISTANCE = 5.0  # metres
_MIDDLE = -0.08  # y in metres of the middle of a standing body, whose pelvis is at y = -0.22
# Rest pelvis of the mean bodies, metres: it is what a translation of theirs is measured from.
PELVIS = {
    "smpl": (0.0, -0.223, 0.028),
    "smplh": (0.0, -0.223, 0.028),
    "smplx": (0.003, -0.351, 0.012),
}
_STILL = 1e-4  # metres: a body that moves less has no travel

# World -> camera frame (x right, y down, z forward), by the direction that is up in the world.
_TURNS = {
    "+z": [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
    "+y": [[1, 0, 0], [0, -1, 0], [0, 0, -1]],
    "-y": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
}


def world_turn(up: str) -> Tensor:
    """(3, 3) float64 from a world whose up is "+z", "+y" or "-y" into the camera frame."""
    return torch.tensor(_TURNS[up], dtype=torch.float64)


def guess_up(spines: Tensor) -> str:
    """Which axis is up in the world: where the spines (T, 3) point on average."""
    up = spines.mean(0)
    return ("+z", "+y", "-y")[int(torch.stack([up[2], up[1], -up[1]]).argmax())]


def turn_root(root: Tensor, turn: Tensor) -> Tensor:
    """World root rotations (T, 3) axis-angle -> the camera frame, (T, 3) axis-angle.

    A half turn has two axis-angles; of the two, the one around +x is taken, as for (pi, 0, 0).
    """
    return upright(matrix_to_axis_angle(turn @ axis_angle_to_matrix(root)))


def upright(root: Tensor) -> Tensor:
    angle = root.norm(dim=-1, keepdim=True)
    other = root * (1 - 2 * math.pi / angle.clamp(min=1))
    return torch.where((angle > math.pi - 1e-5) & (root[..., :1] < 0), other, root)


def motion(
    pose: Tensor,
    betas: Tensor | None = None,
    model: str | None = None,
    camera: Camera | None = None,
    fps: float = 30.0,
    body: BodyModel | None = None,
    track: int = 0,
) -> SmplParams:
    """SmplParams of poses (T, 22 or 24, 3), float64, root in the camera frame.

    betas: (B,) or (T, B) of the body model called ``model``; left out if ``body`` is another one.
    """
    if not 0 < len(pose) <= MAX_FRAMES:
        raise InputError(f"holds {len(pose)} frames; 1 to {MAX_FRAMES} are possible")
    if not (math.isfinite(fps) and fps > 0):
        raise InputError(f"says {fps} frames per second; it must be above zero")
    if body is not None and model != body.id:
        betas = None
    shape = None
    if betas is not None and betas.ndim not in (1, 2, 3):
        raise InputError(f"betas must be (10,) or (T, 10); they are {tuple(betas.shape)}")
    if betas is not None and model is not None and betas.numel():
        mean = betas.reshape(-1, betas.shape[-1]).mean(0)[:10]
        shape = torch.nn.functional.pad(mean, (0, 10 - len(mean))).float()
    full = torch.nn.functional.pad(pose, (0, 0, 0, 24 - pose.shape[1]))
    return SmplParams(
        pose=full.float(),
        betas=shape,
        body_model=None if shape is None else model,
        camera=camera,
        fps=fps,
        track=track,
    )


def pinhole(
    translation: Tensor,
    focal: Tensor | float,
    size: tuple[int, int],
    principal: Tensor | None = None,
) -> Camera:
    """Camera of translations (T, 3) m, focal () or (T,) px and principal (T, 2) px."""
    behind = (translation[:, 2] <= NEAR).nonzero().flatten()[:10].tolist()
    if behind:
        raise InputError(f"the body is behind the camera in frames {behind}")
    length = torch.as_tensor(focal, dtype=torch.float64).expand(len(translation))
    if not (length > 0).all():
        raise InputError("the focal length must be above zero")
    camera = Camera.from_pinhole(length, translation, checked_size(size), principal)
    return single(camera)


def weak(scale: Tensor, center: Tensor, size: tuple[int, int]) -> Camera:
    """Weak-perspective camera of scale (T,) px/m and centre (T, 2) px."""
    return single(Camera(scale, center, checked_size(size)))


def single(camera: Camera) -> Camera:
    parts = {
        name: value.float().clone()
        for name in ("scale", "center", "focal", "principal")
        if (value := getattr(camera, name)) is not None
    }
    return replace(camera, **parts)


def checked_size(size: tuple[int, int]) -> tuple[int, int]:
    height, width = (float(n) for n in size)
    if not (1 <= height <= 1 << 16 and 1 <= width <= 1 << 16):
        raise InputError(f"says a picture of {width:g} x {height:g} px; that is no picture")
    return round(height), round(width)


def diagonal(size: tuple[int, int]) -> float:
    """The focal length in px that WHAM, CLIFF and GVHMR assume when they are told none."""
    return math.hypot(*size)


def keep_pelvis(
    camera: Camera | None, model: str | None, body: BodyModel | None, betas: Tensor | None = None
) -> Camera | None:
    """The camera of a body of ``model`` as that of ``body`` with ``betas`` (10,), None = average.

    A pelvis stays where it was seen, though in another model it rests elsewhere.
    """
    if camera is None or body is None or body.id == model or model not in PELVIS:
        return camera
    betas = body.v_template.new_zeros(10) if betas is None else betas.to(body.v_template)
    shift = camera.center.new_tensor(PELVIS[model]) - body.joints_rest(betas[None])[0, 0].to(
        camera.center
    )
    if camera.focal is None:
        return replace(camera, center=camera.center + camera.scale[:, None] * shift[:2])
    place = camera.translation + shift
    return Camera.from_pinhole(camera.focal, place, camera.size, camera.principal)


def seen_camera(translation: Tensor, size: tuple[int, int] | None, name: str) -> Camera:
    """Pinhole of translations (T, 3) in a real camera's frame whose lens nobody has recorded."""
    if size is None:
        size = ASSUMED_SIZE
        logger.info("%s: the picture's size is not in the file; assuming %d x %d",
                    name, size[1], size[0])  # fmt: skip
    return pinhole(translation, diagonal(size), size)


def imagined_camera(travel: Tensor) -> Camera | None:
    """A pinhole that sees all of the ``travel`` (T, 3), metres in camera axes; None if still."""
    if not (travel - travel[:1]).abs().max() > _STILL:
        return None
    height, width = ASSUMED_SIZE
    focal = diagonal(ASSUMED_SIZE)
    x = travel[:, 0] - (travel[:, 0].amin() + travel[:, 0].amax()) / 2
    y = travel[:, 1] - travel[:, 1].median()
    z = travel[:, 2]
    least = torch.stack([x.abs() * focal / (0.4 * width), y.abs() * focal / (0.25 * height)])
    back = (least.amax(0).clamp(min=ASSUMED_DISTANCE) - z).amax()
    return pinhole(torch.stack([x, y - _MIDDLE, z + back], 1), focal, ASSUMED_SIZE)


def spread(params: SmplParams, frames: Sequence[int], total: int) -> SmplParams:
    """``params`` of the ascending frame numbers ``frames``, as a clip of ``total`` frames.

    Between them the nearest frame is held, marked as not valid and without confidence.
    """
    if list(frames) == list(range(total)):
        return params
    known = np.asarray(frames, np.int64)
    every = np.arange(total)
    after = np.searchsorted(known, every).clip(0, len(known) - 1)
    before = (after - 1).clip(0)
    nearest = np.where(every - known[before] < known[after] - every, before, after)
    held = params.select(torch.from_numpy(nearest).to(params.pose.device))
    seen = torch.from_numpy(known[nearest] == every).to(params.valid.device)
    return replace(held, valid=held.valid & seen, confidence=held.confidence * seen[:, None])


def check_extent(frames: int, tracks: int) -> None:
    if frames > MAX_FRAMES or frames * tracks > MAX_BODIES:
        raise InputError(
            f"claims {tracks} people over {frames} frames; at most {MAX_FRAMES} frames and "
            f"{MAX_BODIES} bodies are read"
        )


def by_presence(tracks: list[SmplParams]) -> tuple[SmplParams, ...]:
    """Tracks in the order of how many frames they are seen in, numbered as before."""
    return tuple(sorted(tracks, key=lambda track: -int(track.valid.sum())))
