"""Motion imitation: whose shape, which pose, which camera."""

import math
from dataclasses import replace

import pytest
import torch

from lwg_core.body.open_body import open_body
from lwg_core.body.params import SmplParams
from lwg_core.errors import InputError
from lwg_core.flow.targets import imitate
from lwg_core.render.camera import Camera


def standing(frames=1):
    pose = torch.zeros(frames, 24, 3)
    pose[:, 0, 0] = math.pi
    return pose


@pytest.fixture
def source():
    camera = Camera(torch.tensor([200.0]), torch.tensor([[150.0, 210.0]]), (400, 300))
    betas = torch.zeros(10)
    betas[0] = 1.5
    return SmplParams(standing(), betas, "open", camera)


def crouching(frames):
    pose = standing(frames)
    bend = torch.linspace(0, 1, frames)
    for joint, angle in ((1, -1.2), (2, -1.2), (4, 2.0), (5, 2.0)):
        pose[:, joint, 0] = bend * angle
    return pose


def test_pose_is_the_motions_and_shape_the_sources(source):
    motion = SmplParams(crouching(4))
    target = imitate(source, motion, open_body())
    assert torch.equal(target.pose, motion.pose)
    assert torch.equal(target.betas, source.betas) and target.body_model == "open"


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
    target = imitate(source, SmplParams(standing(3), camera=drive), open_body(), "travel")
    # 30 px at 100 px per metre are 0.3 m; the source has 200 px per metre.
    assert target.camera.center[1, 0] - target.camera.center[0, 0] == pytest.approx(60)
    assert target.camera.scale.tolist() == pytest.approx([200.0, 200.0, 240.0])


def test_copy_takes_the_motions_camera(source):
    drive = Camera(torch.tensor([90.0]), torch.tensor([[30.0, 40.0]]), (96, 96))
    target = imitate(source, SmplParams(standing(), camera=drive), open_body(), "copy")
    assert target.camera is drive
    with pytest.raises(InputError, match="brings its own camera"):
        imitate(source, SmplParams(standing()), open_body(), "copy")


def test_a_pinhole_source_keeps_its_lens(source):
    focal = replace(source.camera, focal=torch.tensor([900.0]))
    target = imitate(replace(source, camera=focal), SmplParams(standing(5)), open_body())
    assert target.camera.focal.tolist() == [900.0] * 5


def test_errors_name_the_input(source):
    with pytest.raises(InputError, match="camera strategy 'spin'"):
        imitate(source, SmplParams(standing()), open_body(), "spin")
    with pytest.raises(InputError, match="one frame with betas and a camera"):
        imitate(SmplParams(standing()), SmplParams(standing()), open_body())
