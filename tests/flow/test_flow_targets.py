"""Motion imitation: whose shape, which pose, which camera."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from lwg_core.body.open_body import open_body
from lwg_core.body.params import SmplParams
from lwg_core.errors import InputError
from lwg_core.flow.contact import find_feet, stances, steady
from lwg_core.flow.targets import CAMERA_STRATEGIES, imitate
from lwg_core.render.camera import Camera
from lwg_core.synthetic.motions import motion, turned


def standing_still(frames=1):
    pose = torch.zeros(frames, 24, 3)
    pose[:, 0, 0] = math.pi
    return pose


@pytest.fixture
def source():
    camera = Camera(torch.tensor([200.0]), torch.tensor([[150.0, 210.0]]), (400, 300))
    betas = torch.zeros(10)
    betas[0] = 1.5
    return SmplParams(standing_still(), betas, "open", camera)


def crouching(frames):
    pose = standing_still(frames)
    bend = torch.linspace(0, 1, frames)
    for joint, angle in ((1, -1.2), (2, -1.2), (4, 2.0), (5, 2.0)):
        pose[:, joint, 0] = bend * angle
    return pose


def test_pose_is_the_motions_and_shape_the_sources(source):
    motion = SmplParams(crouching(4))
    target = imitate(source, motion, open_body())
    assert torch.equal(target.pose, motion.pose)
    assert torch.equal(target.betas, source.betas) and target.body_model == "open"


def test_other_soles_stand_on_the_same_ground(source):
    """Worn shoes with soles 3 cm thicker lift the person instead of sinking into the floor."""
    body = open_body()
    soles = torch.zeros(len(body.v_template))
    down = body.rest_normals()[:, 1] < -0.5
    low = body.v_template[:, 1] < body.v_template[:, 1].amin() + 0.05
    soles[down & low] = 0.03
    still = SmplParams(standing_still(3))
    bare = imitate(source, still, body, "source")
    shod = imitate(source, still, body, "source", worn=soles)
    ground = [
        t.camera.project(body.vertices(t.pose, t.betas, o))[..., 1].amax(1)
        for t, o in ((bare, None), (shod, soles))
    ]
    torch.testing.assert_close(ground[0], ground[1], atol=0.2, rtol=0)
    assert (shod.camera.center[:, 1] < bare.camera.center[:, 1] - 2).all()


def test_feet_stay_on_the_ground(source):
    body = open_body()
    target = imitate(source, SmplParams(crouching(6)), body, "source")
    points = target.camera.project(body.vertices(target.pose, target.betas))
    ground = source.camera.project(body.vertices(source.pose, source.betas))[..., 1].max()
    torch.testing.assert_close(points[..., 1].amax(1), ground.expand(6), atol=1e-2, rtol=0)
    # The head comes down, so the person really crouches.
    assert points[-1, :, 1].min() > points[0, :, 1].min() + 20


def test_travel_follows_the_motion_in_proportion(source):
    drive = Camera(
        torch.tensor([100.0, 100.0, 120.0]),
        torch.tensor([[50.0, 80.0], [80.0, 80.0], [80.0, 80.0]]),
        (160, 160),
    )
    target = imitate(source, SmplParams(standing_still(3), camera=drive), open_body(), "travel")
    # 30 px at 100 px per metre are 0.3 m; the source has 200 px per metre.
    assert target.camera.center[1, 0] - target.camera.center[0, 0] == pytest.approx(60)
    assert target.camera.scale.tolist() == pytest.approx([200.0, 200.0, 240.0])


def test_copy_takes_the_motions_camera(source):
    drive = Camera(torch.tensor([90.0]), torch.tensor([[30.0, 40.0]]), (96, 96))
    target = imitate(source, SmplParams(standing_still(), camera=drive), open_body(), "copy")
    assert target.camera is drive
    with pytest.raises(InputError, match="brings its own camera"):
        imitate(source, SmplParams(standing_still()), open_body(), "copy")


def test_a_pinhole_source_keeps_its_lens(source):
    focal = replace(source.camera, focal=torch.tensor([900.0]))
    target = imitate(replace(source, camera=focal), SmplParams(standing_still(5)), open_body())
    assert target.camera.focal.tolist() == [900.0] * 5


def test_errors_name_the_input(source):
    with pytest.raises(InputError, match="camera strategy 'spin'"):
        imitate(source, SmplParams(standing_still()), open_body(), "spin")
    with pytest.raises(InputError, match="one frame with betas and a camera"):
        imitate(SmplParams(standing_still()), SmplParams(standing_still()), open_body())


def walking(frames=44, yaw=90.0, lens=True):
    """A walk whose standing feet stay where they are, seen by a camera that does not move.

    Also returns (T, P) bool: the one point that stands.
    """
    clip = motion("walk", frames).pose.numpy()
    poses = torch.from_numpy(np.stack([turned(pose, yaw) for pose in clip])).float()
    walk = SmplParams(poses)
    feet = find_feet(walk, open_body())
    every = torch.arange(frames)
    lowest = (feet.points[..., 1] + feet.clearance).argmax(1)
    step = feet.points.diff(dim=0)[every[:-1], lowest[:-1]]
    travel = torch.cat([torch.zeros(1, 3), -step.cumsum(0)])
    travel[:, 1] = 0.93 - feet.lowest
    travel = travel - travel.mean(0) * torch.tensor([1.0, 0.0, 0.0]) + torch.tensor([0.0, 0, 6.0])
    camera = Camera.from_pinhole(torch.full((frames,), 900.0), travel, (720, 1280))
    stands = torch.zeros(feet.points.shape[:2], dtype=torch.bool)
    stands[every, lowest] = True
    return replace(walk, camera=camera if lens else replace(camera, focal=None)), stands


def slide(target, stands):
    """Mean over the stances of how far a standing point strays from where it first stood, px."""
    points = find_feet(target, open_body()).points
    seen = target.camera.project(points)[..., :2]
    strays = [
        (seen[stretch, point] - seen[stretch.start, point]).norm(dim=-1).max()
        for _, point, stretch in stances(stands.float())
        if stretch.stop - stretch.start > 2
    ]
    return float(torch.stack(strays).mean())


@pytest.mark.parametrize("lens", [True, False], ids=["pinhole", "weak"])
@pytest.mark.parametrize("tall", [1.5, -2.0])
def test_standing_feet_do_not_slide(source, lens, tall):
    """The source's legs are longer or shorter than the motion's, so the feet would slide."""
    source = replace(source, betas=torch.tensor([tall] + [0.0] * 9))
    walk, stands = walking(lens=lens)
    slides = [slide(imitate(source, walk, open_body(), steady_feet=s), stands) for s in (0, 1)]
    assert slides[0] > 3.5 and slides[1] < 0.4 * slides[0]


def test_a_shaking_camera_does_not_shake_the_feet(source):
    walk, stands = walking()
    noise = torch.randn(2, 1, len(walk) + 4, generator=torch.Generator().manual_seed(0)) * 3
    noise = torch.nn.functional.avg_pool1d(noise, 5, 1)[:, 0].T
    shaken = replace(walk, camera=replace(walk.camera, center=walk.camera.center + noise))
    slides = [slide(imitate(source, shaken, open_body(), steady_feet=s), stands) for s in (0, 1)]
    assert slides[1] < 0.6 * slides[0]


@pytest.mark.parametrize("lens", [True, False], ids=["pinhole", "weak"])
def test_the_walk_goes_through_the_picture(source, lens):
    """Not on the spot: in body heights the way is the motion's."""
    walk, _ = walking(lens=lens)
    target = imitate(source, walk, open_body())
    way = (target.camera.center[-1] - target.camera.center[0]) / source.camera.scale
    theirs = (walk.camera.center[-1] - walk.camera.center[0]) / walk.camera.scale[0]
    assert theirs[0].abs() > 1.0
    assert way[0] == pytest.approx(float(theirs[0]), rel=0.15)
    # Coming closer, it grows as the motion does.
    walk, _ = walking(yaw=0.0, lens=lens)
    growth = imitate(source, walk, open_body()).camera.scale
    theirs = walk.camera.scale
    assert theirs[-1] / theirs[0] > 1.08
    assert growth[-1] / growth[0] == pytest.approx(float(theirs[-1] / theirs[0]), rel=0.05)


def test_travel_is_relative_to_the_size_of_the_bodies(source):
    """A motion that brings its body: half as tall a source goes half as far in metres."""
    body = open_body()
    walk, _ = walking()
    tall = replace(walk, betas=source.betas, body_model="open")
    small = replace(source, betas=-source.betas)
    ratio = (body.rest(small.betas)[:, 1].max() - body.rest(small.betas)[:, 1].min()) / (
        body.rest(tall.betas)[:, 1].max() - body.rest(tall.betas)[:, 1].min()
    )
    ways = [
        imitate(one, tall, body, steady_feet=False).camera.center[-1, 0] - one.camera.center[0, 0]
        for one in (source, small)
    ]
    assert ways[1] / ways[0] == pytest.approx(float(ratio), rel=1e-3) and ratio < 0.95


def test_shape_stays_the_sources(source):
    """A tall person stays tall: every bone has the length of the source's."""
    body = open_body()
    walk, _ = walking(12)
    short = replace(walk, betas=-source.betas, body_model="open")

    def bones(params):
        joints = body.joints(params.pose, params.betas)
        return (joints[:, 1:] - joints[:, body.parents[1:]]).norm(dim=-1)

    own, theirs = bones(source), bones(short)
    assert (own / theirs - 1).abs().max() > 0.1
    for strategy in CAMERA_STRATEGIES:
        found = bones(imitate(source, short, body, strategy))
        torch.testing.assert_close(found, own.expand_as(found), atol=1e-5, rtol=0)


def test_a_motion_that_starts_low_starts_on_the_ground(source):
    """The travel counts from where the source stands, not from where its middle is."""
    body = open_body()
    motion = SmplParams(crouching(12).flip(0))
    place = torch.zeros(12, 3)
    place[:, 1] = 0.9 - find_feet(motion, body).lowest
    place[:, 2] = 5
    motion = replace(
        motion, camera=Camera.from_pinhole(torch.full((12,), 700.0), place, (480, 640))
    )
    target = imitate(source, motion, body)
    lowest = target.camera.project(body.vertices(target.pose, target.betas))[..., 1].amax(1)
    ground = source.camera.project(body.vertices(source.pose, source.betas))[..., 1].max()
    assert (lowest - ground).abs().max() < 10  # of 200 px per metre
    floating = imitate(source, motion, body, steady_feet=False).camera
    assert (floating.center[-1, 1] - target.camera.center[-1, 1]).abs() > 40


@pytest.mark.parametrize("focal", [None, torch.tensor([900.0])], ids=["weak", "pinhole"])
def test_without_a_camera_the_hips_sway_over_standing_feet(source, focal):
    """A motion of poses alone: its pelvis stands still and its feet would slide to and fro."""
    body = open_body()
    source = replace(source, camera=replace(source.camera, focal=focal))
    pose = standing_still(90)
    pose[:, 1:3, 2] = 0.12 * torch.sin(torch.arange(90) * (2 * math.pi / 90))[:, None]
    clip = SmplParams(pose)
    plain, target = (imitate(source, clip, body, steady_feet=s) for s in (False, True))
    stands = torch.ones(90, 6, dtype=torch.bool)
    assert slide(plain, stands) > 20 and slide(target, stands) < 3.5
    assert (target.camera.center[:, 0] - source.camera.center[0, 0]).abs().max() < 40


def test_smooth_keeps_only_the_height(source):
    """The official default: no travel, no depth; the lowest point stays, jumps are kept."""
    body = open_body()
    walk, _ = walking()
    target = imitate(source, walk, body, "smooth")
    torch.testing.assert_close(target.camera.scale, source.camera.scale.expand(len(walk)))
    torch.testing.assert_close(target.camera.center[:, 0], torch.full((len(walk),), 150.0))
    lift = torch.zeros(len(walk), 2)
    lift[15:30, 1] = -60 * torch.sin(math.pi * torch.arange(15) / 15)
    jump = replace(walk, camera=replace(walk.camera, center=walk.camera.center + lift))
    jumping = imitate(source, jump, body, "smooth").camera.center[:, 1]
    assert (target.camera.center[:, 1] - jumping).max() > 0.3 * 200
    plain = imitate(source, SmplParams(standing_still(5)), body, "smooth").camera
    torch.testing.assert_close(plain.center, source.camera.center.expand(5, 2))


def test_reference_position_takes_the_place_only(source):
    drive = Camera(torch.tensor([100.0, 130.0]), torch.tensor([[80.0, 80.0], [130.0, 60.0]]),
                   (160, 160))  # fmt: skip
    motion = SmplParams(standing_still(2), camera=drive)
    target = imitate(source, motion, open_body(), "reference-position").camera
    assert target.scale.tolist() == [200.0, 200.0]
    places = (drive.center - 80) / drive.scale[:, None]  # metres from the picture's middle
    torch.testing.assert_close(target.center, torch.tensor([150.0, 200.0]) + 200 * places)
    with pytest.raises(InputError, match="'reference-position' needs a motion that brings"):
        imitate(source, SmplParams(standing_still()), open_body(), "reference-position")


def test_corrections_are_zero_where_nothing_stands():
    points = torch.randn(20, 6, 3)
    assert steady(points, torch.zeros(20, 6)).abs().max() == 0


def test_a_long_walk_does_not_drift(source):
    """Legs shorter than the motion's shorten every step; over many steps the way stays near."""
    source = replace(source, betas=torch.tensor([-2.0] + [0.0] * 9))
    walk, _ = walking(330)
    target = imitate(source, walk, open_body())
    plain = imitate(source, walk, open_body(), steady_feet=False)
    apart = (target.camera.center - plain.camera.center)[:, 0] / source.camera.scale
    assert apart.abs().max() < 0.6  # metres, after 14 of them
