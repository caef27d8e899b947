"""NLFPRED and SMPL_PARAMS, as other packs emit them, and telling payloads apart."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from other_packs import (
    BETAS,
    FOCAL,
    PLACE,
    SIZE,
    centred,
    joint_error,
    mhr_payload,
    mhr_person,
    shuffled,
    walk,
)  # fmt: skip

from lwg_core.body.open_body import open_body
from lwg_core.body.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from lwg_core.errors import InputError
from lwg_core.recovery.payloads import import_nlf, import_smpl_payload
from lwg_core.recovery.payloads.arrays import link
from lwg_core.recovery.payloads.nlf import FROM_COCO17
from lwg_core.recovery.payloads.recognise import import_payload
from lwg_core.recovery.projection import stacked_regressor


@pytest.fixture(scope="module")
def shuffle() -> tuple[torch.Tensor, np.ndarray]:
    return shuffled()


# --- NLFPRED -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def walker() -> tuple[torch.Tensor, torch.Tensor]:
    """Poses (6, 24, 3) and their joints in NLF's camera, metres."""
    pose = walk(6, yaw=0.4)
    return pose, open_body().joints(pose, BETAS) + PLACE


NLF_FORMS = {
    "the node's own nesting": lambda j: {"joints3d_nonparam": [[f[None] * 1000 for f in j]]},
    "tuples and numpy": lambda j: {"joints3d_nonparam": ([f[None].numpy() * 1000 for f in j],)},
    "list of frames": lambda j: [f[None] * 1000 for f in j],
    "frames of persons in a dict": lambda j: {"joints3d_nonparam": [f[None] * 1000 for f in j]},
    "frames without persons": lambda j: [f * 1000 for f in j],
    "frames of lists of persons": lambda j: [[f * 1000] for f in j],
    "one tensor": lambda j: j * 1000,
    "one tensor of persons": lambda j: j[:, None] * 1000,
    "metres": lambda j: [f[None] for f in j],
    "rows of 72": lambda j: (j * 1000).flatten(1).double(),
    "nested lists": lambda j: {"joints3d_nonparam": [[[(f * 1000).tolist()] for f in j]]},
    "without hands": lambda j: [f[None, :22] * 1000 for f in j],
    "hands on the wrists": lambda j: [f[None, [*range(22), 20, 21]] * 1000 for f in j],
}


@pytest.mark.parametrize("form", NLF_FORMS)
def test_nlf_in_every_form_that_packs_emit(walker, form):
    pose, joints = walker
    (params,) = import_nlf(NLF_FORMS[form](joints), open_body(), (480, 832), fps=16.0)
    assert len(params) == 6 and params.valid.all() and params.fps == 16.0
    assert joint_error(params, pose) < 0.008
    hands = 0 if "hands" in form else 1
    assert (params.confidence[:, 22:] == hands).all() and (params.confidence[:, :22] == 1).all()
    camera = params.camera
    assert abs(float(camera.focal[0]) - 416 / np.tan(np.radians(27.5))) < 1e-3
    seen = camera.project(open_body().joints(params.pose, params.betas))[..., :2]
    middle = torch.tensor([416.0, 240.0])
    wanted = joints[..., :2] / joints[..., 2:] * camera.focal[0] + middle
    assert (seen - wanted).norm(dim=-1).mean() < 3


def test_nlf_of_coco_keypoints_and_without_a_picture(walker):
    pose, _ = walker
    body = open_body()
    points = torch.einsum("kv,tvc->tkc", stacked_regressor(body)[:18], body.vertices(pose, BETAS))
    coco = torch.zeros(6, 17, 3)
    for row, index in enumerate(FROM_COCO17):
        if index is not None:
            coco[:, index] = points[:, row]
    (params,) = import_nlf({"joints3d_nonparam": [f[None].numpy() for f in coco]}, body)
    assert params.camera is None and joint_error(params, pose) < 0.025
    (params,) = import_nlf([f[None] for f in coco], body, (480, 640))
    assert params.camera is None  # root-relative: there is no camera in it


def test_nlf_persons_are_followed_though_the_detector_reorders_them(walker):
    pose, joints = walker
    other = walk(6, yaw=3.0)
    beside = open_body().joints(other, BETAS) + PLACE + torch.tensor([1.3, 0.0, 0.5])
    frames = [
        torch.stack([a, b] if t % 2 == 0 else [b, a]) * 1000
        for t, (a, b) in enumerate(zip(joints, beside, strict=True))
    ]
    frames[2] = torch.zeros(1, 24, 3)  # how a lost person is padded
    frames[3] = torch.zeros(0, 24, 3)
    found = import_nlf({"joints3d_nonparam": [frames]}, open_body(), (480, 832))
    assert [p.track for p in found] == [0, 1]
    for params, true in zip(found, (pose, other), strict=True):
        assert params.valid.tolist() == [True, True, False, False, True, True]
        assert joint_error(params.select(params.valid), true[params.valid]) < 0.008


@pytest.mark.parametrize(
    "payload, message",
    [
        (None, "got NoneType"),
        ("x", "got str"),
        ([], "there is no frame"),
        ({}, "it holds nothing"),
        ({"boxes": 1}, "it holds boxes"),
        ({"joints3d_nonparam": [[]]}, "no person was found"),
        ({"joints3d_nonparam": [[torch.zeros(0, 24, 3)]]}, "no person was found"),
        (torch.zeros(3, 24, 3), "no person was found"),
        (torch.full((3, 24, 3), torch.nan), "no person was found"),
        (torch.ones(3, 25, 3), "24, 22 or 17 joints, (P, 24, 3); got (25, 3)"),
        (torch.ones(3, 24, 3, dtype=torch.complex64), "got torch.complex64"),
        ([np.array(["a"])], "got an array of <U1"),
        ([[{}]], "got an array of object"),
        ([[[1.0, 2.0, 3.0], [1.0]]], "ragged list"),
        (torch.eye(24)[:, :3].expand(3, 24, 3) * 1e6, "no length of a leg"),
        ([torch.ones(1, 24, 3).cumsum(1), torch.ones(1, 17, 3).cumsum(1)], "joints are mixed"),
        (np.broadcast_to(np.float32(1), (10**9, 24, 3)), "1,000,000,000 frames"),
        ([np.broadcast_to(np.float32(1), (10**8, 24, 3))], "at most 200,000,000 make sense"),
    ],
)
def test_nlf_that_is_none_is_refused_in_a_sentence(payload, message):
    with pytest.raises(InputError) as error:
        import_nlf(payload, open_body())
    assert message in str(error.value) and len(str(error.value)) < 250


def test_nlf_that_holds_itself_ends():
    payload: list = []
    payload.append(payload)
    with pytest.raises(InputError):
        import_nlf(payload, open_body())


# --- SMPL_PARAMS -------------------------------------------------------------------------------

FRAMES = 5
LENS = torch.tensor([[800.0, 0, 320], [0, 800, 240], [0, 0, 1]])


def smpl_pieces() -> tuple[torch.Tensor, dict, dict]:
    """Poses in the camera frame; GVHMR's dictionaries of the camera and of a y-up world."""
    pose = walk(FRAMES, yaw=0.5)
    inside = {
        "global_orient": pose[:, 0],
        "body_pose": pose[:, 1:22].flatten(1),
        "transl": PLACE.expand(FRAMES, 3),
        "betas": torch.ones(FRAMES, 10),
    }
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    world = inside | {
        "global_orient": matrix_to_axis_angle(flip @ axis_angle_to_matrix(pose[:, 0])),
        "transl": torch.zeros(FRAMES, 3),
    }
    return pose, inside, world


def same_pose(params, pose: torch.Tensor, joints: int = 22) -> bool:
    found, wanted = axis_angle_to_matrix(params.pose), axis_angle_to_matrix(pose)
    return bool((found - wanted)[:, :joints].abs().max() < 1e-5)


def smpl_forms() -> dict:
    pose, inside, world = smpl_pieces()
    matrices = axis_angle_to_matrix(pose)
    moved = {"transl": PLACE.expand(FRAMES, 3)}
    return {
        "global and incam": {"global": world, "incam": inside, "K_fullimg": LENS.repeat(5, 1, 1)},
        "incam alone": {"incam": inside, "K_fullimg": LENS[None]},
        "flat with a lens": inside | {"K_fullimg": LENS.repeat(5, 1, 1)},
        "incam keys of a file": {
            "global": world
            | {"global_orient_incam": inside["global_orient"], "transl_incam": inside["transl"]}
            | {"K_fullimg": LENS.repeat(5, 1, 1), "img_width": 640, "img_height": 480}
        },
        "hmr2": {
            "pred_smpl_params": {"global_orient": matrices[:, :1], "body_pose": matrices[:, 1:]},
            "pred_cam_t": moved["transl"],
            "focal_length": torch.tensor(800.0),
        },
        "loader's copy": {"global": world, "incam": world},
        "placeholder lens": {"global": world, "incam": dict(world), "K_fullimg": torch.eye(3)},
        "flat": {k: v.numpy() for k, v in world.items()},
        "pose 72": {"pose": pose.flatten(1)},
        "poses 156": {"poses": torch.nn.functional.pad(pose[:, :22].flatten(1), (0, 90))},
        "poses 24 x 3": {"poses": pose[None].double()},
        "lists": {"poses": pose.tolist()},
        "matrices": {"pred_pose": matrices},
    }


WITH_CAMERA = (
    "global and incam",
    "incam alone",
    "flat with a lens",
    "incam keys of a file",
    "hmr2",
)


@pytest.mark.parametrize("form", smpl_forms())
def test_smpl_poses_are_taken_as_they_are(form):
    pose = smpl_pieces()[0]
    (params,) = import_smpl_payload(smpl_forms()[form], open_body(), SIZE)
    assert same_pose(params, pose) and params.valid.all()
    assert params.body_model == "open" and not params.betas.any()
    if form in WITH_CAMERA:
        camera = params.camera
        assert camera.size == SIZE and float(camera.focal[0]) == 800
        pelvis = open_body().joints_rest(torch.zeros(1, 10))[0, 0]
        theirs = (0.0, -0.223, 0.028) if form == "hmr2" else (0.003, -0.351, 0.012)
        seen = camera.translation + pelvis - PLACE
        torch.testing.assert_close(seen, torch.tensor(theirs).expand(FRAMES, 3), rtol=0, atol=1e-4)
    else:
        assert params.camera is None


def test_smpl_betas_never_cross_models(caplog):
    pose, inside, _ = smpl_pieces()
    body = open_body()
    with caplog.at_level(logging.WARNING):
        (neutral,) = import_smpl_payload(inside, body)
    assert "its betas belong to another body model than 'open'" in caplog.text
    assert not neutral.betas.any()
    for junk in (3, np.zeros((FRAMES, 24, 3)), np.full((FRAMES, 24, 3), np.inf)):
        (neutral,) = import_smpl_payload(inside | {"joints3d": junk}, body)
        assert not neutral.betas.any()
    joints = body.joints(pose, BETAS) + PLACE
    (shaped,) = import_smpl_payload(inside | {"joints3d": joints}, body)
    bones = body.joints_rest(torch.stack([shaped.betas, BETAS]))
    assert (centred(bones)[0] - centred(bones)[1]).norm(dim=-1).max() < 0.01


def test_smpl_batches_and_lists_are_persons_and_broken_frames_are_marked(caplog):
    pose, inside, _ = smpl_pieces()
    two = import_smpl_payload({"poses": torch.stack([pose, pose.flip(0)])}, open_body())
    assert [p.track for p in two] == [0, 1] and same_pose(two[1], pose.flip(0))
    both = import_smpl_payload([inside, inside], open_body(), fps=12.0)
    assert [p.track for p in both] == [0, 1] and both[1].fps == 12.0
    broken = pose.clone()
    broken[2, 5] = torch.nan
    (params,) = import_smpl_payload({"poses": broken, "mocap_framerate": 60}, open_body())
    assert params.valid.tolist() == [True, True, False, True, True] and params.fps == 60
    assert torch.isfinite(params.pose).all() and (params.confidence[2] == 0).all()


def test_smpl_weak_camera_of_the_whole_picture():
    pose = walk(FRAMES)
    given = np.tile([0.5, 0.5 * 640 / 480, 0.1, 0.2], (FRAMES, 1))
    (params,) = import_smpl_payload({"pose": pose, "orig_cam": given}, open_body(), SIZE)
    camera = params.camera
    pelvis = open_body().joints(params.pose, params.betas)[:, 0]
    theirs = pelvis.new_tensor([0.0, -0.223])
    seen = camera.project(pelvis[:, None])[:, 0, :2]
    wanted = torch.tensor([320.0, 240.0]) + 160 * (torch.tensor([0.1, 0.2]) + theirs)
    torch.testing.assert_close(seen, wanted.expand(FRAMES, 2), rtol=0, atol=0.01)


@pytest.mark.parametrize(
    "payload, message",
    [
        (None, "SMPL_PARAMS is empty, so the node before it found nobody or failed"),
        ([], "SMPL_PARAMS is empty"),
        ({}, "SMPL_PARAMS is empty"),
        (3, "got int"),
        ([{}, 2], "person 0 must be"),
        ({"foo": 1}, "it holds foo"),
        ({"pose": "x"}, "it holds pose"),
        ({"pose": np.array([{}])}, "it holds pose"),
        ({"pose": np.zeros((5, 71))}, "axis-angle or as many rotation matrices; got (5, 71)"),
        ({"pose": torch.zeros(0, 72)}, "got (0, 72)"),
        ({"pose": np.zeros((3, 24, 3, 3))}, "rotation matrices"),
        ({"pose": np.full((3, 72), np.nan)}, "every frame holds NaN"),
        ({"pose": np.broadcast_to(np.float32(0), (10**7, 72))}, "that is no clip"),
        ({"pose": torch.zeros(2, 72, dtype=torch.complex64)}, "got torch.complex64"),
        (
            {"global_orient": np.zeros((4, 3)), "body_pose": np.zeros((3, 63))},
            "4 root rotations but 3 body poses",
        ),
        (
            {"global_orient": np.zeros((4, 3)), "body_pose": np.zeros((4, 60))},
            "body_pose, must be (T, 63 or 69",
        ),
        ([{"pose": np.zeros((1, 72))}] * 2000, "claims 2,000 persons"),
        ({"pose": np.zeros((3, 72)), "orig_cam": np.zeros((3, 3))}, "orig_cam, must be"),
        ({"pose": np.zeros((3, 72)), "betas": [[1], 2]}, "got a ragged list"),
        ({"global": {"pose": np.zeros((3, 72))}, "incam": {"pose": object()}}, "SMPL_PARAMS"),
    ],
)
def test_smpl_that_is_none_is_refused_in_a_sentence(payload, message):
    with pytest.raises(InputError) as error:
        import_smpl_payload(payload, open_body(), SIZE)
    assert message in str(error.value) and len(str(error.value)) < 250


# --- any of them -------------------------------------------------------------------------------


def test_who_leaves_while_a_stranger_comes_does_not_disturb_the_others():
    """The pair that moves least together is not who stayed, if one of the two cannot be anybody."""
    before, after = torch.tensor([[0.0, 0], [10, 0]]), torch.tensor([[0.5, 0], [-9, 0]])
    assert link([before, after], 1.0).tolist() == [[0, 0], [1, -1], [-1, 1]]


def test_payloads_are_told_apart_by_what_they_hold(walker, shuffle):
    pose, joints = walker
    body = open_body()
    person = mhr_person(pose[:1], shuffle[0])
    for payload in (person, [person], [[], [person]], mhr_payload([[person]], None)):
        found = import_payload(payload, body, SIZE)
        assert found[0].camera.size == SIZE and float(found[0].camera.focal[0]) == FOCAL
    tensor = joints.reshape(-1, 24, 3)
    for payload in (tensor, tensor.numpy(), {"joints3d": tensor}, list(tensor)):
        assert len(import_payload(payload, body, SIZE)[0]) == len(tensor)
    # VIBE and PARE hold the poses and 49 joints of their own.
    both = {"pose": pose.flatten(1), "joints3d": torch.zeros(len(pose), 49, 3)}
    assert same_pose(import_payload(both, body, SIZE)[0], pose, 24)
    for empty in ([{}], {}, None):
        with pytest.raises(InputError, match="SMPL_PARAMS is empty"):
            import_payload(empty, body, SIZE)


def test_the_frame_rate_of_the_payload_comes_first():
    pose = walk(3)
    for given, rate in (({"fps": 60.0}, 60), ({"mocap_framerate": 120}, 120), ({}, 24)):
        assert import_payload({"poses": pose} | given, open_body(), fps=24.0)[0].fps == rate
    assert import_payload({"poses": pose, "fps": 12.0}, open_body())[0].fps == 12
