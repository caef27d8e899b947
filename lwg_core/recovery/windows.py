"""How long to average: as long as the movement allows, limb by limb and moment by moment.

Noise of a detector is the same whether the person runs or stands, so an average over one fixed time
blunts a kick or leaves a calm body trembling. Here every limb is averaged over the widest window
from whose neighbouring frames its direction in the picture is predicted as well as from any other
window (leave-one-out cross-validation): where a wide window misses the movement its prediction is
off, where a narrow one follows noise it is off as well. Neither the noise nor the kind of movement
has to be known.

Windows are sigmas of a Gaussian, seconds; nothing depends on the frame rate.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..body.params import JOINT_NAMES
from .keypoints import KEYPOINT_NAMES
from .kinematics import PARENTS, LinearPoints, forward
from .smoothing import local_line, nearest_rotation

WINDOWS = tuple(0.03 * 1.5**step for step in range(6))  # 0.03 to 0.23 s
AROUND = 0.25  # sigma of the time over which predictions are judged, seconds
EQUAL = 1.02  # squared errors of predictions up to this ratio are equal: the wider window is taken
SHARE = 1 / 3  # of a clip: no window is wider, as few frames predict each other equally badly
EASE = 0.08  # sigma of the change from one window to another, seconds

TRUNK = (
    ("right_hip", "left_hip"), ("right_shoulder", "left_shoulder"),
    ("right_hip", "right_shoulder"), ("left_hip", "left_shoulder"),
)  # fmt: skip
HEAD = (
    ("neck", "nose"), ("neck", "right_ear"), ("neck", "left_ear"), ("right_eye", "left_eye"),
    ("right_ear", "left_ear"),
)  # fmt: skip
_LIMBS = {  # what shows how a joint's bone turns, its twist (by the bone beyond) included
    "hip": (("hip", "knee"), ("knee", "ankle")), "knee": (("knee", "ankle"),),
    "ankle": (("ankle", "big_toe"), ("ankle", "heel"), ("knee", "ankle")),
    "shoulder": (("shoulder", "elbow"), ("elbow", "wrist")), "elbow": (("elbow", "wrist"),),
    "foot": (), "wrist": (), "hand": (),
}  # fmt: skip


def _lines(joint: str) -> tuple[tuple[str, str], ...]:
    """Pairs of keypoints that show how a joint turns; () = as its parent."""
    side, _, name = joint.partition("_")
    if name in _LIMBS:
        return tuple((f"{side}_{a}", f"{side}_{b}") for a, b in _LIMBS[name])
    return HEAD if joint in ("neck", "head") else TRUNK


def limb_windows(points: Tensor, weight: Tensor, fps: float) -> Tensor:
    """(T, 24) steps into WINDOWS, fractions between them, for the joints' rotations in the world.

    points: (T, K, 2); weight: (T, K), 0 = missing.
    """
    lines = [_lines(name) for name in JOINT_NAMES]
    each = sorted({line for some in lines for line in some})
    first, last = ([KEYPOINT_NAMES.index(line[end]) for line in each] for end in range(2))
    along = points[:, first] - points[:, last]
    missed, mass = _predictions(along, torch.minimum(weight[:, first], weight[:, last]), fps)
    total = []
    for joint, some in enumerate(lines):
        columns = [each.index(line) for line in some]
        found = torch.stack([missed[..., columns].sum(-1), mass[..., columns].sum(-1)])
        if joint:  # where nothing of it is seen, it is averaged like what carries it
            seen = found[1].amax(0) > 1e-3
            found = torch.where(seen, found, total[PARENTS[joint]])
        total.append(found)
    return _widest(*torch.stack(total, -1), fps)


def point_window(points: Tensor, weight: Tensor, fps: float) -> Tensor:
    """(T, 1) the same for the place of points that move together, (T, K, 2)."""
    missed, mass = _predictions(points, weight, fps)
    return _widest(missed.sum(-1, keepdim=True), mass.sum(-1, keepdim=True), fps)


def average(values: Tensor, weight: Tensor, step: Tensor, fps: float, done: float) -> Tensor:
    """(T, C) averaged over windows ``step`` (T, C).

    done: sigma, in seconds, of what smoothed them before: windows add up as squares do.
    """
    return _blend(lambda sigma: local_line(values, weight, sigma * fps)[0], step, done)


def average_rotations(
    table: LinearPoints,
    rotations: Tensor,
    betas: Tensor,
    weight: Tensor,
    step: Tensor,
    fps: float,
    done: float,
) -> Tensor:
    """Joint rotations (T, 24, 3, 3) after ``average`` of the rotations in the world.

    Those are what the picture shows: an elbow that makes up for a shoulder keeps the forearm still.
    weight, step: (T, 24).
    """
    world = forward(table, rotations, betas).rotation.flatten(1)
    weight, step = (t.repeat_interleave(9, 1) for t in (weight, step))
    world = average(world, weight, step, fps, done)
    world = nearest_rotation(world.view_as(rotations))
    local = world[:, PARENTS[1:]].transpose(-1, -2) @ world[:, 1:]
    return torch.cat([world[:, :1], local], 1)


def _predictions(values: Tensor, weight: Tensor, fps: float) -> tuple[Tensor, Tensor]:
    """Squared errors of (T, C, 2) predicted from neighbours, (W, T, C) sums around each frame, and
    the weight in them."""
    flat, wide = values.flatten(1), weight.repeat_interleave(2, 1)
    missed, mass = [], []
    for window in WINDOWS:
        expected, others = local_line(flat, wide, window * fps, own=False)
        known = weight * (others[:, ::2] > 1e-3)  # else no neighbour is within the window
        error = (expected - flat).view_as(values).square().sum(-1)
        missed.append(_around(known * error, AROUND * fps))
        mass.append(_around(known, AROUND * fps))
    return torch.stack(missed), torch.stack(mass)


def _widest(missed: Tensor, mass: Tensor, fps: float) -> Tensor:
    """(T, C) the widest steps whose mean error equals the least; the narrowest without any."""
    error = torch.where(mass > 1e-3, missed / mass.clamp_min(1e-3), torch.inf)
    limit = EQUAL * error.amin(0)
    last = len(WINDOWS) - 1
    longest = SHARE * len(error[0]) / fps
    allowed = sum(window <= longest for window in WINDOWS)
    error[max(1, allowed) :] = torch.inf
    index = torch.arange(last + 1, device=error.device)[:, None, None]
    top = torch.where((error <= limit) & error.isfinite(), index, 0).amax(0)
    here, beyond = (error.gather(0, k[None])[0] for k in (top, (top + 1).clamp_max(last)))
    part = ((limit - here) / (beyond - here).clamp_min(1e-12)).nan_to_num(0).clamp(0, 1)
    step = top + part * (top < last)
    return _around(step, EASE * fps) / _around(torch.ones_like(step), EASE * fps)


def _around(values: Tensor, sigma: float) -> Tensor:
    """(T, C) sums under a Gaussian of ``sigma`` frames."""
    radius = max(1, round(3 * sigma))
    offset = torch.arange(-radius, radius + 1, device=values.device).to(values)
    bell = torch.exp(-0.5 * (offset / sigma) ** 2)[None, None]
    return torch.nn.functional.conv1d(values.T[:, None], bell, padding=radius)[:, 0].T


def _blend(smoothed: Callable[[float], Tensor], step: Tensor, done: float) -> Tensor:
    """Between the results of the two windows next to ``step``."""
    rest = [max(window**2 - done**2, (0.4 * done) ** 2) ** 0.5 for window in WINDOWS]
    every = torch.stack([smoothed(sigma) for sigma in rest])
    low = step.floor().long().clamp(0, len(WINDOWS) - 2)
    below, above = (every.gather(0, k[None])[0] for k in (low, low + 1))
    return torch.lerp(below, above, step - low)
