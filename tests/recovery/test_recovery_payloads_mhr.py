"""MHR_POSE_DATA, as SAM 3D Body emits it: surface, clip, people, lens and what is none."""

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
    joint_error,
    mhr_payload,
    mhr_person,
    shuffled,
    walk,
)  # fmt: skip

from lwg_core.body.open_body import open_body
from lwg_core.errors import InputError
from lwg_core.recovery.payloads import import_mhr
from lwg_core.recovery.surface_fit import Surfaces, surface_distance
from lwg_core.render.camera import Camera


@pytest.fixture(scope="module")
def shuffle() -> tuple[torch.Tensor, np.ndarray]:
    return shuffled()


@pytest.mark.parametrize("with_faces", [True, False])
def test_mhr_one_person_lies_on_the_surface_and_keeps_its_camera(shuffle, with_faces):
    order, faces = shuffle
    body = open_body()
    pose = walk(1, yaw=0.7)
    payload = mhr_payload([[mhr_person(pose, order)]], faces if with_faces else None)
    (params,) = import_mhr(payload, body)
    camera = params.camera
    assert camera.size == SIZE and camera.principal is None and float(camera.focal[0]) == FOCAL
    ours = body.vertices(params.pose, params.betas) + camera.translation[:, None]
    theirs = body.vertices(pose, BETAS) + PLACE
    assert float(surface_distance(ours, Surfaces(theirs))) < 0.005
    pixels = camera.project(body.joints(params.pose, params.betas))[..., :2]
    true = Camera.from_pinhole(torch.tensor([FOCAL]), PLACE[None], SIZE)
    wanted = true.project(body.joints(pose, BETAS))[..., :2]
    assert (pixels - wanted).norm(dim=-1).mean() < 2.0
    assert params.valid.all() and params.track == 0 and params.body_model == "open"


def test_mhr_clip_shares_its_shape_and_says_what_is_missing(shuffle, caplog):
    order, faces = shuffle
    body = open_body()
    pose = walk(7)
    frames = [[mhr_person(pose[t : t + 1], order)] for t in range(7)]
    frames[2] = []
    frames[4][0]["mask"] = np.zeros((480, 640, 1), np.uint8)  # the tracker had lost the person
    frames[5][0]["pred_vertices"] = frames[5][0]["pred_vertices"] * np.nan
    payload = mhr_payload(frames, faces) | {"fps": 24.0}
    steps = []
    with caplog.at_level(logging.WARNING):
        (params,) = import_mhr(payload, body, progress=lambda *step: steps.append(step))
    assert "person 0 of frame 5 holds NaN" in caplog.text
    assert params.valid.tolist() == [True, True, False, True, False, False, True]
    assert (params.confidence[~params.valid] == 0).all() and params.fps == 24.0
    assert params.betas.shape == (10,) and steps[-1] == (8, 8)
    good = params.valid
    assert joint_error(params.select(good), pose[good]) < 0.012
    assert torch.equal(params.pose[4], params.pose[3])


def test_mhr_persons_keep_the_trackers_order_or_the_nearest_box(shuffle):
    order, _ = shuffle
    body = open_body()
    right = torch.tensor([1.2, -0.2, 4.5])
    one, two = walk(3), walk(3, yaw=2.0)
    frames = []
    for t in range(3):
        persons = [
            mhr_person(one[t : t + 1], order),
            mhr_person(two[t : t + 1], order, right),
        ]
        for person in persons:
            del person["pred_vertices"]
        frames.append(persons)
    tracked = import_mhr(mhr_payload(frames, None), body)
    assert [p.track for p in tracked] == [0, 1]
    assert joint_error(tracked[0], one) < 0.02 and joint_error(tracked[1], two) < 0.02
    frames[1] = frames[1][1:]  # the counts differ, so places decide
    frames[2] = frames[2][::-1]
    linked = import_mhr(mhr_payload(frames, None), body)
    assert [p.valid.tolist() for p in linked] == [[True, False, True], [True] * 3]
    assert joint_error(linked[1], two) < 0.02
    assert joint_error(linked[0].select([0, 2]), one[[0, 2]]) < 0.02


def test_mhr_progress_never_passes_its_end(shuffle):
    order, _ = shuffle
    pose, calls = walk(3), []
    alone = [mhr_person(pose[i : i + 1], order) for i in range(3)]
    other = mhr_person(pose[:1], order, PLACE + torch.tensor([1.0, 0, 0]))
    frames = [[alone[0], other], [alone[1]], [alone[2]]]  # the second person leaves
    people = import_mhr(mhr_payload(frames, None), open_body(), progress=lambda *c: calls.append(c))
    assert len(people) == 2
    shares = [done / total for done, total in calls]
    assert shares == sorted(shares) and shares[-1] == 1 and len(shares) > 3


def test_mhr_lens_is_solved_where_the_payload_has_none_and_follows_the_picture(shuffle):
    order, _ = shuffle
    body = open_body()
    person = mhr_person(walk(1), order)
    del person["pred_vertices"]
    (told,) = import_mhr(mhr_payload([[person]], None), body)
    del person["focal_length"]
    (solved,) = import_mhr(person, body)  # SAM 3D Body's own result, without a picture's size
    assert solved.camera.size == SIZE
    torch.testing.assert_close(solved.camera.focal, told.camera.focal, rtol=1e-4, atol=0)
    torch.testing.assert_close(solved.camera.center, told.camera.center, rtol=0, atol=0.1)
    (halved,) = import_mhr([person], body, (240, 320))
    assert halved.camera.size == (240, 320)
    person["focal_length"] = torch.tensor([FOCAL])
    (smaller,) = import_mhr(mhr_payload([[person]], None), body, (240, 320))
    torch.testing.assert_close(smaller.camera.center, told.camera.center / 2)
    torch.testing.assert_close(smaller.camera.focal, told.camera.focal / 2)


def test_mhr_parts_outside_the_picture_are_less_certain(shuffle):
    order, _ = shuffle
    person = mhr_person(walk(1), order, torch.tensor([0.0, 1.0, 3.0]))
    del person["pred_vertices"]
    (params,) = import_mhr(mhr_payload([[person]], None), open_body())
    assert params.confidence[0, 7] == 0.5 and params.confidence[0, 16] == 1


def _without(person: dict, *keys: str) -> dict:
    return {k: v for k, v in person.items() if k not in keys}


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda p: None, "got NoneType"),
        (lambda p: [], "got an empty list"),
        (lambda p: {"frames": []}, "got an empty list"),
        (lambda p: {"frames": 3}, "got int"),
        (lambda p: {"frames": [[], []]}, "no person was found in any frame"),
        (lambda p: {"frames": [3]}, "frame 0 must be a list of persons; got int"),
        (lambda p: {"frames": [[3]]}, "person 0 of frame 0 must be an object"),
        (lambda p: {"frames": [[p]] * 200_000}, "200,000 frames"),
        (lambda p: {"frames": [[p] * 2000]}, "claims 2,000 persons"),
        (lambda p: {"frames": [[p]], "_skeleton_override": {}}, "another rig's skeleton"),
        (lambda p: {"frames": [[p]], "image_size": (0, 5)}, "(height, width) in pixels"),
        (lambda p: {"frames": [[p]], "image_size": 5}, "image_size must be"),
        (lambda p: {"frames": [[p]], "fps": 0}, "0.1 to 1000 frames per second"),
        (lambda p: {"frames": [[p]], "faces": np.zeros((4, 4))}, "faces must be"),
        (lambda p: {"frames": [[p]], "faces": np.full((4, 3), 90_000)}, "faces must index"),
        (lambda p: _without(p, "pred_cam_t"), "it has no pred_cam_t"),
        (lambda p: _without(p, "pred_keypoints_3d"), "it has no pred_keypoints_3d"),
        (lambda p: p | {"pred_keypoints_3d": np.zeros((17, 3))}, "must be (70, 3); got 17"),
        (lambda p: p | {"pred_keypoints_3d": np.zeros((70, 2))}, "must be numbers (n, 3)"),
        (lambda p: p | {"pred_keypoints_3d": "x"}, "got str"),
        (lambda p: p | {"pred_keypoints_3d": [[1, 2], [3]]}, "got a ragged list"),
        (lambda p: p | {"pred_keypoints_3d": np.full((70, 3), np.nan)}, "no person was found"),
        (lambda p: p | {"pred_cam_t": np.array([0, 0, -4.0])}, "no person was found"),
        (lambda p: p | {"pred_vertices": np.zeros((10, 3))}, "got 10 vertices"),
        (
            lambda p: p | {"pred_vertices": np.broadcast_to(np.float32(1), (10**9, 3))},
            "at most 200,000,000 make sense",
        ),
        (lambda p: p | {"pred_vertices": np.array([object()])}, "array of object"),
        (lambda p: p | {"focal_length": 0.0}, "pixels above zero"),
        (lambda p: p | {"focal_length": [1.0, 2, 3]}, "focal_length, must be"),
        (lambda p: _without(p, "pred_keypoints_2d"), "no 2D keypoints to find them from"),
        (lambda p: p | {"pred_keypoints_2d": -p["pred_keypoints_2d"]}, "not what its 3D keypoints"),
        (
            lambda p: {"frames": [[p, p | {"pred_vertices": p["pred_vertices"][:800]}]]},
            "different topology",
        ),
    ],
)
def test_mhr_that_is_none_is_refused_in_a_sentence(shuffle, make, message):
    person = mhr_person(walk(1), shuffle[0])
    with pytest.raises(InputError) as error:
        import_mhr(make(person), open_body())
    assert message in str(error.value)
