"""Windows of averaging follow the movement, whatever the noise and the frame rate."""

from __future__ import annotations

import math

import pytest
import torch

from lwg_core.body.params import JOINT_NAMES
from lwg_core.recovery.keypoints import KEYPOINT_NAMES
from lwg_core.recovery.windows import WINDOWS, average, limb_windows, point_window

FOREARM, SHIN, FOOT, HEAD = (
    JOINT_NAMES.index(n) for n in ("left_elbow", "left_knee", "left_foot", "head")
)


def _waving(fps: float, noise: float, seconds: float = 3.0) -> torch.Tensor:
    """(T, 24, 2) points, only the left wrist moves: twice a second, 0.2 m to either side."""
    time = torch.arange(round(seconds * fps)) / fps
    points = torch.randn(24, 2, generator=torch.Generator().manual_seed(1)).repeat(len(time), 1, 1)
    wrist = KEYPOINT_NAMES.index("left_wrist")
    points[:, wrist, 0] += 0.2 * (4 * math.pi * time).sin()
    generator = torch.Generator().manual_seed(0)
    return points + noise * torch.randn(points.shape, generator=generator)


@pytest.mark.parametrize("fps", [12.0, 30.0, 60.0])
def test_still_limbs_are_averaged_long_and_quick_ones_short(fps):
    points = _waving(fps, 0.014)
    step = limb_windows(points, torch.ones(points.shape[:2]), fps)
    assert step.shape == (len(points), 24)
    assert step[:, FOREARM].max() < 2  # below 0.07 s
    assert step[:, [SHIN, HEAD]].mean() > 3.5  # above 0.12 s


def test_noise_widens_windows():
    one = torch.ones(90, 24)
    some, much = (limb_windows(_waving(30.0, n), one, 30.0)[:, FOREARM] for n in (0.003, 0.06))
    assert some.mean() + 1 < much.mean()


def test_what_is_not_seen_is_averaged_like_what_carries_it():
    points, weight = _waving(30.0, 0.014), torch.ones(90, 24)
    weight[:, [i for i, n in enumerate(KEYPOINT_NAMES) if "toe" in n or "heel" in n]] = 0
    torch.testing.assert_close(*limb_windows(points, weight, 30.0)[:, [SHIN, FOOT]].T)
    assert (limb_windows(points, torch.zeros(90, 24), 30.0) == 0).all()


def test_short_clips_are_not_averaged_away():
    points = _waving(30.0, 0.0)[:2]
    assert (limb_windows(points, torch.ones(2, 24), 30.0) == 0).all()


def test_average_is_near_the_truth():
    """Nearer than any fixed window, where rest and movement take turns."""
    time = torch.arange(240) / 30.0
    truth = torch.zeros(240, 1, 2)
    truth[60:180, 0, 0] = 0.15 * (6 * math.pi * time[60:180]).sin()
    generator = torch.Generator().manual_seed(2)
    noisy = truth + 0.014 * torch.randn(240, 1, 2, generator=generator)
    one = torch.ones(240, 1)
    step = point_window(noisy, one, 30.0).expand(-1, 2)
    flat, wide = noisy.flatten(1), one.expand(-1, 2)

    def missed(step: torch.Tensor) -> float:
        return float((average(flat, wide, step, 30.0, 0.0) - truth[:, 0]).square().mean())

    fixed = [missed(torch.full_like(step, float(k))) for k in range(len(WINDOWS))]
    assert missed(step) < 0.95 * min(fixed)
