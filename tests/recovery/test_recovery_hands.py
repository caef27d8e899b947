"""Wrists follow the knuckles that a detector saw."""

import math
from dataclasses import replace

import pytest
import torch

from lwg_core.body.open_body import open_body
from lwg_core.body.params import SmplParams
from lwg_core.body.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from lwg_core.recovery.fit import fit_keypoints
from lwg_core.recovery.hands import HANDS, WRISTS, smallest_turn
from lwg_core.recovery.keypoints import Keypoints
from lwg_core.recovery.projection import project_keypoints
from lwg_core.render.camera import Camera
from lwg_core.synthetic.motions import motion

SIZE = 512
BODY = open_body()


def waving(bend: float, frames: int = 1, name: str = "walk") -> SmplParams:
    """Somebody whose hands are bent at the wrist by ``bend`` degrees, outwards and inwards."""
    pose = motion(name, 24).pose[:frames].clone()
    turn = torch.tensor([0.0, 0.0, math.radians(bend)])
    local = axis_angle_to_matrix(pose[:, WRISTS])
    pose[:, WRISTS] = matrix_to_axis_angle(local @ axis_angle_to_matrix(turn))
    scale = torch.full((frames,), 200.0)
    center = torch.full((frames, 2), SIZE / 2)
    camera = Camera(scale, center, (SIZE, SIZE), scale * 5)
    return SmplParams(pose, torch.zeros(10), BODY.id, camera)


def seen(person: SmplParams, noise: float = 0.0, lost=()) -> tuple[Keypoints, torch.Tensor]:
    """Keypoints with hands and the true lines (T, 2, 2) px from wrists to hand joints."""
    rng = torch.Generator().manual_seed(0)
    points, confidence = project_keypoints(BODY, person)
    joints = person.camera.project(BODY.joints(person.pose, person.betas))[..., :2]
    # A detector's wrist and knuckles are apart as the joints are.
    line = joints[:, HANDS] - joints[:, WRISTS]
    hands = points[:, [7, 4]] + line
    hands = hands + noise * torch.randn(hands.shape, generator=rng)
    points = points + noise * torch.randn(points.shape, generator=rng)
    hands = torch.cat([hands, torch.ones_like(hands[..., :1])], -1)
    hands[list(lost)] = 0
    return Keypoints(points, confidence, (SIZE, SIZE), hands), line


def lines_of(params: SmplParams) -> torch.Tensor:
    joints = params.camera.project(BODY.joints(params.pose, params.betas))[..., :2]
    return joints[:, HANDS] - joints[:, WRISTS]


def off(found: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Degrees between lines in the picture."""
    cosine = torch.nn.functional.cosine_similarity(found, true, dim=-1)
    return cosine.clamp(-1, 1).acos().rad2deg()


@pytest.mark.parametrize("bend", [-45, 45])
def test_a_bent_wrist_is_found(bend):
    keypoints, true = seen(waving(bend))
    with_hands = fit_keypoints(keypoints, BODY).params
    without = fit_keypoints(replace(keypoints, hands=None), BODY).params
    assert off(lines_of(without), true).max() > 25
    assert off(lines_of(with_hands), true).max() < 8
    others = [j for j in range(24) if j not in WRISTS]
    torch.testing.assert_close(with_hands.pose[:, others], without.pose[:, others])
    assert (with_hands.confidence[:, WRISTS + HANDS] == 1).all()
    assert (without.confidence[:, WRISTS + HANDS] == 0.5).all()


def test_a_clip_is_steady_and_lost_hands_fade_to_the_usual():
    person = waving(40, 24)
    keypoints, true = seen(person, noise=2.0, lost=range(12, 24))
    found = fit_keypoints(keypoints, BODY, fps=30).params
    usual = fit_keypoints(replace(keypoints, hands=None), BODY, fps=30).params
    assert off(lines_of(found), true)[:10].mean() < 15
    assert off(lines_of(usual), true)[:10].mean() > 22
    torch.testing.assert_close(found.pose[20:], usual.pose[20:], atol=0.02, rtol=0)
    wrist = axis_angle_to_matrix(found.pose[:, WRISTS])
    step = matrix_to_axis_angle(wrist[1:].transpose(-1, -2) @ wrist[:-1]).norm(dim=-1)
    assert step[:10].rad2deg().max() < 6 and step.rad2deg().max() < 20


def test_knuckles_far_from_the_wrist_are_another_hand():
    keypoints, _ = seen(waving(0))
    moved = keypoints.hands.clone()
    moved[..., 0] += 120
    far = fit_keypoints(replace(keypoints, hands=moved), BODY).params
    without = fit_keypoints(replace(keypoints, hands=None), BODY).params
    torch.testing.assert_close(far.pose, without.pose)


def test_the_smallest_turn_reaches_its_end():
    rng = torch.Generator().manual_seed(1)
    start, end = torch.randn(2, 50, 3, generator=rng)
    turned = (axis_angle_to_matrix(smallest_turn(start, end)) @ start[..., None])[..., 0]
    expected = torch.nn.functional.normalize(end, dim=-1) * start.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(turned, expected, atol=1e-5, rtol=1e-5)
