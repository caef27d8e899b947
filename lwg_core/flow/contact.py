"""Feet that stand do not slide.

Where a heel or toe is low and slow in the motion, it stands. The root is then moved so that every
standing point keeps its place, as one linear least-squares problem over the whole clip: standing
points pull towards an unknown anchor per stance, the correction is smooth in between, and a weak
pull to no correction at all keeps errors from adding up over a long clip.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import spsolve
from torch import Tensor

from ..body.model import BodyModel
from ..body.params import SmplParams
from ..render.camera import Camera

FOOT_JOINTS = (7, 8, 10, 11)  # ankles and balls, for bodies without foot points
# Stands below the first number, does not above the second:
LOW = (0.06, 0.15)  # metres above the lowest point of the body,
EDGE = (0.0, 0.02)  # metres above the lowest heel or toe: feet roll over their edges,
SLOW = (0.25, 0.6)  # metres per second
SHORTEST = 0.12  # seconds; at the top of a jump the feet are slow for a shorter time
ASSUMED_DISTANCE = 5.0  # metres, of a camera without perspective
SMOOTHNESS, HOMING = 1.0, 1e-3  # against a standing point's 1
_CHUNK = 32


@dataclass(frozen=True)
class Feet:
    """Heels and toes over T frames, P points, in the frame that the root pose turns into.

    points: (T, P, 3) metres. clearance: (P,) how far above the sole they are.
    lowest: (T,) y of the body's lowest point (y down), metres.
    """

    points: Tensor
    clearance: Tensor
    lowest: Tensor


def find_feet(params: SmplParams, body: BodyModel, offsets: Tensor | None = None) -> Feet:
    """The feet of ``params``; its camera is not read."""
    points, lowest = [], []
    for start in range(0, len(params), _CHUNK):
        pose = params.pose[start : start + _CHUNK]
        vertices = body.vertices(pose, params.betas, offsets)
        if body.foot_regressor is not None:
            points.append(body.foot_regressor @ vertices)
        else:
            points.append(body.joints(pose, params.betas)[:, FOOT_JOINTS])
        lowest.append(vertices[..., 1].amax(1))
    rest = body.rest(params.betas, offsets)
    if body.foot_regressor is not None:
        at_rest = body.foot_regressor @ rest
    else:
        joints = params.betas if params.betas is not None else rest.new_zeros(10)
        at_rest = body.joints_rest(joints[None])[0, FOOT_JOINTS]
    return Feet(torch.cat(points), at_rest[:, 1] - rest[:, 1].amin(), torch.cat(lowest))


def seen_points(points: Tensor, camera: Camera) -> Tensor:
    """(T, P, 3): pixels and depth in metres. Without perspective, the size tells the depth."""
    seen = camera.project(points)
    if camera.focal is None:
        depth = ASSUMED_DISTANCE * camera.scale[0] / camera.scale
        seen = torch.cat([seen[..., :2], seen[..., 2:] + depth[:, None, None]], -1)
    return seen


def standing(feet: Feet, camera: Camera, fps: float, valid: Tensor) -> Tensor:
    """(T, P) in 0..1: how far each point stands, seen by the motion's ``camera`` (it may move)."""
    frames = len(feet.points)
    if frames < 3:
        return feet.points.new_zeros(feet.points.shape[:2])
    seen = seen_points(feet.points, camera)
    near = torch.arange(frames, device=seen.device)
    before, after = (near - 1).clamp_min(0), (near + 1).clamp_max(frames - 1)
    step = (seen[after] - seen[before]) / (after - before)[:, None, None]
    planar = step[..., :2].norm(dim=-1) / camera.scale[:, None]
    speed = torch.hypot(planar, step[..., 2]) * fps
    height = feet.lowest[:, None] - feet.points[..., 1] - feet.clearance
    over = height - height.amin(1, True)
    weight = _below(height, LOW) * _below(over, EDGE) * _below(speed, SLOW) * valid[:, None]
    for _, point, stretch in stances(weight):
        if stretch.stop - stretch.start < SHORTEST * fps:
            weight[stretch, point] = 0
    return weight


def _below(values: Tensor, limits: tuple[float, float]) -> Tensor:
    low, high = limits
    return ((high - values) / (high - low)).clamp(0, 1)


def stances(weight: Tensor) -> list[tuple[int, int, slice]]:
    """(number, point, frames) of every stretch of ``weight`` (T, P) above zero."""
    found = []
    for point, column in enumerate((weight > 0).T.cpu().numpy()):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], column.astype(np.int8), [0]])))
        found += [(point, slice(int(a), int(b))) for a, b in edges.reshape(-1, 2)]
    return [(number, *stance) for number, stance in enumerate(found)]


def steady(points: Tensor, weight: Tensor) -> Tensor:
    """Correction (T, D) so that points (T, P, D) + correction stay put where they stand.

    weight: (T, P) from ``standing``. Any unit. Zero where nothing stands in the whole clip.
    """
    frames, _, width = points.shape
    found = stances(weight)
    if not found:
        return points.new_zeros(frames, width)
    place, pull = points.double().cpu().numpy(), weight.double().cpu().numpy()
    place = place - place.mean((0, 1))
    size = frames + len(found)
    diagonal, right = np.full(size, HOMING), np.zeros((size, width))
    diagonal[frames:] = 0
    rows, columns, values = [], [], []
    for number, point, stretch in found:
        anchor, w = frames + number, pull[stretch, point]
        pulled = w[:, None] * place[stretch, point]
        diagonal[stretch] += w
        diagonal[anchor] += w.sum()
        right[stretch] -= pulled
        right[anchor] += pulled.sum(0)
        rows.append(np.arange(stretch.start, stretch.stop))
        columns.append(np.full(len(w), anchor))
        values.append(-w)
    row, column, value = (np.concatenate(part) for part in (rows, columns, values))
    linked = sparse.coo_matrix((value, (row, column)), (size, size))
    bend = sparse.diags([1.0, -2.0, 1.0], [0, 1, 2], (max(frames - 2, 0), size))
    system = sparse.diags(diagonal) + linked + linked.T + SMOOTHNESS * (bend.T @ bend)
    moved = np.asarray(spsolve(system.tocsc(), right)).reshape(size, width)
    return torch.from_numpy(moved[:frames]).to(points)
