"""Clips: joined over time, mended, filled, or said to be neither."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from lwg_core.body.open_body import open_body
from lwg_core.body.params import JOINT_NAMES, SmplParams
from lwg_core.body.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from lwg_core.errors import InputError
from lwg_core.recovery.fit import fit_keypoints
from lwg_core.recovery.keypoints import KEYPOINT_NAMES, MIRRORED, Keypoints
from lwg_core.recovery.outline import outline_of
from lwg_core.recovery.priors import range_of_motion
from lwg_core.recovery.projection import project_keypoints
from lwg_core.recovery.solver import Bodies, Pull
from lwg_core.recovery.swaps import ARMS, EVERYTHING, LEGS, describe, mend_over_time, orders
from lwg_core.render.camera import Camera
from lwg_core.render.raster import rasterize, silhouette
from lwg_core.synthetic.motions import motion

SIZE = (512, 512)


def _run(body, frames: int, fps: float = 30.0, heading: float = 0.7, focal=None) -> SmplParams:
    """A person who runs on the spot, three steps a second, turning a little."""
    phase = 3 * math.pi * torch.arange(frames) / fps
    pose = torch.zeros(frames, 24, 3)
    pose[:, 1:] = range_of_motion().mean
    for side, sign in (("left", 1.0), ("right", -1.0)):
        swing = sign * phase.sin()
        pose[:, JOINT_NAMES.index(f"{side}_hip"), 0] = -0.2 - 0.45 * swing
        pose[:, JOINT_NAMES.index(f"{side}_knee"), 0] = 0.4 + 0.3 * sign * phase.cos()
        pose[:, JOINT_NAMES.index(f"{side}_shoulder"), 0] = 0.5 * swing
        pose[:, JOINT_NAMES.index(f"{side}_shoulder"), 2] = -sign * 1.15
    turn = torch.zeros(frames, 3)
    turn[:, 1] = heading + 0.2 * (phase / 2).sin()
    facing = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    pose[:, 0] = matrix_to_axis_angle(facing @ axis_angle_to_matrix(turn))
    scale = torch.full((frames,), 200.0)
    center = torch.tensor([[256.0, 240.0]]).repeat(frames, 1)
    focals = scale * 5 if focal is None else torch.full((frames,), focal)
    return SmplParams(pose, torch.zeros(10), body.id, Camera(scale, center, SIZE, focals), fps=fps)


def _seen(body, truth: SmplParams, noise: float = 0.0) -> Keypoints:
    points, confidence = project_keypoints(body, truth)
    generator = torch.Generator().manual_seed(0)
    points = points + noise * torch.randn(points.shape, generator=generator)
    confidence[:, 18:] = 0
    return Keypoints(points * confidence[..., None], confidence, SIZE)


def _without(keypoints: Keypoints, frames: slice) -> Keypoints:
    confidence = keypoints.confidence.clone()
    confidence[frames, 2:] = 0
    points = keypoints.points * (confidence > 0)[..., None]
    return Keypoints(points, confidence, keypoints.size)


def _joints(body, params: SmplParams) -> torch.Tensor:
    joints = body.joints(params.pose, params.betas)
    return joints - joints[:, :1]


def _error(body, found: SmplParams, truth: SmplParams) -> torch.Tensor:
    return (_joints(body, found) - _joints(body, truth)).norm(dim=-1).mean(1)


def _liveliness(body, params: SmplParams) -> float:
    joints = _joints(body, params)
    second = joints[2:] - 2 * joints[1:-1] + joints[:-2]
    return float(second.norm(dim=-1).mean()) * params.fps**2


@pytest.fixture(scope="module")
def run(stick_body):
    return _run(stick_body, 24)


@pytest.fixture(scope="module")
def fitted(stick_body, run):
    return fit_keypoints(_seen(stick_body, run, 3.0), stick_body)


def test_a_clip_is_calmer_and_nearer_than_its_frames(stick_body, run, fitted):
    alone = fit_keypoints(_seen(stick_body, run, 3.0), stick_body, smooth=False)
    assert _error(stick_body, fitted.params, run).mean() < 0.06
    assert (
        _error(stick_body, fitted.params, run).mean()
        < 0.9 * _error(stick_body, alone.params, run).mean()
    )
    truth = _liveliness(stick_body, run)
    assert 0.75 * truth < _liveliness(stick_body, fitted.params) < 1.25 * truth
    assert _liveliness(stick_body, alone.params) > 3 * truth
    assert fitted.params.valid.all() and fitted.messages == ("",) * 24
    assert fitted.error_px.max() < 6


def test_the_frame_rate_does_not_matter(stick_body, fitted):
    twice = _run(stick_body, 36, fps=60.0)
    fit = fit_keypoints(_seen(stick_body, twice, 3.0), stick_body, fps=60.0)
    truth = _liveliness(stick_body, twice)
    assert 0.75 * truth < _liveliness(stick_body, fit.params) < 1.25 * truth
    assert _error(stick_body, fit.params, twice).mean() < 0.06


@pytest.mark.parametrize("name", ["walk", "squat"])
def test_calm_movement_stays_calm(name):
    """With the little that runs need, noise would be eight times as lively as a squat."""
    body, clip = open_body(), motion(name)
    truth = clip.select(torch.arange(48) % len(clip))
    turned = axis_angle_to_matrix(torch.tensor([0.0, 0.8, 0.0]))
    root = axis_angle_to_matrix(truth.pose[:, 0]) @ turned
    pose = torch.cat([matrix_to_axis_angle(root)[:, None], truth.pose[:, 1:]], 1)
    scale = torch.full((48,), 210.0)
    camera = Camera(scale, torch.tensor([[256.0, 230.0]]).repeat(48, 1), SIZE, scale * 5)
    truth = SmplParams(pose, torch.zeros(10), body.id, camera, fps=clip.fps)
    fit = fit_keypoints(_seen(body, truth, 3.0), body, fps=clip.fps)
    assert abs(_liveliness(body, fit.params) / _liveliness(body, truth) - 1) < 0.4


def test_gaps(stick_body):
    run = _run(stick_body, 36)
    seen = _seen(stick_body, run, 1.0)
    for gap in (slice(0, 2), slice(6, 14), slice(20, 31)):
        seen = _without(seen, gap)
    fit = fit_keypoints(seen, stick_body)
    lost = {0, 1, *range(20, 31)}
    assert fit.params.valid.tolist() == [i not in lost for i in range(36)]
    assert all("filled" in m and "2, 6 are needed" in m for m in fit.messages[6:14])
    assert all("gap of 11 frames is too long" in m for m in fit.messages[20:31])
    assert all(m.startswith("too few") and "gap" not in m for m in fit.messages[:2])
    assert not any(fit.messages[i] for i in (2, 5, 14, 19, 31, 35))
    assert _error(stick_body, fit.params, run)[6:14].max() < 0.12
    confidence = fit.params.confidence
    assert (confidence[list(lost)] == 0).all()
    elbow = JOINT_NAMES.index("left_elbow")
    assert confidence[10, elbow] == 0.5 and confidence[5, elbow] == 1
    # A lost frame looks like its neighbour, and is not drawn.
    torch.testing.assert_close(fit.params.pose[0], fit.params.pose[2])
    assert (project_keypoints(stick_body, fit.params)[1][20:31] == 0).all()


@pytest.mark.parametrize(
    "label, swapped",
    [(LEGS, [7, 8]), (LEGS + ARMS, list(range(12, 19)))],
)
def test_left_and_right_are_mended(stick_body, run, fitted, label, swapped):
    seen = _seen(stick_body, run, 3.0)
    order = orders(24)[label]
    points, confidence = seen.points.clone(), seen.confidence.clone()
    points[swapped], confidence[swapped] = points[swapped][:, order], confidence[swapped][:, order]
    fit = fit_keypoints(Keypoints(points, confidence, SIZE), stick_body)
    told = [i for i, m in enumerate(fit.messages) if "swapped" in m]
    # Where both sides lie on each other an exchange neither shows nor matters.
    assert len(set(told) ^ set(swapped)) <= 2
    assert fit.params.valid.all()
    assert _error(stick_body, fit.params, run).max() < 0.12
    assert _error(stick_body, fit.params, fitted.params).mean() < 0.03


def test_frames_that_told_settle_the_others():
    """Most frames are wrong, a few of them say so."""
    points = torch.zeros(30, 24, 2)
    points[..., 1] = torch.arange(24.0) / 10
    for name in ("hip", "knee", "ankle"):
        points[:, KEYPOINT_NAMES.index(f"left_{name}"), 0] = 0.3
    label = torch.where(torch.arange(30) < 20, LEGS, 0)
    order = orders(24)[label]
    points = points.gather(1, order[..., None].expand_as(points))
    weight, present = torch.ones(30, 24), torch.ones(30, dtype=torch.bool)
    weight[:, 18:] = 0
    told = torch.full((30,), -1)
    told[[3, 8, 9, 15, 16]] = LEGS
    assert torch.equal(mend_over_time(points, weight, present, 30.0, told), label)
    told[:] = -1
    told[12] = ARMS  # one false alarm is outvoted
    assert (mend_over_time(points, weight, present, 30.0, told) & ARMS == 0).all()


def test_points_missed_by_turns_are_no_exchange():
    """Limbs that lie on each other, seen now on the left, now on the right."""
    points = torch.zeros(20, 24, 2)
    points[..., 1] = torch.arange(24.0) / 10
    mirrored = torch.tensor(MIRRORED)
    points = (points + points[:, mirrored]) / 2
    weight, present = torch.ones(20, 24), torch.ones(20, dtype=torch.bool)
    weight[::2, KEYPOINT_NAMES.index("left_knee")] = 0
    weight[1::2, KEYPOINT_NAMES.index("right_knee")] = 0
    assert (mend_over_time(points, weight, present, 30.0) == 0).all()


def test_a_mend_that_turns_its_back_says_so(stick_body):
    seen = _seen(stick_body, _run(stick_body, 2, heading=math.pi))
    order = orders(24)[EVERYTHING]
    swapped = Keypoints(seen.points[:, order], seen.confidence[:, order], SIZE)
    fit = fit_keypoints(swapped, stick_body, smooth=False)
    assert all(m.endswith("mended, and the body faces away from the camera") for m in fit.messages)
    facing = fit_keypoints(seen, stick_body, smooth=False)
    assert facing.messages == ("", "")


def test_labels():
    table = orders(24)
    assert torch.equal(table[0], torch.arange(24))
    twice = table.gather(1, table)
    assert torch.equal(twice, table[:1].expand(8, 24))
    knee = KEYPOINT_NAMES.index("left_knee"), KEYPOINT_NAMES.index("right_knee")
    assert table[LEGS, knee[0]] == knee[1] and table[ARMS, knee[0]] == knee[0]
    assert describe(LEGS + ARMS) == "of the legs and arms"
    assert describe(EVERYTHING) == "of the whole body"


def test_frames_of_somebody_else(stick_body, run, fitted):
    seen = _seen(stick_body, run, 3.0)
    points, confidence = seen.points.clone(), seen.confidence.clone()
    generator = torch.Generator().manual_seed(3)
    points[[9, 10, 18], :18] = 512 * torch.rand(3, 18, 2, generator=generator)
    confidence[[9, 10, 18], :18] = 1
    fit = fit_keypoints(Keypoints(points, confidence, SIZE), stick_body)
    assert fit.params.valid.all()
    assert [i for i, m in enumerate(fit.messages) if m] == [9, 10, 18]
    assert all("filled" in fit.messages[i] for i in (9, 10, 18))
    assert _error(stick_body, fit.params, fitted.params).max() < 0.08


def test_known_focal_length(stick_body):
    truth = _run(stick_body, 8, focal=1600.0)  # 8 m away
    for smooth in (True, False):
        fit = fit_keypoints(_seen(stick_body, truth), stick_body, focal=1600.0, smooth=smooth)
        camera = fit.params.camera
        assert (camera.focal == 1600).all()
        distance = camera.translation[:, 2]
        assert (distance / 8 - 1).abs().max() < 0.06
        points, _ = project_keypoints(stick_body, fit.params)
        seen = _seen(stick_body, truth)
        miss = ((points - seen.points).norm(dim=-1) * seen.confidence).sum(1)
        torch.testing.assert_close(miss / seen.confidence.sum(1), fit.error_px, rtol=1e-2, atol=0.1)
        assert fit.error_px.max() < 1.5


def test_two_frames_and_silent_progress(stick_body, run):
    calls = []
    fit = fit_keypoints(
        _seen(stick_body, run.select(slice(0, 2))), stick_body, progress=lambda *c: calls.append(c)
    )
    assert fit.params.valid.all() and fit.error_px.max() < 1.5
    assert calls[-1] == (2, 2) and calls == sorted(calls)


@pytest.fixture(scope="module")
def outlined():
    """A broad person in an A-pose, their keypoints and their silhouette."""
    body = open_body()
    truth = _run(body, 1, heading=0.1)
    truth = replace(truth, betas=torch.tensor([0.0, 2.0] + [0.0] * 8))
    pixels = truth.camera.project(body.vertices(truth.pose, truth.betas))
    mask = silhouette(rasterize(pixels, body.faces, SIZE))
    return body, truth, mask


def test_outline_of_tight_clothing(outlined):
    body, truth, mask = outlined
    seen = _seen(body, truth, 3.0)

    def overlap(params: SmplParams) -> float:
        pixels = params.camera.project(body.vertices(params.pose, params.betas))
        drawn = silhouette(rasterize(pixels, body.faces, SIZE)) > 0
        return float((drawn & (mask > 0)).sum() / (drawn | (mask > 0)).sum())

    without, with_mask = (fit_keypoints(seen, body, mask=m).params for m in (None, mask))
    assert overlap(with_mask) > overlap(without) + 0.03
    assert overlap(with_mask) > 0.88
    assert _error(body, with_mask, truth) < _error(body, without, truth) + 0.02
    # No person in the mask: as if there were none.
    empty = fit_keypoints(seen, body, mask=torch.zeros_like(mask)).params
    assert torch.equal(empty.pose, without.pose)


def test_terms_slope_where_their_energy_does(outlined):
    """Twice the gradient is the derivative of the energy."""
    body, truth, mask = outlined
    middle, scale = torch.tensor([256.0, 256.0]), truth.camera.scale
    outline = outline_of(body, mask, middle, scale, 5.0)
    rotations = axis_angle_to_matrix(truth.pose)
    pull = Pull(rotations, torch.full((1, 24), 4.0))
    generator = torch.Generator().manual_seed(0)
    start = Bodies(rotations, truth.betas[None], torch.zeros(1), torch.zeros(1, 2)).moved(
        0.04 * torch.randn(1, 85, generator=generator)
    )

    def energy(term, bodies):
        gradient, normal = torch.zeros(1, 85), torch.zeros(1, 85, 85)
        return term.add(bodies, gradient, normal), gradient

    for term, step, tolerance in ((pull, 1e-2, 0.01), (outline, 3e-3, 0.1)):
        _, gradient = energy(term, start)
        away = step * gradient / gradient.norm()
        change = energy(term, start.moved(away))[0] - energy(term, start.moved(-away))[0]
        expected = 4 * (gradient * away).sum()
        assert abs(change / expected - 1) < tolerance


def test_requests_that_cannot_be_met(stick_body, run):
    seen = _seen(stick_body, run)
    nan = seen.points.clone()
    nan[3, 2] = math.nan
    with pytest.raises(InputError, match="NaN or infinite values in frames \\[3\\]"):
        fit_keypoints(replace(seen, points=nan), stick_body)
    empty = Keypoints(seen.points[:0], seen.confidence[:0], SIZE)
    with pytest.raises(InputError, match="keypoints hold no frame"):
        fit_keypoints(empty, stick_body)
    with pytest.raises(InputError, match="focal must be pixels"):
        fit_keypoints(seen, stick_body, focal=0.8)
    with pytest.raises(InputError, match="fps must be"):
        fit_keypoints(seen, stick_body, fps=0)
    with pytest.raises(InputError, match="mask must be \\(24, 1, 512, 512\\)"):
        fit_keypoints(seen, stick_body, mask=torch.zeros(24, 1, 64, 64))
