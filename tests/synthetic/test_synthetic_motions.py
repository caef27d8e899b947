from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from lwg_core.body.open_body import open_body
from lwg_core.body.params import SmplParams
from lwg_core.errors import InputError
from lwg_core.flow.contact import find_feet
from lwg_core.flow.targets import imitate
from lwg_core.flow.window import person_box
from lwg_core.render.camera import Camera
from lwg_core.synthetic.joint_limits import HINGE_SLACK, JOINT_LIMITS, collides, limit_pose
from lwg_core.synthetic.motions import INDEX, MOTIONS, motion, turned
from lwg_core.synthetic.poses import POSE_KINDS, random_pose


def angles_between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Degrees between rotations given as axis-angle (..., 3)."""
    one = Rotation.from_rotvec(first.reshape(-1, 3))
    other = Rotation.from_rotvec(second.reshape(-1, 3))
    return np.rad2deg((one.inv() * other).magnitude())


@pytest.mark.parametrize("name", MOTIONS)
def test_clips_loop_without_a_jump(name):
    pose = motion(name).pose.numpy()
    steps = np.stack([angles_between(a, b) for a, b in zip(pose[:-1], pose[1:], strict=True)])
    closing = angles_between(pose[-1], pose[0])
    assert (closing <= steps.max(0) + 1e-3).all()
    assert steps.max() < 25  # degrees in a thirtieth of a second


@pytest.mark.parametrize("name", MOTIONS)
def test_clips_stay_within_joint_limits(name):
    pose = motion(name, 60).pose.numpy()
    assert np.abs(limit_pose(pose)[:, 1:] - pose[:, 1:]).max() < 1e-5


@pytest.mark.parametrize("name", MOTIONS)
def test_clips_start_upright_and_facing_the_camera(name):
    pose = motion(name).pose
    joints = open_body().joints(pose[:1], torch.zeros(10))[0]
    assert joints[INDEX["head"], 1] < joints[0, 1] - 0.4  # y points down
    if name == "stroll":  # starts across the picture: the circle lies behind
        assert (joints[INDEX["left_shoulder"], 0] - joints[INDEX["right_shoulder"], 0]).abs() < 0.1
    else:
        assert joints[INDEX["left_shoulder"], 0] > joints[INDEX["right_shoulder"], 0] + 0.2
    assert joints[INDEX["left_wrist"], 1] > joints[INDEX["left_shoulder"], 1]  # arms hang


def test_the_root_is_written_without_sign_flips():
    root = motion("turn").pose[:, 0]
    assert (root[1:] - root[:-1]).norm(dim=1).max() < 0.2


def test_walking_legs_alternate_and_arms_counter_swing():
    pose = motion("walk", 40).pose
    hip = {s: pose[:, INDEX[f"{s}_hip"], 0] for s in ("left", "right")}
    assert torch.allclose(hip["left"], hip["right"].roll(20), atol=0.02)
    body = open_body()
    joints = body.joints(pose, torch.zeros(10))
    ahead = {n: joints[:, INDEX[n], 2] - joints[:, 0, 2] for n in ("left_ankle", "left_wrist")}
    together = torch.corrcoef(torch.stack(list(ahead.values())))[0, 1]
    assert together < -0.8


def test_a_squat_keeps_the_feet_flat():
    pose = motion("squat", 32).pose
    body = open_body()
    joints = body.joints(pose, torch.zeros(10))
    foot = joints[:, INDEX["left_foot"]] - joints[:, INDEX["left_ankle"]]
    slope = torch.rad2deg(torch.atan2(foot[:, 1], -foot[:, 2]))
    assert slope.max() - slope.min() < 12
    drop = joints[:, INDEX["left_ankle"], 1] - joints[:, 0, 1]
    assert drop.max() - drop.min() > 0.3


def test_a_stroll_goes_where_the_feet_step():
    """On a circle that loops; feet on the ground hardly move, walking on the spot they would."""
    clip, body = motion("stroll"), open_body()
    place = clip.camera.translation
    steps = (place.roll(-1, 0) - place).norm(dim=-1)
    assert steps.max() / steps.min() < 1.01
    assert (place[:, 0].amax() - place[:, 0].amin()) == pytest.approx(1.04, abs=0.01)
    assert place[:, 2].argmin() == 0
    feet = find_feet(replace(clip, betas=torch.zeros(10), body_model="open"), body)
    low = (feet.points[..., 1] + feet.clearance - feet.lowest[:, None])[:-1] > -0.015
    slides = [
        points.diff(dim=0)[..., [0, 2]].norm(dim=-1)[low].median() * clip.fps
        for points in (feet.points, feet.points + place[:, None])
    ]
    assert slides[0] > 1.0 and slides[1] < 0.5 * slides[0]  # metres per second


def test_a_stroll_stays_in_the_picture_of_who_fills_it():
    body = open_body()
    pose = motion("wave").pose[:1]
    camera = Camera(torch.tensor([235.0]), torch.tensor([[256.0, 300.0]]), (512, 512))
    source = SmplParams(pose, torch.zeros(10), "open", camera)
    target = imitate(source, motion("stroll", 24), body)
    left, top, right, bottom = person_box(target, body, None)
    assert 0 < left < 120 and 400 < right < 512 and 0 < top and bottom < 512


def test_frames_count_whole_repeats_of_a_clip():
    once, four = motion("walk").pose, motion("walk", 132).pose
    assert len(once) == 33 and len(four) == 132
    assert torch.allclose(four[:33], once, atol=1e-5)
    assert len(motion("dance", 8)) == 8
    assert motion("wave", fps=15.0).fps == 15.0 and len(motion("wave", fps=15.0)) == 45


@pytest.mark.parametrize("arguments", [("fly",), ("walk", 0), ("walk", 5, 0.0)])
def test_bad_arguments_are_named(arguments):
    with pytest.raises(InputError):
        motion(*arguments)


@pytest.mark.parametrize("kind", POSE_KINDS)
def test_random_poses_are_possible_and_vary(kind):
    rng = np.random.default_rng(3)
    poses = np.stack([random_pose(rng, kind) for _ in range(12)])
    again = random_pose(np.random.default_rng(3), kind)
    assert np.array_equal(again, poses[0])
    assert np.isfinite(poses).all()
    assert np.abs(limit_pose(poses)[:, 1:] - poses[:, 1:]).max() < 1e-6
    assert angles_between(poses[:, 0], np.tile([np.pi, 0, 0], (12, 1))).max() < 45
    hands = [INDEX[n] for n in ("left_hand", "right_hand", "left_wrist", "neck", "left_ankle")]
    assert (np.rad2deg(poses[:, hands].std(0)).max(-1) > 2).all()
    assert np.mean([collides(pose) for pose in poses]) <= 0.25


def test_limits_bend_back_what_is_impossible():
    pose = np.zeros((24, 3), np.float32)
    pose[INDEX["left_knee"]] = (-1.0, 0, 0)
    pose[INDEX["right_elbow"]] = (0, -1.5, 0)
    pose[INDEX["head"]] = (0, 2.5, 0)
    limited = limit_pose(pose)
    assert limited[INDEX["left_knee"], 0] == pytest.approx(-np.deg2rad(HINGE_SLACK))
    assert limited[INDEX["right_elbow"], 1] == pytest.approx(-np.deg2rad(HINGE_SLACK))
    assert limited[INDEX["head"], 1] == pytest.approx(np.deg2rad(JOINT_LIMITS["head"]))


def test_a_hand_inside_the_chest_collides_and_a_hanging_arm_does_not():
    inside = np.zeros((24, 3), np.float32)
    inside[INDEX["left_shoulder"]] = np.deg2rad((0, -60, -40))
    inside[INDEX["left_elbow"]] = np.deg2rad((0, -145, 0))
    hanging = np.zeros((24, 3), np.float32)
    hanging[INDEX["left_shoulder"]] = np.deg2rad((0, 0, -68))
    hanging[INDEX["right_shoulder"]] = np.deg2rad((0, 0, 68))
    assert collides(inside) and not collides(hanging)


def test_turning_keeps_every_other_joint():
    pose = random_pose(np.random.default_rng(0), "dance")
    out = turned(pose, 90.0)
    assert np.array_equal(out[1:], pose[1:])
    forward = Rotation.from_rotvec(out[0]).apply([0, 0, 1])
    before = Rotation.from_rotvec(pose[0]).apply([1, 0, 0])
    assert forward == pytest.approx(before, abs=1e-5)
