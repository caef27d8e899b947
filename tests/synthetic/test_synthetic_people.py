import json

import cv2
import numpy as np
import pytest
import torch

from lwg_core.body.files import load_params
from lwg_core.body.open_body import open_body
from lwg_core.body.params import SmplParams
from lwg_core.errors import InputError
from lwg_core.render.camera import Camera
from lwg_core.synthetic.backgrounds import random_background
from lwg_core.synthetic.motions import turned
from lwg_core.synthetic.people import pose_keypoints, write_people


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("people")
    seen = []
    write_people(2, out, seed=3, size=160, pictures=3, progress=lambda *a: seen.append(a))
    assert seen == [(i, 6) for i in range(1, 7)]
    return out


def test_every_picture_has_its_mask_keypoints_and_body(folder):
    stems = [f"person{i:04d}_{j:02d}" for i in range(2) for j in range(3)]
    expected = {f"{s}{end}" for s in stems for end in (".png", "_mask.png", ".json", ".npz")}
    assert {path.name for path in folder.iterdir()} == expected


def test_masks_cover_the_person(folder):
    for path in folder.glob("*_mask.png"):
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        frame = json.loads(path.with_name(path.name.replace("_mask.png", ".json")).read_text())[0]
        points = np.array(frame["people"][0]["pose_keypoints_2d"]).reshape(18, 3)
        limbs = points[[3, 6, 9, 12, 1]]  # elbows, knees, neck
        inside = [mask[int(y), int(x)] > 127 for x, y, _ in limbs]
        assert all(inside)
        assert mask[:4, :4].max() == 0


def test_bodies_load_back_and_project_onto_the_keypoints(folder):
    body = open_body()
    for path in folder.glob("*.npz"):
        params = load_params(path)
        assert params.body_model == "open" and len(params) == 1
        frame = json.loads(path.with_suffix(".json").read_text())
        assert isinstance(frame, list) and len(frame) == 1
        assert (frame[0]["canvas_width"], frame[0]["canvas_height"]) == (160, 160)
        person = frame[0]["people"][0]
        points = torch.tensor(person["pose_keypoints_2d"]).view(18, 3)
        vertices = body.vertices(params.pose, params.betas)
        projected = params.camera.project(body.keypoint_regressor @ vertices)[0, :, :2]
        seen = points[:, 2] > 0
        assert torch.allclose(points[seen, :2], projected[seen], atol=2e-3)
        assert (points[~seen] == 0).all()
        assert (points[1:14, 2] == 1).all()
        assert points[seen, :2].min() > 0 and points[seen, :2].max() < 160
        lengths = [len(person[f"{n}_keypoints_2d"]) for n in ("face", "hand_left", "hand_right")]
        assert lengths == [210, 63, 63]


@pytest.mark.parametrize(
    ("yaw", "hidden"), [(0, set()), (180, {0, 14, 15}), (75, {15, 17}), (-75, {14, 16})]
)
def test_the_face_hides_where_the_head_turns_away(yaw, hidden):
    """Turned to their left (yaw > 0), a person shows the right side of the face."""
    pose = np.zeros((24, 3), np.float32)
    pose[0, 0] = np.pi
    pose = torch.from_numpy(turned(pose, yaw))[None]
    camera = Camera(torch.tensor([100.0]), torch.tensor([[128.0, 128.0]]), (256, 256))
    frame = pose_keypoints(open_body(), SmplParams(pose, torch.zeros(10), "open", camera))
    points = np.array(frame["people"][0]["pose_keypoints_2d"]).reshape(18, 3)
    assert {int(i) for i in np.nonzero(points[:, 2] == 0)[0]} == hidden


def test_nobody_is_refused(tmp_path):
    with pytest.raises(InputError, match="at least 1"):
        write_people(0, tmp_path)


def test_backgrounds_are_varied_pictures():
    pictures = [random_background(np.random.default_rng(s), (48, 64)) for s in range(12)]
    for picture in pictures:
        assert picture.shape == (48, 64, 3) and picture.dtype == np.float32
        assert picture.min() >= 0 and picture.max() <= 1
    means = np.stack([p.mean((0, 1)) for p in pictures])
    assert means.std(0).min() > 0.08
    again = random_background(np.random.default_rng(4), (48, 64))
    assert np.array_equal(again, pictures[4])
