"""Files for other programs: read back by our importers and by their own rules."""

from __future__ import annotations

import json
import math
import os

import numpy as np
import pytest
import torch

from lwg_core.body.open_body import open_body
from lwg_core.body.params import SmplParams
from lwg_core.body.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from lwg_core.errors import InputError
from lwg_core.recovery.exporters import save_amass, save_mesh, save_pose_keypoints
from lwg_core.recovery.importers import load_motion_file
from lwg_core.recovery.keypoints import parse_pose_keypoints
from lwg_core.recovery.projection import project_keypoints
from lwg_core.render.camera import Camera

FRAMES = 6


def clip(lying: bool = False, focal: bool = True, **more) -> SmplParams:
    """Somebody who turns and walks away and to the side; hands bent, the first root exactly pi."""
    generator = torch.Generator().manual_seed(2)
    pose = 0.3 * torch.randn(FRAMES, 24, 3, generator=generator)
    yaw = torch.zeros(FRAMES, 3)
    yaw[:, 1] = torch.linspace(0, 4, FRAMES)
    first = torch.tensor([math.pi / 2 if lying else math.pi, 0.0, 0.0])
    root = axis_angle_to_matrix(first) @ axis_angle_to_matrix(yaw)
    pose[:, 0] = matrix_to_axis_angle(root)
    pose[0, 0] = first
    distance = torch.linspace(4, 7, FRAMES)
    camera = Camera(
        600 / distance,
        torch.stack([torch.linspace(100, 300, FRAMES), torch.full((FRAMES,), 250.0)], 1),
        (480, 400),
        torch.full((FRAMES,), 600.0) if focal else None,
    )
    valid = torch.ones(FRAMES, dtype=torch.bool)
    valid[2] = False
    return SmplParams(pose, camera=camera, fps=23.976, valid=valid, **more)


@pytest.mark.parametrize("lying", [False, True], ids=["standing", "lying"])
def test_amass_comes_back_as_it_went(tmp_path, lying):
    given = clip(lying)
    save_amass(tmp_path / "a.npz", given, open_body())
    (read,) = load_motion_file(tmp_path / "a.npz")
    relative = axis_angle_to_matrix(given.pose.double()).mT @ axis_angle_to_matrix(
        read.pose.double()
    )
    assert matrix_to_axis_angle(relative).norm(dim=-1).max() <= 1e-6
    assert torch.allclose(read.pose[0], given.pose[0], atol=1e-6)  # (pi, 0, 0), not (-pi, 0, 0)
    moved = read.camera.translation - read.camera.translation[:1]
    wanted = given.camera.translation - given.camera.translation[:1]
    assert torch.allclose(moved, wanted, atol=1e-4)
    assert read.fps == given.fps and torch.equal(read.valid, given.valid)
    assert torch.equal(read.confidence.any(1), given.valid)


def test_amass_is_laid_out_as_other_programs_expect(tmp_path):
    """z-up, the lowest point of the body on the ground, SMPL-H's widths."""
    body, given = open_body(), clip(betas=torch.full((10,), 0.5), body_model="open")
    save_amass(tmp_path / "a.npz", given, body)
    with np.load(tmp_path / "a.npz") as file:
        data = {name: file[name] for name in file.files}
    assert data["poses"].shape == (FRAMES, 156) and data["trans"].shape == (FRAMES, 3)
    assert data["betas"].shape == (16,) and not data["betas"].any()
    assert data["dmpls"].shape == (FRAMES, 8) and not data["poses"][:, 66:].any()
    assert data["mocap_framerate"] == 23.976 and str(data["gender"]) == "neutral"
    pose = given.pose.clone()
    pose[:, 0] = torch.from_numpy(data["poses"][:, :3])
    vertices = body.vertices(pose.float(), given.betas).numpy() + data["trans"][:, None]
    assert abs(vertices[..., 2].min()) < 1e-4
    head = vertices[0].argmax(0)[2]
    assert body.parts[head] == 0 and vertices[0, :, 2].max() > 1.5  # stands up along z
    assert (np.diff(data["trans"][:, 1]) > 0.3).all()  # away from the camera is +y
    assert (np.diff(data["trans"][:, 0]) > 0.1).all()


def test_amass_keeps_the_betas_of_smplh_only(tmp_path):
    body, betas = open_body(), torch.arange(10.0)
    for model, kept in (("smplh", True), ("smpl", False)):
        save_amass(tmp_path / "a.npz", clip(betas=betas, body_model=model), body)
        (read,) = load_motion_file(tmp_path / "a.npz")
        assert read.body_model == (model if kept else None)
        assert not kept or torch.equal(read.betas, betas)


def test_amass_of_weak_perspective_and_of_no_camera(tmp_path):
    body, weak = open_body(), clip(focal=False)
    save_amass(tmp_path / "a.npz", weak, body)
    with np.load(tmp_path / "a.npz") as file:
        away = file["trans"][:, 1]
    np.testing.assert_allclose(away, 5 * (np.linspace(4, 7, FRAMES) / 4 - 1), atol=1e-5)
    save_amass(tmp_path / "b.npz", SmplParams(weak.pose), body)
    with np.load(tmp_path / "b.npz") as file:
        assert np.ptp(file["trans"], 0).max() == 0 and 0.7 < file["trans"][0, 2] < 1.3
    assert load_motion_file(tmp_path / "b.npz")[0].camera is None


def test_keypoints_are_what_a_detector_would_see(tmp_path):
    body, given = open_body(), clip()
    save_pose_keypoints(tmp_path / "pose.json", given, body)
    data = json.loads((tmp_path / "pose.json").read_text())
    assert len(data) == FRAMES and data[2]["people"] == []
    assert (data[0]["canvas_width"], data[0]["canvas_height"]) == (400, 480)
    read = parse_pose_keypoints(data)
    points, seen = project_keypoints(body, given)
    visible = seen[0] > 0
    assert visible.sum() >= 10
    assert torch.allclose(read.points[0, : len(visible)][visible], points[0][visible], atol=1e-3)


def test_a_mesh_is_closed_and_upright(tmp_path):
    body, given = open_body(), clip()
    save_mesh(tmp_path / "body.obj", given, body, frame=1)
    lines = [line.split() for line in (tmp_path / "body.obj").read_text().splitlines()]
    vertices = np.array([line[1:] for line in lines if line[0] == "v"], float)
    faces = np.array([line[1:] for line in lines if line[0] == "f"], int)
    assert vertices.shape == (len(body.v_template), 3) and faces.min() == 1
    assert np.ptp(vertices[:, 1]) > 1.4
    a, b, c = (vertices[faces[:, i] - 1] for i in range(3))
    volume = np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6
    assert 0.04 < volume < 0.12  # m^3, positive: faces look outwards


def test_wrong_requests(tmp_path):
    body, given = open_body(), clip()
    other = clip(betas=torch.zeros(10), body_model="smpl")
    for call, says in (
        (lambda: save_amass(tmp_path / "a.txt", given, body), r"a\.txt: .*\.npz"),
        (lambda: save_mesh(tmp_path / "a.fbx", given, body), r"a\.fbx: .*\.obj"),
        (lambda: save_pose_keypoints(tmp_path / "a.npz", given, body), r"a\.npz: .*\.json"),
        (lambda: save_mesh(tmp_path / "a.obj", given, body, frame=6), "6 frames"),
        (lambda: save_mesh(tmp_path / "a.obj", other, body), "'smpl', not 'open'"),
        (lambda: save_pose_keypoints(tmp_path / "a.json", SmplParams(given.pose), body), "camera"),
        (lambda: save_amass(tmp_path / "no" / "a.npz", given, body), "cannot be written"),
    ):
        with pytest.raises(InputError, match=says):
            call()
    assert os.listdir(tmp_path) == []
