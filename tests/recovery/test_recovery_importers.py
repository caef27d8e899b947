"""Every motion file format, written here in its own layout from known poses and read back."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from motion_files import (
    FRAMES,
    POINTS,
    Y_UP,
    Z_UP,
    amass,
    carries,
    close,
    cropped,
    dump,
    easymocap,
    gvhmr,
    known_motion,
    matrices,
    npz,
    one,
    phalp,
    same_pixels,
    vectors,
    wham,
)  # fmt: skip

from lwg_core.body.files import save_params
from lwg_core.body.open_body import open_body
from lwg_core.body.params import SmplParams
from lwg_core.errors import InputError
from lwg_core.flow.targets import imitate
from lwg_core.recovery.importers import load_motion_file
from lwg_core.render.camera import Camera


@pytest.fixture
def known() -> dict[str, np.ndarray]:
    return known_motion()


def test_own_file(tmp_path, known):
    pose = torch.from_numpy(known["pose"]).float()
    camera = Camera(torch.full((FRAMES,), 300.0), torch.full((FRAMES, 2), 250.0), (512, 512))
    given = SmplParams(pose, torch.ones(10), "smpl", camera, fps=24.0)
    save_params(tmp_path / "clip.npz", given)
    read = one(tmp_path / "clip.npz")
    assert torch.equal(read.pose, pose) and torch.equal(read.betas, given.betas)
    assert read.fps == 24.0 and read.camera.size == (512, 512)
    motion = one(tmp_path / "clip.npz", body=open_body())
    assert motion.betas is None and motion.body_model is None and torch.equal(motion.pose, pose)


# AMASS


@pytest.mark.parametrize("width, rate", [(156, "mocap_framerate"), (165, "mocap_frame_rate")])
@pytest.mark.parametrize("world", [Z_UP, Y_UP, np.eye(3)], ids=["z-up", "y-up", "camera"])
def test_amass(tmp_path, known, width, rate, world):
    data = amass(known, world, width, betas=np.zeros(16), gender="female", **{rate: 120.0})
    read = one(npz(tmp_path / "a.npz", **data))
    close(read, known["pose"])
    carries(read.camera, known["trans"])
    assert read.fps == 120.0 and read.betas is None and read.valid.all()


def test_amass_of_somebody_lying_is_still_z_up(tmp_path, known):
    known["pose"][:, 0] = vectors(matrices(known["pose"][:, 0]) @ matrices([math.pi / 2, 0, 0]))
    read = one(npz(tmp_path / "a.npz", **amass(known, Z_UP, 156, dmpls=np.zeros((FRAMES, 8)))))
    close(read, known["pose"])


def test_amass_betas_are_kept_for_the_neutral_body_only(tmp_path, known):
    for gender, model in (("neutral", "smplx"), ("male", None), (b"male", None)):
        data = amass(known, Z_UP, 165, betas=np.arange(16.0), gender=np.array(gender))
        data |= {"root_orient": data["poses"][:, :3], "pose_body": data["poses"][:, 3:66]}
        data["markers_latent_vids"] = np.array({"C7": 3832}, object)  # pickled; never looked at
        read = one(npz(tmp_path / "a.npz", **data))
        assert read.body_model == model
        if model:
            assert read.betas.tolist() == list(range(10))


def test_smpl_poses_of_aist(tmp_path, known):
    poses = known["pose"].reshape(FRAMES, 72).copy()
    poses[:, :3] = vectors(Y_UP.T @ matrices(known["pose"][:, 0]))
    data = {"smpl_poses": poses, "smpl_trans": 90 * known["trans"] @ Y_UP, "smpl_scaling": [90.0]}
    read = one(dump(tmp_path / "a.pkl", data))
    close(read, known["pose"])
    carries(read.camera, known["trans"])
    assert read.fps == 60.0


# 4D-Humans


@pytest.mark.parametrize("compress", [False, True])
def test_phalp(tmp_path, known, compress):
    first, second = load_motion_file(dump(tmp_path / "demo.pkl", phalp(known), compress))
    assert (first.track, second.track) == (4, 9) and len(first) == len(second) == FRAMES
    assert first.valid.tolist() == [t != 3 for t in range(FRAMES)]
    assert second.valid.tolist() == [t == 2 for t in range(FRAMES)]
    seen = first.valid.numpy()
    close(first.select(first.valid), known["pose"][seen])
    assert (first.confidence[3] == 0).all() and (first.confidence[2] == 1).all()
    close(second, np.repeat(known["pose"][2:3], FRAMES, 0))
    focal = 5000 / 256 * 640
    far = (known["trans"] * [1, 1, 10])[seen]
    same_pixels(first.camera.select(first.valid), focal, far, (360, 640))
    assert first.body_model == "smpl"
    np.testing.assert_allclose(first.betas.numpy(), known["betas"], atol=1e-6)


# WHAM


def test_wham(tmp_path, known):
    ids = [1, 2, 3, 7, 8, 9, 10]
    path = dump(tmp_path / "wham_output.pkl", wham(known, ids))
    read = one(path, size=(1080, 1920))
    assert len(read) == 11 and read.track == 3
    assert [t for t in range(11) if read.valid[t]] == ids
    close(read.select(ids), known["pose"])
    same_pixels(read.camera.select(ids), math.hypot(1080, 1920), known["trans"], (1080, 1920))
    close(read.select([0, 4, 6]), known["pose"][[0, 2, 3]])  # the nearest frame is held
    assert read.body_model == "smpl"
    carries(one(path).camera.select(ids), known["trans"])  # even without the picture's size


# GVHMR and MotionCapture


def test_gvhmr(tmp_path, known):
    torch.save(gvhmr(known), tmp_path / "hmr4d_results.pt")
    read = one(tmp_path / "hmr4d_results.pt")
    close(read, known["pose"])
    same_pixels(read.camera, 1100.0, known["trans"], (720, 1280))
    assert read.body_model == "smplx"
    np.testing.assert_allclose(read.betas.numpy(), known["betas"], atol=1e-5)


def test_a_seen_pelvis_stays_in_its_place_on_another_body(tmp_path, known):
    """SMPL-X rests its pelvis 13 cm lower than the open body, which must not lift anybody."""
    torch.save(gvhmr(known), tmp_path / "results.pt")
    body = open_body()
    (read,) = load_motion_file(tmp_path / "results.pt", body)
    assert read.betas is None
    seen = body.joints(read.pose)[:, 0] + read.camera.translation
    theirs = known["trans"] + np.array([0.003, -0.351, 0.012])
    np.testing.assert_allclose(seen.numpy(), theirs, atol=1e-4)


def test_a_picture_of_absurd_size_is_named(tmp_path, known):
    data = gvhmr(known)
    for middle in (1e308, 1e9, 0.0):
        lens = data["K_fullimg"].double().clone()
        lens[:, :2, 2] = middle
        torch.save({**data, "K_fullimg": lens}, tmp_path / "results.pt")
        with pytest.raises(InputError, match="that is no picture"):
            load_motion_file(tmp_path / "results.pt")


def test_gvhmr_without_a_camera(tmp_path, known):
    data = gvhmr(known)
    del data["smpl_params_incam"], data["K_fullimg"]
    torch.save(data, tmp_path / "results.pt")
    read = one(tmp_path / "results.pt")
    close(read, known["pose"])
    carries(read.camera, known["trans"])


@pytest.mark.parametrize("moving", [True, False], ids=["moving camera", "still camera"])
def test_motion_capture(tmp_path, known, moving):
    data = gvhmr(known)
    arrays = {name: value.numpy() for name, value in data["smpl_params_global"].items()}
    inside = data["smpl_params_incam"]
    arrays |= {f"{name}_incam": inside[name].numpy() for name in ("global_orient", "transl")}
    if moving:
        arrays |= {
            "K_fullimg": data["K_fullimg"].numpy() + np.array([[0, 0, 7], [0, 0, -4], [0, 0, 0]]),
            "img_width": np.array(1280), "img_height": np.array(720),
            "R_cam2world": np.tile(np.eye(3), (FRAMES, 1, 1)), "t_cam2world": np.zeros((FRAMES, 3)),
        }  # fmt: skip
    read = one(npz(tmp_path / "smpl_params.npz", **arrays))
    close(read, known["pose"])
    if moving:
        same_pixels(read.camera, 1100.0, known["trans"], (720, 1280), np.array([647.0, 356.0]))
    else:
        carries(read.camera, known["trans"])
    humor = {"root_orient": arrays["global_orient"], "pose_body": arrays["body_pose"]}
    read = one(npz(tmp_path / "humor.npz", **humor, betas=arrays["betas"]))
    close(read, known["pose"])
    assert read.betas is None and read.camera is None  # SMPL-H's or SMPL-X's: nobody knows
    only_world = {k: arrays[k] for k in ("body_pose", "betas", "global_orient", "transl")}
    close(one(npz(tmp_path / "world.npz", **only_world)), known["pose"])


def test_hmr2_dictionary_with_a_known_lens(tmp_path, known):
    rotation = torch.tensor(matrices(known["pose"])).float()
    data = {
        "pred_smpl_params": {
            "global_orient": rotation[:, :1], "body_pose": rotation[:, 1:],
            "betas": torch.ones(FRAMES, 10),
        },
        "pred_cam_t": torch.tensor(known["trans"]).float(),
        "cam_int": torch.tensor([[[900.0, 0, 300], [0, 900, 200], [0, 0, 1]]]),
    }  # fmt: skip
    torch.save(data, tmp_path / "camerahmr.pt")
    read = one(tmp_path / "camerahmr.pt")
    close(read, known["pose"])
    same_pixels(read.camera, 900.0, known["trans"], (400, 600))
    assert read.body_model == "smpl"


# VIBE and PARE


def test_vibe_and_pare(tmp_path, known):
    width, height = 500, 300
    pose = known["pose"].reshape(FRAMES, 72)
    data = cropped(known, width, height, pose=pose)
    read = one(dump(tmp_path / "vibe_output.pkl", {1: data}))
    close(read, known["pose"])
    orig = data["orig_cam"]
    wanted = np.stack(  # what VIBE's renderer draws, from [-1, 1] to pixels
        [(orig[:, :1] * (POINTS[:, 0].numpy() + orig[:, 2:3]) + 1) * width / 2,
         (orig[:, 1:2] * (POINTS[:, 1].numpy() + orig[:, 3:]) + 1) * height / 2], -1,
    )  # fmt: skip
    got = read.camera.project(POINTS.float().expand(FRAMES, -1, -1))[..., :2].numpy()
    assert read.camera.size == (height, width) and read.camera.focal is None
    assert np.abs(got - wanted).max() < 0.01
    both = {2: data, 5: cropped(known, width, height, pred_pose=matrices(known["pose"]))}
    del both[5]["pred_cam"]  # only orig_cam, which needs the picture's size
    first, second = load_motion_file(dump(tmp_path / "pare.pkl", both), size=(height, width))
    close(second, known["pose"])
    assert (first.track, second.track) == (2, 5)
    again = second.camera.project(POINTS.float().expand(FRAMES, -1, -1))[..., :2].numpy()
    assert np.abs(again - wanted).max() < 0.01
    assert load_motion_file(tmp_path / "pare.pkl")[1].camera is None


def test_frames_with_a_senseless_crop_camera_are_not_valid(tmp_path, known):
    data = cropped(known, 500, 300, pose=known["pose"].reshape(FRAMES, 72))
    data["pred_cam"][2, 0] = -0.1
    read = one(dump(tmp_path / "vibe_output.pkl", {1: data}))
    assert read.valid.tolist() == [t != 2 for t in range(FRAMES)] and read.camera.size == (300, 500)


# EasyMocap


@pytest.mark.parametrize("width", [72, 69])
@pytest.mark.parametrize("world", [Z_UP, Y_UP, np.eye(3)], ids=["z-up", "y-up", "camera"])
def test_easymocap_folder(tmp_path, known, width, world):
    for t in range(FRAMES):
        people = [easymocap(known, t, width, world)] if t != 2 else []
        if t > 3:
            people.append({**easymocap(known, 0, width, world), "id": 8})
        (tmp_path / f"{t + 40:06d}.json").write_text(json.dumps(people))
    first, second = load_motion_file(tmp_path)
    assert len(first) == len(second) == FRAMES and (first.track, second.track) == (0, 8)
    assert first.valid.tolist() == [t != 2 for t in range(FRAMES)]
    assert second.valid.tolist() == [t > 3 for t in range(FRAMES)]
    seen = first.valid.numpy()
    close(first.select(first.valid), known["pose"][seen])
    carries(first.camera.select(first.valid), known["trans"][seen])
    close(second.select(second.valid), np.repeat(known["pose"][:1], 3, 0))
    assert first.body_model == "smpl"


def test_easymocap_files(tmp_path, known):
    (tmp_path / "000003.json").write_text(json.dumps([easymocap(known, 3, 72, Z_UP)]))
    read = one(tmp_path / "000003.json")
    close(read, known["pose"][3:4])
    assert read.camera is None  # one frame travels nowhere
    frames = [easymocap(known, t, 72, Z_UP) for t in range(FRAMES)]
    clip = {key: [f[key][0] for f in frames] for key in ("Rh", "Th", "poses", "shapes")}
    (tmp_path / "clip.json").write_text(json.dumps({"annots": [clip]}))
    close(one(tmp_path / "clip.json"), known["pose"])


# Travel


def test_travel_is_what_imitate_makes_of_it(tmp_path, known):
    """The source walks as far across its picture, in its metres, as the motion walks."""
    data = amass(known, Z_UP, 156, mocap_framerate=30.0)
    data["trans"] = np.stack([np.linspace(0, 0.8, FRAMES), np.zeros(FRAMES), np.zeros(FRAMES)], 1)
    motion = one(npz(tmp_path / "a.npz", **data))
    camera = Camera(torch.tensor([200.0]), torch.tensor([[128.0, 150.0]]), (256, 256))
    source = SmplParams(torch.zeros(1, 24, 3), torch.zeros(10), "open", camera)
    moved = imitate(source, motion, open_body(), "travel").camera
    np.testing.assert_allclose(moved.center[:, 0], 128 + 160 * np.linspace(0, 1, FRAMES), atol=0.01)
    np.testing.assert_allclose(moved.center[:, 1], 150.0, atol=0.01)
    np.testing.assert_allclose(moved.scale, 200.0, atol=0.01)


def test_an_imagined_camera_sees_the_whole_walk(tmp_path, known):
    data = amass(known, Z_UP, 156, mocap_framerate=30.0)
    across, away = np.linspace(-6, 9, FRAMES), np.linspace(3, -20, FRAMES)
    data["trans"] = np.stack([across, away, np.zeros(FRAMES)], 1)
    camera = one(npz(tmp_path / "a.npz", **data)).camera
    height, width = camera.size
    assert (camera.translation[:, 2] > 4.9).all()
    assert (camera.center[:, 0] > 0.05 * width).all() and (camera.center[:, 0] < 0.95 * width).all()
    assert (camera.center[:, 1] > 0).all() and (camera.center[:, 1] < height).all()


# Bad files
