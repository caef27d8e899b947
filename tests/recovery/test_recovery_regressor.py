"""Regressor: crops, cameras of any picture, other bodies, keypoints. Weights are made up."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from tiny_regressor import (
    TINY,
    some_pose,
    state_of,
    tiny_regressor,
)  # fmt: skip
from torch import Tensor

from lwg_core.body.params import JOINT_NAMES, SmplParams
from lwg_core.body.rotations import axis_angle_to_matrix
from lwg_core.errors import InputError
from lwg_core.recovery.keypoints import Keypoints
from lwg_core.recovery.projection import project_keypoints
from lwg_core.recovery.regressor.crop import (
    DEVIATION,
    MEAN,
    crop,
    keypoint_boxes,
    mask_boxes,
    picture_boxes,
    windows,
)
from lwg_core.recovery.regressor.network import Prediction, Regressor
from lwg_core.recovery.regressor.recover import recover_images, recover_person
from lwg_core.recovery.regressor.refine import refine
from lwg_core.recovery.regressor.transfer import LIMBS, onto_body
from lwg_core.render.camera import Camera

HEAD, FOOT = JOINT_NAMES.index("head"), JOINT_NAMES.index("left_ankle")


@pytest.fixture(scope="module")
def tiny() -> Regressor:
    return tiny_regressor()


def test_a_crop_shows_what_the_box_holds_black_outside():
    image = torch.linspace(-1, 1, 100)[None, None, None].expand(1, 3, 80, 100).clone()
    where = windows(torch.tensor([[-60.0, 20.0, 40.0, 60.0]]), (80, 100))
    cut = crop(image, where)
    assert cut.shape == (1, 3, 224, 224)
    # 2 crop pixels per pixel; the box's middle (-10, 40) is the crop's.
    outside = 112 + 20
    assert (cut[..., :outside] == 0).all() and (cut[..., :30, :] == 0).all()
    columns = (torch.arange(outside + 2, 224) + 0.5 - 112) / 2 - 10
    torch.testing.assert_close(
        cut[0, 0, 112, outside + 2 :], (columns - 0.5) / 99, atol=1e-5, rtol=0
    )


def test_boxes_of_any_size_and_place_are_cut():
    generator = torch.Generator().manual_seed(0)
    for size in ((40, 4000), (4000, 40), (32, 32)):
        limit = torch.tensor([size[1], size[0]])
        side = torch.exp(torch.rand(60, 1, generator=generator) * 6) * 8
        side = side.clamp_max(7.9 * max(size)) * torch.rand(60, 2, generator=generator).clamp_min(
            0.1
        )
        low = torch.rand(60, 2, generator=generator) * (limit + side) - side
        boxes = torch.cat([low, low + side.clamp_min(8)], 1)
        boxes = boxes[(boxes[:, 2:] > 0).all(1) & (boxes[:, :2] < limit).all(1)]
        cut = crop(torch.ones(len(boxes), 3, *size), windows(boxes, size))
        assert cut.shape[1:] == (3, 224, 224) and cut.min() >= 0 and cut.max() < 1 + 1e-5
    thin = windows(torch.tensor([[-9000.0, -9000, 9000, 9000]]), (32, 4000))
    assert crop(torch.ones(1, 3, 32, 4000), thin).max() == 0


@pytest.mark.parametrize("side", [90, 200, 431, 1900])
def test_reducing_averages_and_keeps_the_mean(side):
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, 700, 900, generator=generator) * 2 - 1
    boxes = torch.tensor([[0.0, 0.0, side, side]])
    smooth, plain = (crop(image, windows(boxes, (700, 900), official)) for official in (0, 1))
    shown = smooth[..., 112:200, 112:200] if side < 700 else smooth[..., 20:60, 20:60]
    assert abs(shown.mean() - 0.5) < 0.03
    if side == 1900:  # ten pixels in one: noise averages out, plain bilinear keeps it
        assert shown.std() < 0.05 < plain[..., 20:60, 20:60].std()


@pytest.mark.parametrize(
    ("box", "frame"),
    [
        ([0, 0, 0, 0], 0),
        ([50, 50, 20, 80], 0),
        ([700, 10, 900, 200], 0),
        ([0, 0, math.nan, 9], 0),
        ([0, 0, 99999, 20], 0),
    ],
)
def test_bad_boxes_are_named(box, frame):
    good = [10.0, 10.0, 100.0, 200.0]
    with pytest.raises(InputError, match="box of frame 1"):
        windows(torch.tensor([good, box], dtype=torch.float32), (360, 640))
    with pytest.raises(InputError, match=r"\(T, 4\)"):
        windows(torch.tensor(good), (360, 640))


class SeesDots(torch.nn.Module):
    """Stands for a perfect network: finds a red and a green dot in each crop and answers the crop
    camera under which the body's head and left ankle fall on them."""

    def __init__(self, body, pose: Tensor, betas: Tensor) -> None:
        super().__init__()
        self.register_buffer("init_cam", torch.zeros(1, 3))
        self.rotations, self.betas = axis_angle_to_matrix(pose), betas
        self.joints = body.joints(pose, betas)[:, [HEAD, FOOT], :2]
        self.done = 0

    def forward(self, crops: Tensor) -> Prediction:
        assert crops.shape[1:] == (3, 224, 224)
        mean, deviation = (torch.tensor(v)[:, None, None] for v in (MEAN, DEVIATION))
        light = (crops * deviation + mean)[:, :2].clamp_min(0)
        at = (torch.arange(224) + 0.5) / 112 - 1
        total = light.sum((2, 3))
        dots = torch.stack([(light.sum(2) @ at) / total, (light.sum(3) @ at) / total], -1)
        some = slice(self.done, self.done + len(crops))
        self.done = some.stop
        joints = self.joints[some]
        bone, seen = joints[:, 0] - joints[:, 1], dots[:, 0] - dots[:, 1]
        s = (bone * seen).sum(1) / (bone * bone).sum(1)
        t = (dots / s[:, None, None] - joints).mean(1)
        camera = torch.cat([s[:, None], t], 1)
        return Prediction(camera, self.rotations[some], self.betas.expand(len(crops), 10))


def dotted(points: Tensor, size: tuple[int, int], radius: float) -> Tensor:
    """Pictures (T, 3, H, W): a red and a green dot at points (T, 2, 2) px on black."""
    y, x = torch.meshgrid(*(torch.arange(n) + 0.5 for n in size), indexing="ij")
    away = (x - points[..., 0, None, None]) ** 2 + (y - points[..., 1, None, None]) ** 2
    light = torch.exp(-away / (2 * radius**2))
    return torch.cat([light, torch.zeros_like(light[:, :1])], 1) * 2 - 1


@pytest.mark.parametrize(
    ("size", "metre", "middle"),
    [
        ((360, 640), 120.0, (520.0, 190.0)),
        ((640, 360), 210.0, (120.0, 300.0)),
        ((1080, 1920), 430.0, (400.0, 560.0)),
        ((97, 331), 41.0, (60.0, 40.0)),
    ],
)
def test_cameras_are_right_in_pictures_of_any_shape(stick_body, size, metre, middle):
    frames = 18 if size == (360, 640) else 2  # more than one batch
    pose, betas = some_pose(frames), torch.tensor([0.5, -0.3] + [0.0] * 8)
    drift = torch.linspace(0, metre / 10, frames)
    center = torch.tensor(middle) + torch.stack([drift, -0.3 * drift], 1)
    truth = Camera(torch.full((frames,), metre) + drift, center, size)
    points = truth.project(stick_body.joints(pose, betas))[..., :2]
    images = dotted(points[:, [HEAD, FOOT]], size, metre / 25)
    boxes = torch.cat([points.amin(1) - 3.7, points.amax(1) + 11.3], 1)
    calls = []
    found = recover_images(
        SeesDots(stick_body, pose, betas), images, boxes, "stick", lambda *c: calls.append(c)
    )
    assert found.valid.all() and found.body_model == "stick" and found.camera.size == size
    assert calls == ([(16, 18), (18, 18)] if frames == 18 else [(2, 2)])
    ours = found.camera.project(stick_body.joints(found.pose, found.betas))[..., :2]
    assert (ours - points).norm(dim=-1).max() < 0.5
    torch.testing.assert_close(axis_angle_to_matrix(found.pose), axis_angle_to_matrix(pose))


def test_a_clip_is_cut_a_batch_at_a_time(tiny):
    """Two thousand frames of a film do not fit into memory."""
    images = torch.rand(20, 3, 48, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1

    class Film:
        size = (48, 64)
        shown = 0

        def __len__(self):
            return len(images)

        def __iter__(self):
            for image in images:
                self.shown += 1
                yield image

    film, read = Film(), []
    boxes = picture_boxes(20, (48, 64))
    found = recover_images(tiny, film, boxes, progress=lambda *_: read.append(film.shown))
    assert read == [16, 20]
    whole = recover_images(tiny, images, boxes)
    assert torch.equal(found.pose, whole.pose) and found.camera.size == (48, 64)


def test_cancelling_stops_the_run(stick_body, tiny):
    class Cancelled(BaseException):
        pass

    def cancel(done, total):
        raise Cancelled

    images = torch.zeros(40, 3, 40, 40)
    with pytest.raises(Cancelled):
        recover_images(tiny, images, picture_boxes(40, (40, 40)), progress=cancel)


def test_nonsense_of_the_network_is_not_hidden(tiny):
    images, boxes = torch.zeros(2, 3, 64, 64), picture_boxes(2, (64, 64))
    shrunk = Regressor(TINY)
    shrunk.load_state_dict({**state_of(tiny), "deccam.bias": torch.tensor([-9.0, 0, 0])})
    assert not recover_images(shrunk.eval(), images, boxes).valid.any()
    shrunk.load_state_dict({**state_of(tiny), "deccam.bias": torch.tensor([torch.inf, 0, 0])})
    with pytest.raises(InputError, match="NaN or infinite"):
        recover_images(shrunk, images, boxes)
    with pytest.raises(InputError, match="one box each"):
        recover_images(tiny, images, boxes[:1])


def test_boxes_come_from_keypoints_masks_or_the_picture():
    points = torch.zeros(4, 24, 2)
    confidence = torch.zeros(4, 24)
    for frame, left in ((0, 100.0), (3, 160.0)):
        confidence[frame, :8] = 1
        points[frame, :8] = torch.stack([torch.full((8,), left), torch.arange(8.0) * 10 + 50], 1)
        points[frame, 0, 0] += 20
    boxes, seen = keypoint_boxes(Keypoints(points, confidence, (360, 640)))
    assert seen.tolist() == [True, False, False, True]
    points[1], confidence[1] = 300 + torch.rand(24, 2), 1.0  # a person of one pixel
    points[2], confidence[2] = 700 + 99 * torch.rand(24, 2), 1.0  # outside of the picture
    same, still = keypoint_boxes(Keypoints(points, confidence, (360, 640)))
    assert torch.equal(same, boxes) and torch.equal(still, seen)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    torch.testing.assert_close(middle[:, 0], torch.tensor([110.0, 130, 150, 170]))
    assert 70 < boxes[0, 3] - boxes[0, 1] < 80

    masks = torch.zeros(3, 1, 50, 70)
    masks[1, 0, 10:31, 5:8] = 1
    boxes, seen = mask_boxes(masks)
    assert boxes.tolist() == [[5, 10, 8, 31]] * 3 and seen.tolist() == [False, True, False]
    with pytest.raises(InputError, match="mask is empty"):
        mask_boxes(masks[:1])

    where = windows(picture_boxes(2, (300, 300)), (300, 300))
    assert where.start.tolist() == [[0, 0]] * 2
    torch.testing.assert_close(where.factor * 300, torch.full((2, 2), 224.0).double())


# --- other bodies, and keypoints


def on_camera(body, pose: Tensor, betas: Tensor, size=(512, 512), metre=200.0) -> SmplParams:
    count = len(pose)
    camera = Camera(
        torch.full((count,), metre), torch.tensor([size[1] / 2, size[0] / 2]).expand(count, 2), size
    )
    return SmplParams(pose, betas, body.id, camera)


def test_another_body_is_refitted_and_betas_do_not_cross(stick_body):
    taller = replace(
        stick_body,
        id="smpl",
        v_template=stick_body.v_template * torch.tensor([1.05, 1.12, 1.0]) + 0.03,
    )
    pose = some_pose(6, spread=0.4)
    params = on_camera(taller, pose, torch.tensor([0.4] + [0.0] * 9))
    wanted = params.camera.project(taller.joints(pose, params.betas))[:, list(LIMBS), :2]

    def miss(found):
        assert found.body_model == "stick" and torch.equal(found.pose, pose)
        got = found.camera.project(stick_body.joints(pose, found.betas))[:, list(LIMBS), :2]
        return (got - wanted).norm(dim=-1).mean().item()

    neutral = onto_body(params, stick_body)
    assert neutral.betas.abs().max() == 0 and torch.equal(neutral.camera.scale, params.camera.scale)
    refitted = onto_body(params, stick_body, taller)
    assert not torch.equal(refitted.betas, params.betas)
    assert miss(refitted) < 1.5 < 10 < miss(neutral)
    same = onto_body(params, taller)
    assert same.body_model == "smpl" and torch.equal(same.betas, params.betas)
    with pytest.raises(InputError, match="belong to body model 'smpl'"):
        onto_body(params, stick_body, replace(taller, id="smplx"))


def test_joints_outside_the_picture_are_not_trusted(stick_body):
    params = on_camera(stick_body, some_pose(spread=0.05), torch.zeros(10), metre=420.0)
    lower = replace(params.camera, center=params.camera.center + torch.tensor([0.0, 164.0]))
    params = replace(params, camera=lower)
    confidence = onto_body(params, stick_body).confidence[0]
    trusted = {name for name, c in zip(JOINT_NAMES, confidence.tolist(), strict=True) if c > 0}
    assert {"pelvis", "spine1", "spine3", "neck", "left_collar"} <= trusted
    assert not trusted & {"left_knee", "right_knee", "left_ankle", "left_foot", "right_foot"}


def seen_keypoints(body, params: SmplParams) -> Keypoints:
    points, confidence = project_keypoints(body, params)
    return Keypoints(points, confidence, params.camera.size)


@pytest.mark.parametrize("count", [1, 3])
def test_keypoints_refine_what_the_network_saw(stick_body, count):
    truth = on_camera(stick_body, some_pose(count, 5, 0.2), torch.zeros(10))
    keypoints = seen_keypoints(stick_body, truth)
    off = 0.1 * torch.randn(count, 24, 3, generator=torch.Generator().manual_seed(6))
    rough = replace(
        truth,
        pose=truth.pose + off,
        camera=Camera(truth.camera.scale * 1.06, truth.camera.center + 6, truth.camera.size),
    )
    refined, messages = refine(rough, keypoints, stick_body, distance=500.0)
    assert messages == ("",) * count and refined.valid.all()
    assert refined.camera.focal is not None
    known = keypoints.confidence > 0

    def miss(params):
        points, _ = project_keypoints(stick_body, params)
        return (points - keypoints.points).norm(dim=-1)[known].mean().item()

    def spread(params):
        joints = stick_body.joints(params.pose, params.betas)
        true = stick_body.joints(truth.pose, truth.betas)
        return ((joints - joints[:, :1]) - (true - true[:, :1])).norm(dim=-1).mean().item()

    assert miss(refined) < 2 < 5 < miss(rough)
    assert spread(refined) < 0.7 * spread(rough)


def test_frames_are_named_when_keypoints_and_network_disagree(stick_body):
    truth = on_camera(stick_body, some_pose(3, 5, 0.1), torch.zeros(10))
    keypoints = seen_keypoints(stick_body, truth)
    points, confidence = keypoints.points.clone(), keypoints.confidence.clone()
    points[1] = 512 * torch.rand(24, 2, generator=torch.Generator().manual_seed(0))
    confidence[2] = 0
    refined, messages = refine(truth, replace(keypoints, points=points), stick_body)
    assert messages[0] == "" and "does not fit the keypoints" in messages[1]
    assert refined.confidence[0].any() and not refined.confidence[1].any()
    refined, messages = refine(truth, replace(keypoints, confidence=confidence), stick_body)
    assert messages == ("", "", "") and torch.equal(refined.pose[2], truth.pose[2])
    with pytest.raises(InputError, match="keypoints must be 3 frames"):
        refine(truth, Keypoints(points[:2], confidence[:2], (512, 512)), stick_body)


def test_the_whole_way_from_picture_to_body(stick_body):
    size, frames = (360, 640), 3
    smpl = replace(stick_body, id="smpl")
    pose, betas = some_pose(frames, 2, 0.15), torch.zeros(10)
    truth = SmplParams(
        pose, betas, "smpl", Camera(torch.full((3,), 130.0), torch.tensor([[450.0, 170]] * 3), size)
    )
    points = truth.camera.project(smpl.joints(pose, betas))[..., :2]
    images = dotted(points[:, [HEAD, FOOT]], size, 5.0)
    masks = torch.zeros(frames, 1, *size)
    for frame, (low, high) in enumerate(zip(points.amin(1), points.amax(1), strict=True)):
        (x0, y0), (x1, y1) = low.long().tolist(), high.long().tolist()
        masks[frame, 0, y0:y1, x0:x1] = 1
    keypoints = seen_keypoints(smpl, truth)
    for evidence in ({}, {"masks": masks}, {"keypoints": keypoints}):
        network = SeesDots(smpl, pose, betas)
        found, messages = recover_person(network, images, smpl, fps=25.0, **evidence)
        assert messages == ("",) * frames and found.valid.all() and found.fps == 25
        ours = found.camera.project(smpl.joints(found.pose, found.betas))[..., :2]
        assert (ours - points).norm(dim=-1).mean() < (0.5 if "keypoints" not in evidence else 3)
    # The mask is lost for one frame: the box is borrowed, and the frame is named.
    masks[1] = 0
    found, messages = recover_person(SeesDots(smpl, pose, betas), images, smpl, masks)
    assert found.valid.tolist() == [True, False, True] and "no person" in messages[1]
    assert found.confidence.any(1).tolist() == [True, False, True]
    # On another body, without SMPL's file.
    found, _ = recover_person(SeesDots(smpl, pose, betas), images, stick_body, masks)
    assert found.body_model == "stick" and found.betas.abs().max() == 0
