"""Smoothing over time, on motions whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from lwg_core.body.params import SmplParams
from lwg_core.body.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from lwg_core.errors import InputError
from lwg_core.recovery.smoothing import (
    best_path,
    fill_gaps,
    local_line,
    low_pass,
    runs,
    smooth_params,
    smooth_rotations,
)
from lwg_core.render.camera import Camera


def _turning(frames: int, fps: float = 30.0, noise: float = 0.0, focal: str = "distance"):
    """A person who turns around once a second, starting at half a turn, and comes nearer."""
    time = torch.arange(frames) / fps
    generator = torch.Generator().manual_seed(0)
    pose = torch.zeros(frames, 24, 3)
    spin = torch.zeros(frames, 3)
    spin[:, 1] = 2 * math.pi * time
    facing = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    jitter = axis_angle_to_matrix(noise * torch.randn(frames, 24, 3, generator=generator))
    root = facing @ axis_angle_to_matrix(spin)
    pose[:, 16, 2] = (2 * math.pi * time).sin()
    rotations = axis_angle_to_matrix(pose)
    rotations[:, 0] = root
    pose = matrix_to_axis_angle(rotations @ jitter)
    scale = 200 + 20 * time + 300 * noise * torch.randn(frames, generator=generator)
    center = torch.stack([200 + 30 * time, 250 + 0 * time], 1)
    focals = {"distance": 5 * scale, "fixed": torch.full_like(scale, 900.0), None: None}[focal]
    camera = Camera(scale, center, (512, 512), focals)
    return SmplParams(pose, torch.zeros(10), "open", camera, fps=fps)


def _apart(first: SmplParams, second: SmplParams) -> torch.Tensor:
    """(T, 24) angle between the rotations, radians."""
    turn = [axis_angle_to_matrix(p.pose) for p in (first, second)]
    return matrix_to_axis_angle(turn[0].transpose(-1, -2) @ turn[1]).norm(dim=-1)


@pytest.mark.parametrize("method", ["gaussian", "butterworth"])
def test_noise_goes_and_the_movement_stays(method):
    truth, noisy = _turning(90), _turning(90, noise=0.06)
    calm = smooth_params(noisy, method)
    before, after = _apart(noisy, truth)[5:-5].mean(), _apart(calm, truth)[5:-5].mean()
    assert after < 0.7 * before
    # Through half turns, where axis-angle jumps, as anywhere else.
    assert _apart(calm, truth)[5:-5, 0].max() < 0.25
    rough = noisy.camera.scale - truth.camera.scale
    left = calm.camera.scale - truth.camera.scale
    assert left[5:-5].abs().mean() < 0.5 * rough[5:-5].abs().mean()
    assert torch.equal(calm.betas, noisy.betas) and torch.equal(calm.valid, noisy.valid)


def test_gaussian_is_in_seconds():
    """The same movement at 30 and at 90 frames per second comes out the same."""
    slow, fast = (smooth_params(_turning(n, fps), strength=3) for n, fps in ((30, 30), (90, 90)))
    assert _apart(slow, fast.select(slice(None, None, 3)))[3:-3].max() < 0.03
    assert _apart(slow, _turning(30))[3:-3].max() > 0.1  # and something was smoothed


@pytest.mark.parametrize("method", ["gaussian", "butterworth"])
def test_cameras_keep_their_proportions(method):
    calm = smooth_params(_turning(60, noise=0.05), method).camera
    torch.testing.assert_close(calm.focal / calm.scale, torch.full((60,), 5.0))
    fixed = smooth_params(_turning(60, noise=0.05, focal="fixed"), method).camera
    torch.testing.assert_close(fixed.focal, torch.full((60,), 900.0))
    assert smooth_params(_turning(60, focal=None), method).camera.focal is None
    still = smooth_params(_turning(60, noise=0.05), method, camera=False)
    assert torch.equal(still.camera.scale, _turning(60, noise=0.05).camera.scale)


def test_motion_without_camera():
    params = _turning(40, noise=0.05)
    motion = SmplParams(params.pose, fps=30.0)
    assert torch.equal(smooth_params(motion).pose, smooth_params(params).pose)


@pytest.mark.parametrize("method", ["gaussian", "butterworth"])
def test_invalid_frames_are_a_wall(method):
    """What lies beyond an invalid frame changes nothing on this side of it."""
    noisy = _turning(60, noise=0.05)
    valid = torch.ones(60, dtype=torch.bool)
    valid[30] = False
    pose = noisy.pose.clone()
    pose[31:] = 0.3
    one, other = (
        smooth_params(SmplParams(p, noisy.betas, "open", noisy.camera, valid=valid), method)
        for p in (noisy.pose, pose)
    )
    assert torch.equal(one.pose[:31], other.pose[:31])
    assert torch.equal(one.pose[30], noisy.pose[30])
    assert not torch.equal(one.pose[:30], noisy.pose[:30])


def test_fill_gaps_turns_evenly():
    truth = _turning(60)
    pose, valid = truth.pose.clone(), torch.ones(60, dtype=torch.bool)
    for gap in (slice(0, 2), slice(20, 30), slice(40, 51)):
        pose[gap], valid[gap] = 0.0, False
    confidence = torch.ones(60, 24)
    confidence[30] = 0.8
    broken = SmplParams(pose, truth.betas, "open", truth.camera, confidence, valid)
    filled = fill_gaps(broken)
    assert filled.valid.tolist() == [not (i < 2 or 40 <= i < 51) for i in range(60)]
    assert _apart(filled, truth)[20:30, 0].max() < 0.01  # an even turn is met exactly
    assert (filled.confidence[20:30] == 0.4).all()
    torch.testing.assert_close(filled.camera.scale, truth.camera.scale)
    assert torch.equal(filled.pose[40:51], pose[40:51])
    assert fill_gaps(truth) is truth


def test_local_line_follows_a_line_to_its_ends_and_over_holes():
    time = torch.arange(30.0)
    values = torch.stack([3 * time + 2, -time], 1)
    weight = torch.ones(30, 2)
    weight[10:13, 0] = 0
    smooth, mass = local_line(values, weight, 1.5)
    assert (smooth - values).abs().max() < 0.75  # a plain mean would lag 3.6 at the ends
    assert (smooth - values)[5:-5, 1].abs().max() < 1e-4
    assert 0 < mass[11, 0] < 0.5 * mass[11, 1]
    gone = torch.zeros(30, 2)
    assert (local_line(values, gone, 1.5)[0] == 0).all()


def test_smooth_rotations_weighs_and_keeps_what_has_no_neighbours():
    turn = torch.zeros(20, 2, 3)
    turn[10, 0, 1] = 1.0
    rotations = axis_angle_to_matrix(turn)
    weight = torch.ones(20, 2)
    weight[10] = 0.0
    smooth = matrix_to_axis_angle(smooth_rotations(rotations, weight, 1.5))
    assert smooth[:, 0].norm(dim=-1).max() < 1e-3
    alone = smooth_rotations(rotations, torch.zeros(20, 2), 1.5)
    torch.testing.assert_close(alone, rotations)


def test_low_pass_of_a_short_sequence_changes_nothing():
    values = np.random.default_rng(0).normal(size=(12, 3))
    assert np.array_equal(low_pass(values, 0.1), values)
    assert low_pass(np.ones((40, 1)), 0.1) == pytest.approx(np.ones((40, 1)))


def test_runs_and_best_path():
    flags = torch.tensor([1, 1, 0, 0, 1, 0, 1]).bool()
    assert runs(flags) == [slice(0, 2), slice(4, 5), slice(6, 7)]
    price = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    free, dear = torch.zeros(2, 2, 2), 5 * (1 - torch.eye(2)).expand(2, 2, 2)
    assert best_path(price, free).tolist() == [0, 1, 0]
    assert best_path(price, dear).tolist() == [0, 0, 0]


def test_requests_that_cannot_be_met():
    params = _turning(20)
    with pytest.raises(InputError, match="method must be one of gaussian, butterworth"):
        smooth_params(params, "kalman")
    with pytest.raises(InputError, match="strength must be"):
        smooth_params(params, strength=-1)
    assert smooth_params(params, strength=0) is params
