"""What a body can do, as a prior for keypoints that leave it open.

Our own range-of-motion table: for the three components of each joint's rotation vector (T-pose
frame: x left, y up, z forward) the usual value, its spread and hard limits, in degrees. It comes
from how joints work, not from any licensed data. Left side written, right side mirrored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..body.params import JOINT_NAMES

LIMIT_SD = math.radians(5)  # how fast a hard limit gets expensive
GRAVITY_SD = math.sin(math.radians(15))  # lean of the trunk out of the image plane
FREE = (-1000, -1000, -1000), (1000, 1000, 1000)

# name: mean, sd, lower limit, upper limit
_RANGE_OF_MOTION = {
    "hip": ((-20, 0, 4), (40, 25, 18), (-140, -60, -40), (40, 60, 70)),
    "knee": ((25, 0, 0), (45, 6, 6), (-2, -15, -15), (155, 15, 15)),
    "ankle": ((0, 0, 0), (18, 10, 10), (-45, -30, -30), (45, 30, 30)),
    "foot": ((0, 0, 0), (5, 5, 5), *FREE),
    "spine": ((4, 0, 0), (12, 10, 9), (-30, -35, -30), (40, 35, 30)),
    "neck": ((5, 0, 0), (12, 15, 10), (-40, -50, -35), (45, 50, 35)),
    "head": ((0, 0, 0), (12, 15, 10), (-40, -50, -35), (45, 50, 35)),
    "collar": ((0, 0, 0), (8, 10, 10), (-20, -30, -25), (20, 30, 35)),
    "shoulder": ((0, -15, -50), (40, 45, 45), (-120, -140, -110), (120, 60, 100)),
    "elbow": ((0, -35, 0), (25, 45, 8), (-60, -155, -20), (60, 2, 20)),
    "wrist": ((0, 0, 0), (15, 15, 15), *FREE),
    "hand": ((0, 0, 0), (4, 4, 4), *FREE),
}


@dataclass(frozen=True)
class RangeOfMotion:
    """Rotation vectors of joints 1..23, radians, each (23, 3)."""

    mean: Tensor
    sd: Tensor
    low: Tensor
    high: Tensor


def range_of_motion(dtype: torch.dtype = torch.float32, device=None) -> RangeOfMotion:
    rows = []
    for name in JOINT_NAMES[1:]:
        mean, sd, low, high = (
            torch.tensor(v, dtype=torch.float64)
            for v in _RANGE_OF_MOTION[
                name.removeprefix("left_").removeprefix("right_").rstrip("123")
            ]
        )
        if name.startswith("right_"):  # a mirror at x = 0 keeps x and flips y and z
            flip = torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64)
            mean, low, high = mean * flip, low * flip, high * flip
            low, high = torch.minimum(low, high), torch.maximum(low, high)
        rows.append(torch.stack([mean, sd, low, high]))
    table = torch.stack(rows, 1).deg2rad().to(device=device, dtype=dtype)
    return RangeOfMotion(*table.unbind())


def inverse_right_jacobian(vector: Tensor) -> Tensor:
    """(..., 3, 3) d log(R exp(d)) / dd at d = 0, for R of rotation vector ``vector``."""
    squared = (vector * vector).sum(-1)
    # Series below 0.1 rad; a joint near a half turn is outside every limit, so stop short of it.
    angle = squared.sqrt().clamp(0.1, 3.1)
    factor = 1 / (angle * angle) - (1 + angle.cos()) / (2 * angle * angle.sin())
    factor = torch.where(squared < 0.01, 1 / 12 + squared / 720, factor)[..., None, None]
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    hat = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    return torch.eye(3).to(vector) + 0.5 * hat + factor * (hat @ hat)


def pose_prior(motion: RangeOfMotion, vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Prior energy of joint rotation vectors (B, 23, 3).

    Returns the energy (B,), its gradient (B, 23, 3) and Gauss-Newton blocks (B, 23, 3, 3), both
    with respect to right perturbations of the joint rotations.
    """
    usual = (vectors - motion.mean) / motion.sd
    excess = (torch.relu(vectors - motion.high) - torch.relu(motion.low - vectors)) / LIMIT_SD
    energy = (usual * usual + excess * excess).sum((1, 2))
    pull = usual / motion.sd + excess / LIMIT_SD
    stiffness = motion.sd**-2 + (excess != 0) / LIMIT_SD**2
    turn = inverse_right_jacobian(vectors)
    gradient = (turn.transpose(-1, -2) @ pull[..., None]).squeeze(-1)
    return energy, gradient, turn.transpose(-1, -2) @ (stiffness[..., None] * turn)


def gravity_prior(root: Tensor) -> tuple[Tensor, Tensor]:
    """People rarely lean towards the camera: residual (B,) and its derivative (B, 3).

    The residual is the depth component of the body's up axis, in standard deviations.
    """
    residual = root[:, 2, 1] / GRAVITY_SD
    zero = torch.zeros_like(residual)
    return residual, torch.stack([root[:, 2, 2], zero, -root[:, 2, 0]], -1) / GRAVITY_SD
