"""Fitting bodies to keypoints whose truth is known."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from lwg_core.body.open_body import open_body
from lwg_core.body.params import JOINT_NAMES, SmplParams
from lwg_core.body.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from lwg_core.errors import InputError
from lwg_core.recovery.fit import REJECTED, fit_keypoints
from lwg_core.recovery.keypoints import KEYPOINT_NAMES, Keypoints, parse_pose_keypoints
from lwg_core.recovery.kinematics import fold
from lwg_core.recovery.labels import joint_confidence
from lwg_core.recovery.priors import range_of_motion
from lwg_core.recovery.projection import project_keypoints, stacked_regressor, to_pose_keypoint
from lwg_core.recovery.solver import Bodies, Evidence, minimise, predict
from lwg_core.recovery.swaps import orders
from lwg_core.render.camera import Camera

SIZE = (512, 512)
FEET = list(range(18, 24))
LEGS = [KEYPOINT_NAMES.index(f"{s}_{n}") for s in ("left", "right") for n in ("knee", "ankle")]
ARMS = {  # joint: left-hand rotation vector in degrees, and its mirror image
    "shoulder": (10, -40, -40),
    "elbow": (0, -60, 0),
}


@pytest.fixture(scope="module", params=["stick", "open"])
def body(request, stick_body):
    return stick_body if request.param == "stick" else open_body()


def _person(body, turns, distance=5.0, pixels=220.0, center=(256.0, 230.0), size=SIZE):
    """One person in an everyday pose, seen from len(turns) sides."""
    frames = len(turns)
    pose = torch.zeros(frames, 24, 3)
    pose[:, 1:] = range_of_motion().mean
    for name, degrees in ARMS.items():
        vector = torch.tensor(degrees).float().deg2rad()
        pose[:, JOINT_NAMES.index(f"left_{name}")] = vector
        pose[:, JOINT_NAMES.index(f"right_{name}")] = vector * torch.tensor([1.0, -1.0, -1.0])
    pose[:, JOINT_NAMES.index("left_knee"), 0] = math.radians(50)
    turned = torch.zeros(frames, 3)
    turned[:, 1] = torch.tensor(turns)
    facing = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    pose[:, 0] = matrix_to_axis_angle(facing @ axis_angle_to_matrix(turned))
    scale = torch.full((frames,), pixels)
    camera = Camera(scale, torch.tensor([center]).repeat(frames, 1), size, scale * distance)
    return SmplParams(pose, torch.zeros(10), body.id, camera)


def _seen(body, params) -> Keypoints:
    points, confidence = project_keypoints(body, params)
    return Keypoints(points * confidence[..., None], confidence, params.camera.size)


def _without(keypoints: Keypoints, missing: list[int]) -> Keypoints:
    confidence = keypoints.confidence.clone()
    confidence[:, missing] = 0
    return replace(keypoints, points=keypoints.points * (confidence > 0)[..., None],
                   confidence=confidence)  # fmt: skip


def _headings(params: SmplParams) -> torch.Tensor:
    """(T,) angle of the body's forward axis in the ground plane, radians."""
    forward = axis_angle_to_matrix(params.pose[:, 0])[:, :, 2]
    return torch.atan2(forward[:, 0], -forward[:, 2])


def _joint_error(body, found: SmplParams, truth: SmplParams) -> torch.Tensor:
    """(T,) mean distance of root-aligned joints, metres."""
    ours, theirs = (body.joints(p.pose, p.betas) for p in (found, truth))
    return ((ours - ours[:, :1]) - (theirs - theirs[:, :1])).norm(dim=-1).mean(1)


def test_exact_from_every_side(body):
    turns = [2 * math.pi * i / 12 for i in range(12)]
    truth = _person(body, turns)
    fit = fit_keypoints(_seen(body, truth), body, SIZE, smooth=False)
    assert fit.error_px.max() < 0.5
    off = _headings(fit.params) - _headings(truth)
    assert torch.atan2(off.sin(), off.cos()).abs().max() < math.radians(15)
    assert _joint_error(body, fit.params, truth).max() < 0.06
    assert fit.params.valid.all() and fit.messages == ("",) * 12
    assert (fit.params.confidence.amin(0) > 0).all()
    # What comes out is a pinhole at the assumed distance, with the picture's principal point.
    camera = fit.params.camera
    torch.testing.assert_close(camera.focal / camera.scale, torch.full((12,), 5.0))
    assert camera.principal is None and camera.size == SIZE
    points, _ = project_keypoints(body, fit.params)
    seen = fit.visible
    miss = (points - _seen(body, truth).points).norm(dim=-1) * seen
    torch.testing.assert_close(miss.sum(1) / seen.sum(1), fit.error_px, rtol=1e-3, atol=1e-3)


def test_solver_reaches_the_keypoints_of_an_odd_pose(stick_body):
    """With the evidence weighed up, priors do not show."""
    table = fold(stick_body, stacked_regressor(stick_body), torch.float64)
    motion = range_of_motion(torch.float64)
    generator = torch.Generator().manual_seed(2)
    noise = torch.randn(8, 24, 3, generator=generator, dtype=torch.float64)
    truth = Bodies(
        axis_angle_to_matrix(0.5 * noise),
        torch.randn(8, 10, generator=generator, dtype=torch.float64),
        torch.zeros(8, dtype=torch.float64),
        torch.zeros(8, 2, dtype=torch.float64),
    )
    target = predict(table, truth, 5.0)
    evidence = Evidence(target, torch.full((8, 24), 1e4, dtype=torch.float64), 5.0)
    start = truth.moved(0.1 * torch.randn(8, 85, generator=generator, dtype=torch.float64))
    before = (predict(table, start, 5.0) - target).norm(dim=-1).mean()
    found, _ = minimise(table, motion, evidence, start, 30, 0.01)
    assert before > 0.1
    assert (predict(table, found, 5.0) - target).norm(dim=-1).max() < 0.002  # half a pixel


def test_noise_and_missing_points(stick_body):
    turns = [0.4 * i for i in range(16)]
    truth = _person(stick_body, turns, distance=4.0)
    clean = _seen(stick_body, truth)
    generator = torch.Generator().manual_seed(0)
    noisy = clean.points + 3 * torch.randn(clean.points.shape, generator=generator)
    kept = clean.confidence * (torch.rand(16, 24, generator=generator) > 0.1)
    kept[:, FEET] = 0
    fit = fit_keypoints(
        Keypoints(noisy * kept[..., None], kept, SIZE), stick_body, SIZE, smooth=False
    )
    assert fit.error_px.mean() < 3.5
    assert _joint_error(stick_body, fit.params, truth).mean() < 0.09
    off = _headings(fit.params) - _headings(truth)
    assert torch.atan2(off.sin(), off.cos()).abs().max() < math.radians(60)
    assert fit.params.valid.all()
    assert torch.equal(fit.visible, kept > 0)


def test_one_wild_point_is_outvoted(stick_body):
    truth = _person(stick_body, [0.3])
    clean = _seen(stick_body, truth)
    wild = clean.points.clone()
    wild[0, KEYPOINT_NAMES.index("left_ankle")] = torch.tensor([20.0, 40.0])
    fit = fit_keypoints(replace(clean, points=wild), stick_body, SIZE)
    assert fit.params.valid.all()
    assert _joint_error(stick_body, fit.params, truth) < 0.06


def test_half_body_flags_the_legs(body):
    truth = _person(body, [0.2, -0.5])
    fit = fit_keypoints(_without(_seen(body, truth), LEGS + FEET), body, smooth=False)
    confidence = dict(zip(JOINT_NAMES, fit.params.confidence.unbind(1), strict=True))
    for side in ("left", "right"):
        for joint in ("hip", "knee", "ankle", "foot"):
            assert (confidence[f"{side}_{joint}"] == 0).all()
        for joint in ("shoulder", "elbow"):
            assert (confidence[f"{side}_{joint}"] == 1).all()
    assert (confidence["pelvis"] == 1).all() and (confidence["head"] == 1).all()
    assert fit.params.valid.all() and fit.error_px.max() < 1
    # Nobody draws what nobody saw.
    _, seen = project_keypoints(body, fit.params)
    assert (seen[:, LEGS + FEET] == 0).all() and (seen[:, :9] == 1).all()


def test_foot_points_orient_the_feet(body):
    truth = _person(body, [0.0, 2.0])
    ankle = JOINT_NAMES.index("left_ankle")
    pose = truth.pose.clone()
    pose[:, ankle] = torch.tensor([0.35, 0.1, 0.0])
    truth = replace(truth, pose=pose)
    seen = _seen(body, truth)

    def toe_error(keypoints: Keypoints) -> torch.Tensor:
        points, _ = project_keypoints(body, fit_keypoints(keypoints, body, smooth=False).params)
        return (points - seen.points)[:, 18].norm(dim=-1).mean()

    assert toe_error(seen) < 2.5 < toe_error(_without(seen, FEET))


def test_body_25_file_to_parameters(body):
    """The whole path: JSON in BODY_25 order and fractions, canvas of another size."""
    truth = _person(body, [0.6], size=(480, 640), center=(400.0, 220.0), pixels=200.0)
    seen = _seen(body, truth)
    rows = torch.cat([seen.points / torch.tensor([640.0, 480.0]), seen.confidence[..., None]], -1)[
        0
    ]
    hips = rows[[8, 11]].mean(0, keepdim=True)
    triples = torch.cat([rows[:8], hips, rows[8:]]).flatten().tolist()
    document = {"canvas_width": 320, "canvas_height": 240}
    document["people"] = [{"pose_keypoints_2d": triples}]
    fit = fit_keypoints(parse_pose_keypoints(document, (480, 640)), body, (480, 640))
    assert fit.error_px[0] < 0.5
    assert (fit.params.camera.center - truth.camera.center).norm() < 20
    again = parse_pose_keypoints(to_pose_keypoint(*project_keypoints(body, fit.params), (480, 640)))
    assert (again.points - seen.points).norm(dim=-1).max() < 3


def test_swapped_sides_are_noticed(body):
    truth = _person(body, [0.3, -0.4])
    seen = _seen(body, truth)
    for order in orders(24)[[1, 2, 3, 7]]:  # legs, arms, both, everything
        swapped = Keypoints(seen.points[:, order], seen.confidence[:, order], SIZE)
        fit = fit_keypoints(swapped, body, smooth=False)
        assert _joint_error(body, fit.params, truth).max() < 0.06
        assert fit.error_px.max() < 0.5


def test_a_clip_shares_its_shape_and_survives_gaps(stick_body):
    turns = [0.1 * i for i in range(10)]
    truth = _person(stick_body, turns)
    truth = replace(truth, betas=torch.tensor([0.0, 1.5, -1.5] + [0.0] * 7))
    seen = _seen(stick_body, truth)
    confidence = seen.confidence.clone()
    confidence[0] = 0
    confidence[4, 3:] = 0
    seen = replace(seen, points=seen.points * (confidence > 0)[..., None], confidence=confidence)
    calls = []
    fit = fit_keypoints(seen, stick_body, fps=25.0, progress=lambda *c: calls.append(c))
    assert fit.params.betas.shape == (10,) and fit.params.fps == 25.0
    # Frame 4 is filled from its neighbours; before frame 1 there is nothing to fill from.
    assert fit.params.valid.tolist() == [i != 0 for i in range(10)]
    assert [bool(m) for m in fit.messages] == [i in (0, 4) for i in range(10)]
    torch.testing.assert_close(fit.params.pose[0], fit.params.pose[1])
    assert (fit.params.confidence[0] == 0).all()
    assert fit.error_px.max() < 1.5
    assert calls[-1] == (10, 10)
    _, drawn = project_keypoints(stick_body, fit.params)
    assert (drawn[0] == 0).all()
    alone = fit_keypoints(seen, stick_body, fps=25.0, smooth=False)
    assert alone.params.valid.tolist() == [i not in (0, 4) for i in range(10)]
    assert (alone.params.confidence[[0, 4]] == 0).all()


@pytest.mark.parametrize("smooth", [True, False])
def test_nonsense_is_not_valid(stick_body, smooth):
    generator = torch.Generator().manual_seed(1)
    points = torch.rand(6, 24, 2, generator=generator) * 512
    fit = fit_keypoints(Keypoints(points, torch.ones(6, 24), SIZE), stick_body, smooth=smooth)
    assert not fit.params.valid.any()
    assert (fit.energy > REJECTED).all()
    assert all("no body explains" in m for m in fit.messages)
    assert torch.isfinite(fit.params.pose).all()


def test_collapsed_and_scattered_points_stay_finite(stick_body):
    same = torch.full((1, 24, 2), 100.0)
    far = torch.rand(1, 24, 2, generator=torch.Generator().manual_seed(0)) * 1500 - 500
    for points in (same, far):
        fit = fit_keypoints(Keypoints(points, torch.ones(1, 24), SIZE), stick_body)
        assert torch.isfinite(fit.params.pose).all() and torch.isfinite(fit.energy).all()


def test_joint_confidence_follows_the_chain():
    confidence = torch.ones(1, 24)
    confidence[0, KEYPOINT_NAMES.index("left_knee")] = 0
    confidence[0, FEET] = 0
    joints = dict(zip(JOINT_NAMES, joint_confidence(confidence)[0].tolist(), strict=True))
    assert joints["left_hip"] == 0.5 and joints["left_knee"] == 1 and joints["right_hip"] == 1
    assert joints["left_foot"] == 0.5
    assert (joint_confidence(torch.ones(2, 18))[:, :7] == 1).all()


def test_requests_that_cannot_be_met(stick_body):
    seen = _seen(stick_body, _person(stick_body, [0.0]))
    with pytest.raises(InputError, match="not of \\(100, 100\\)"):
        fit_keypoints(seen, stick_body, (100, 100))
    with pytest.raises(InputError, match="no frame has enough points"):
        fit_keypoints(_without(seen, list(range(4, 24))), stick_body)
    with pytest.raises(InputError, match="distance must be"):
        fit_keypoints(seen, stick_body, distance=0)
    with pytest.raises(InputError, match="no keypoint regressor"):
        fit_keypoints(seen, replace(stick_body, keypoint_regressor=None))


def test_a_body_without_foot_points(stick_body):
    bare = replace(stick_body, foot_regressor=None)
    truth = _person(stick_body, [0.5])
    fit = fit_keypoints(_seen(stick_body, truth), bare)
    assert fit.error_px[0] < 0.5
    assert project_keypoints(bare, fit.params)[0].shape == (1, 18, 2)
