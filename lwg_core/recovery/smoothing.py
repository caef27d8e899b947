"""Smoothing over time: a Gaussian in seconds, or the official Butterworth filter.

Rotations are averaged as matrices and turned back into rotations, so a root near half a turn, where
axis-angle jumps from pi to -pi, is as smooth as any other. Nothing is smoothed across frames
without a valid body: each run of valid frames stands alone.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy.signal import butter, filtfilt
from torch import Tensor
from torch.nn.functional import conv1d

from ..body.params import SmplParams
from ..body.rotations import (
    axis_angle_to_matrix,
    matrix_to_axis_angle,
    matrix_to_rot6d,
    rot6d_to_matrix,
)
from ..errors import InputError
from ..render.camera import Camera

METHODS = ("gaussian", "butterworth")
POSE_SECONDS, CAMERA_SECONDS = 0.04, 0.08  # the Gaussian's sigma at strength 1
# The official cut-offs (iPERCore: order 5, 300 and 100 of 2208), cycles per frame at any fps.
POSE_CUTOFF, CAMERA_CUTOFF, ORDER = 300 / 2208, 100 / 2208, 5
LONGEST_GAP = 10  # frames


def local_line(
    values: Tensor, weight: Tensor, sigma: float, own: bool = True
) -> tuple[Tensor, Tensor]:
    """Weighted straight-line fit around every frame, under a Gaussian of ``sigma`` frames.

    values, weight: (T, C). Returns the lines' values at their own frames (T, C) and how much weight
    the Gaussian (1 at its middle) found (T, C); the value is 0 where it found none. Amid even
    samples this is the Gaussian mean; at the ends and beside gaps it does not lag behind.
    own: whether a frame's own sample counts, or only its neighbours'.
    """
    radius = max(1, int(np.ceil(3 * sigma)))
    offset = torch.arange(-radius, radius + 1, dtype=values.dtype, device=values.device)
    bell = torch.exp(-0.5 * (offset / max(sigma, 1e-3)) ** 2)
    if not own:
        bell = bell * (offset != 0)

    def total(signal: Tensor, power: int) -> Tensor:
        kernel = (bell * offset**power)[None, None]
        return conv1d(signal.T[:, None], kernel, padding=radius)[:, 0].T

    w0, w1, w2 = (total(weight, power) for power in range(3))
    y0, y1 = (total(weight * values, power) for power in range(2))
    mass = w0.clamp_min(1e-8)
    middle, mean = w1 / mass, y0 / mass
    spread = w2 / mass - middle * middle
    slope = (y1 / mass - middle * mean) / (spread + 0.1 * sigma**2 + 1e-6)
    return torch.where(w0 > 1e-8, mean - slope * middle, 0.0), w0


def nearest_rotation(matrices: Tensor) -> Tensor:
    """(..., 3, 3) -> the nearest rotations (orthogonal Procrustes)."""
    u, _, v = torch.linalg.svd(matrices)
    flip = torch.ones_like(matrices[..., 0])
    flip[..., 2] = torch.det(u @ v)
    return u @ (flip[..., None] * v)


def smooth_rotations(rotations: Tensor, weight: Tensor, sigma: float) -> Tensor:
    """Rotations (T, J, 3, 3) averaged over time; weight (T, J), sigma in frames.

    A frame around which there is no weight at all keeps its own.
    """
    joints = rotations.shape[1]
    flat = rotations.reshape(len(rotations), -1)
    mean, mass = local_line(flat, weight.repeat_interleave(9, 1), sigma)
    found = mass.view(-1, joints, 9)[..., :1, None] > 1e-6
    mean = torch.where(found, mean.view_as(rotations), rotations)
    return nearest_rotation(mean)


def low_pass(values: np.ndarray, cutoff: float, order: int = ORDER) -> np.ndarray:
    """Zero-phase Butterworth filter of (T, C); cutoff in cycles per frame, below 0.5.

    Sequences too short for the filter's padding come back as they are.
    """
    b, a = butter(order, 2 * cutoff)
    if len(values) <= 3 * max(len(a), len(b)):
        return values
    return filtfilt(b, a, values, axis=0)


def runs(flags: Tensor) -> list[slice]:
    """Stretches of True in (T,) bool."""
    edge = torch.diff(flags.to(torch.int8).cpu(), prepend=torch.zeros(1), append=torch.zeros(1))
    return [
        slice(a, b)
        for a, b in zip(
            (edge > 0).nonzero().flatten().tolist(),
            (edge < 0).nonzero().flatten().tolist(),
            strict=True,
        )
    ]


def smooth_params(
    params: SmplParams, method: str = "gaussian", strength: float = 1.0, camera: bool = True
) -> SmplParams:
    """Pose, and the camera if ``camera``, smoothed over time; shape and the rest stay.

    method: "gaussian" works in seconds (sigma ``strength`` * 0.04 s, cameras twice that), so the
    same movement comes out alike at any frame rate. "butterworth" is the official filter, a share
    of the frame rate (4 Hz at 30 frames per second; at strength 2 half of that).
    """
    if method not in METHODS:
        raise InputError(f"method must be one of {', '.join(METHODS)}; got {method!r}")
    if not 0 <= strength <= 100:
        raise InputError(f"strength must be 0 (unchanged) to 100; got {strength}")
    if strength == 0:
        return params
    pose, cameras = params.pose.clone(), params.camera
    placed = None if cameras is None or not camera else _camera_values(cameras)
    for run in runs(params.valid):
        if run.stop - run.start < 3:
            continue
        rotations = axis_angle_to_matrix(pose[run])
        if method == "gaussian":
            one = pose.new_ones(len(rotations), 1)
            sigma = strength * POSE_SECONDS * params.fps
            rotations = smooth_rotations(rotations, one.expand(-1, 24), sigma)
        else:
            six = matrix_to_rot6d(rotations).flatten(1)
            six = _filtered(six, min(POSE_CUTOFF / strength, 0.49))
            rotations = rot6d_to_matrix(six.unflatten(1, (24, 6)))
        pose[run] = matrix_to_axis_angle(rotations)
        if placed is not None and method == "gaussian":
            sigma = strength * CAMERA_SECONDS * params.fps
            placed[run] = local_line(placed[run], one.to(placed), sigma)[0]
        elif placed is not None:
            placed[run] = _filtered(placed[run], min(CAMERA_CUTOFF / strength, 0.49))
    return replace(
        params, pose=pose, camera=cameras if placed is None else _camera(cameras, placed)
    )


def fill_gaps(params: SmplParams, longest: int = LONGEST_GAP) -> SmplParams:
    """Invalid frames between valid ones, at most ``longest`` in a row, turned and moved evenly.

    They become valid, with half the confidence of the less certain neighbour. Other invalid frames
    stay as they are.
    """
    gaps = [g for g in runs(~params.valid) if _inner(g, len(params)) <= longest]
    if not gaps:
        return params
    pose, confidence, valid = params.pose.clone(), params.confidence.clone(), params.valid.clone()
    rotations = axis_angle_to_matrix(pose)
    placed = None if params.camera is None else _camera_values(params.camera)
    for gap in gaps:
        before, after = gap.start - 1, gap.stop
        part = torch.arange(1, after - before, device=pose.device).to(pose) / (after - before)
        turn = between(rotations[before], rotations[after], part)
        pose[gap] = matrix_to_axis_angle(turn)
        confidence[gap] = 0.5 * torch.minimum(confidence[before], confidence[after])
        valid[gap] = True
        if placed is not None:
            placed[gap] = placed[before].lerp(placed[after], part[:, None].to(placed))
    camera = params.camera if placed is None else _camera(params.camera, placed)
    return replace(params, pose=pose, camera=camera, confidence=confidence, valid=valid)


def between(first: Tensor, last: Tensor, part: Tensor) -> Tensor:
    """(N, J, 3, 3) rotations a ``part`` (N,) in 0..1 of the way from one pose to another."""
    turn = matrix_to_axis_angle(first.transpose(-1, -2) @ last)
    return first @ axis_angle_to_matrix(part[:, None, None] * turn)


def _inner(gap: slice, frames: int) -> float:
    """Length of a gap; infinite at either end of the clip."""
    return gap.stop - gap.start if gap.start > 0 and gap.stop < frames else float("inf")


def _filtered(values: Tensor, cutoff: float) -> Tensor:
    found = low_pass(values.double().cpu().numpy(), cutoff)
    return torch.from_numpy(np.ascontiguousarray(found)).to(values)


def _camera_values(camera: Camera) -> Tensor:
    """(T, 3 to 6) float64: scale, place (metres from the image's middle), focal, principal point.

    The scale and the place are, up to a constant factor, the official (s, tx, ty). Filtered alike,
    a scale and a focal length that is a distance times it stay in that proportion.
    """
    height, width = camera.size
    middle = camera.center.new_tensor([width / 2, height / 2])
    columns = [camera.scale[:, None], (camera.center - middle) / camera.scale[:, None]]
    if camera.focal is not None:
        columns.append(camera.focal[:, None])
    if camera.principal is not None:
        columns.append(camera.principal)
    return torch.cat(columns, 1).double()


def _camera(like: Camera, values: Tensor) -> Camera:
    height, width = like.size
    values = values.to(like.scale)
    scale = values[:, 0].clamp_min(0.5 * float(like.scale.min()))  # a filter may overshoot
    return Camera(
        scale,
        scale.new_tensor([width / 2, height / 2]) + values[:, 1:3] * scale[:, None],
        like.size,
        None if like.focal is None else values[:, 3].clamp_min(0.5 * float(like.focal.min())),
        None if like.principal is None else values[:, -2:],
    )


def best_path(price: Tensor, step: Tensor) -> Tensor:
    """Viterbi: one of H choices in each of T frames, (T,), the cheapest way through.

    price: (T, H) of the choices. step: (T - 1, H, H) from a choice to one of the next frame.
    """
    total, came = price[0].cpu(), []
    price, step = price.cpu(), step.cpu()
    for frame in range(1, len(price)):
        best = (total[:, None] + step[frame - 1]).min(0)
        came.append(best.indices.tolist())
        total = best.values + price[frame]
    path = [int(total.argmin())]
    for before in reversed(came):
        path.append(before[path[-1]])
    return torch.tensor(path[::-1], device=step.device)
