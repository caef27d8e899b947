"""Reading and writing POSE_KEYPOINT."""

from __future__ import annotations

import copy
import json
import math
import random

import numpy as np
import pytest
import torch

from lwg_core.body.params import JOINT_NAMES, SmplParams
from lwg_core.errors import InputError
from lwg_core.recovery.keypoints import KEYPOINT_NAMES, MIRRORED, parse_pose_keypoints
from lwg_core.recovery.projection import project_keypoints, to_pose_keypoint
from lwg_core.render.camera import Camera


def _flat(count: int, scale: float = 10.0, left: float = 5.0) -> list[float]:
    return [v for i in range(count) for v in (left + scale * (i % 7), 8 + scale * i, 0.9)]


def _document(pose=None, **person) -> dict:
    people = [{"pose_keypoints_2d": _flat(18) if pose is None else pose, **person}]
    return {"canvas_width": 300, "canvas_height": 400, "people": people}


def test_every_container_reads_alike(tmp_path):
    document = _document(face_keypoints_2d=None, hand_left_keypoints_2d=[0.0] * 63)
    expected = parse_pose_keypoints([document])
    assert expected.size == (400, 300)
    assert expected.points.shape == (1, 24, 2) and expected.confidence.shape == (1, 24)
    torch.testing.assert_close(expected.points[0, 3], torch.tensor([35.0, 38.0]))
    assert (expected.confidence[0, :18] == 0.9).all() and (expected.confidence[0, 18:] == 0).all()
    text = json.dumps([document])
    path = tmp_path / "pose.json"
    path.write_text(text, encoding="utf-8")
    arrays = copy.deepcopy(document)
    arrays["people"][0]["pose_keypoints_2d"] = np.array(_flat(18))
    for data in (document, (document,), text, "  " + text, path, str(path), arrays):
        torch.testing.assert_close(parse_pose_keypoints(data).points, expected.points)


def test_body_25_is_reordered_and_brings_feet():
    pose = _flat(25)
    found = parse_pose_keypoints(_document(pose))
    rows = torch.tensor(pose).view(25, 3)
    expected = torch.cat([rows[:8], rows[9:]])
    torch.testing.assert_close(found.points[0], expected[:, :2])
    assert KEYPOINT_NAMES[8] == "right_hip" and KEYPOINT_NAMES[18] == "left_big_toe"


def test_feet_in_their_own_list_or_behind_the_body():
    apart = parse_pose_keypoints(_document(foot_keypoints_2d=_flat(24)[54:]))
    together = parse_pose_keypoints(_document(_flat(24)))
    torch.testing.assert_close(apart.points, together.points)
    assert (apart.confidence[0, 18:] > 0).all()
    assert (parse_pose_keypoints(_document(foot_keypoints_2d=[])).confidence[0, 18:] == 0).all()


def test_fractions_of_the_canvas():
    pixels = _document()
    fractions = copy.deepcopy(pixels)
    values = torch.tensor(fractions["people"][0]["pose_keypoints_2d"]).view(18, 3)
    values[:, :2] /= torch.tensor([300.0, 400.0])
    fractions["people"][0]["pose_keypoints_2d"] = values.flatten().tolist()
    torch.testing.assert_close(
        parse_pose_keypoints(fractions).points, parse_pose_keypoints(pixels).points
    )


def test_canvas_of_another_size():
    doubled = parse_pose_keypoints(_document(), size=(800, 600))
    assert doubled.size == (800, 600)
    torch.testing.assert_close(doubled.points, 2 * parse_pose_keypoints(_document()).points)
    with pytest.raises(InputError, match="300x400 but the image is 512x512"):
        parse_pose_keypoints(_document(), size=(512, 512))


def test_missing_canvas_uses_the_image():
    document = {"people": _document()["people"]}
    assert parse_pose_keypoints(document, size=(640, 480)).points[0, 1, 0] == 15
    with pytest.raises(InputError, match="canvas_width and canvas_height are missing"):
        parse_pose_keypoints(document)


def test_missing_points():
    pose = _flat(18)
    pose[3:6] = [50.0, 50.0, 0.0]  # no confidence
    pose[6:9] = [0.0, 0.0, 1.0]  # the corner that stands for nothing
    pose[9:12] = [math.nan, 50.0, 1.0]
    pose[12:15] = [9e9, 50.0, 1.0]  # nowhere near the picture
    pose[15:18] = [50.0, 50.0, 7.5]  # a score, not a probability
    found = parse_pose_keypoints(_document(pose))
    assert found.confidence[0, :7].tolist() == pytest.approx([0.9, 0, 0, 0, 0, 1, 0.9])
    assert (found.points[0, 1:5] == 0).all()


def test_what_a_detector_gives_without_having_seen_it_is_missing():
    """Some producers always give every point, with its score."""
    pose = _flat(18)
    pose[3:6] = [50.0, 50.0, 0.29]  # below what pose nodes draw
    pose[6:9] = [-1.0, -1.0, 0.9]  # SDPose's "nowhere"
    pose[9:12] = [50.0, 430.0, 0.9]  # below the picture of 400
    pose[12:15] = [-5.0, 50.0, 0.9]  # at its edge, give or take
    found = parse_pose_keypoints(_document(pose))
    assert found.confidence[0, :5].tolist() == pytest.approx([0.9, 0, 0, 0, 0.9])
    faint = [v if i % 3 < 2 else 0.2 for i, v in enumerate(_flat(18))]
    with pytest.raises(InputError, match="confidence below 0.3"):
        parse_pose_keypoints(_document(faint))


def _whole_body(neck: bool) -> np.ndarray:
    """(133 or 134, 3): COCO-WholeBody, whose point number n of the file is at x = n."""
    count = 134 if neck else 133
    return np.stack([np.arange(count), np.full(count, 9.0), np.full(count, 0.8)], 1) + [1, 0, 0]


def test_coco_whole_body():
    rows = _whole_body(False)
    found = parse_pose_keypoints(_document(rows.flatten().tolist()))
    column = dict(zip(KEYPOINT_NAMES, (found.points[0, :, 0] - 1).tolist(), strict=True))
    # COCO's own numbers: nose 0, left eye 1, left shoulder 5, left hip 11, ..., left big toe 17.
    assert column["nose"] == 0 and column["left_eye"] == 1 and column["right_ear"] == 4
    assert column["left_shoulder"] == 5 and column["right_wrist"] == 10
    assert column["left_hip"] == 11 and column["right_ankle"] == 16
    assert column["left_big_toe"] == 17 and column["right_heel"] == 22
    assert column["neck"] == 5.5 and found.confidence[0, 1] == pytest.approx(0.8)
    rows[5, 2] = 0
    assert parse_pose_keypoints(_document(rows.flatten().tolist())).confidence[0, 1] == 0
    openpose = parse_pose_keypoints(_document(_whole_body(True).flatten().tolist()))
    assert (openpose.points[0, :, 0] - 1).tolist() == list(range(24))


def _hand(x: float, y: float) -> list[float]:
    """A hand whose root is at (x, y) and whose knuckles are 10 px further right."""
    rows = np.tile([x + 20, y, 0.9], (21, 1))
    rows[0, 0] = x
    rows[[5, 9, 13, 17]] = [[x + 10, y + d, 0.9] for d in (-3, -1, 1, 3)]
    return rows.flatten().tolist()


def test_hands_belong_to_the_wrists_they_are_at():
    places = {name: (5 + 10.0 * (i % 7), 8 + 10.0 * i) for i, name in enumerate(KEYPOINT_NAMES)}
    left, right = (_hand(*places[f"{side}_wrist"]) for side in ("left", "right"))
    expected = torch.tensor([[*places["left_wrist"], 0.9], [*places["right_wrist"], 0.9]])
    expected[:, 0] += 10
    straight = _document(hand_left_keypoints_2d=left, hand_right_keypoints_2d=right)
    crossed = _document(hand_left_keypoints_2d=right, hand_right_keypoints_2d=left)
    for document in (straight, crossed):
        torch.testing.assert_close(parse_pose_keypoints(document).hands[0], expected)
    assert parse_pose_keypoints(_document(hand_left_keypoints_2d=[0.0] * 63)).hands is None
    away = parse_pose_keypoints(_document(hand_left_keypoints_2d=_hand(250.0, 20.0)))
    assert away.hands is None
    one = parse_pose_keypoints([straight, _document()])
    assert (one.hands[0, :, 2] > 0).all() and (one.hands[1] == 0).all()


def test_the_face_stands_in_for_missing_face_points():
    face = np.tile([40.0, 30.0, 0.8], (70, 1))
    face[30, :2] = [41.0, 33.0]
    pose = _flat(18)
    pose[0:3] = [0.0, 0.0, 0.0]
    found = parse_pose_keypoints(_document(pose, face_keypoints_2d=face.flatten().tolist()))
    assert found.points[0, 0].tolist() == [41, 33]
    right_eye = KEYPOINT_NAMES.index("right_eye")
    assert found.points[0, right_eye, 1] == 8 + 10 * right_eye  # the body's own is kept
    face[30, 2] = 0
    found = parse_pose_keypoints(_document(pose, face_keypoints_2d=face.flatten().tolist()))
    assert found.confidence[0, 0] == 0


def test_largest_person_or_a_chosen_one():
    document = _document(_flat(18, 3))
    document["people"] += _document(_flat(18, 15, 7))["people"]
    document["people"] += [{"pose_keypoints_2d": None}]
    assert parse_pose_keypoints(document).points[0, 0, 0] == 7
    assert parse_pose_keypoints(document, person=0).points[0, 0, 0] == 5
    with pytest.raises(InputError, match="no person 3; at most 3 persons"):
        parse_pose_keypoints(document, person=3)
    with pytest.raises(InputError, match="every keypoint|usable"):
        parse_pose_keypoints(document, person=2)


def test_frames_without_the_person_are_kept():
    empty = {"canvas_width": 300, "canvas_height": 400, "people": []}
    found = parse_pose_keypoints([empty, _document(), empty])
    assert found.usable.tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([], "holds no frame"),
        (None, "must be a list of frames"),
        (7, "must be a list of frames"),
        ("[{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("/no/such/file.json", "cannot read"),
        ([None], "frame 0 must be an object with 'people'"),
        ([{"people": [[1, 2]]}], "person 0 of frame 0 must be an object"),
        ([{"people": 3}], "'people' of frame 0 must be a list"),
        ({"people": [], "canvas_width": 9, "canvas_height": 9}, "no person was found"),
        (_document([0.0] * 54), "every keypoint is missing"),
        (_document(_flat(5) + [0.0] * 39), "only 5 body keypoints are usable"),
        (_document(_flat(17)), r"54, 72, 75, 399, 402\); got 51"),
        (_document(["a"] * 54), "not a number"),
        (_document({"x": 1}), r"402\); got dict"),
        (_document(foot_keypoints_2d=[1.0] * 17), r"foot_keypoints_2d .*\(18\); got 17"),
        ({**_document(), "canvas_width": "wide"}, "canvas_width of frame 0"),
        ({**_document(), "canvas_height": -1}, "canvas_height of frame 0"),
    ],
)  # fmt: skip
def test_bad_input_gets_a_sentence(data, sentence):
    with pytest.raises(InputError, match=sentence) as error:
        parse_pose_keypoints(data)
    assert "\n" not in str(error.value)


def test_person_index_must_be_a_number():
    for person in (-1, 1.5, "first"):
        with pytest.raises(InputError, match="person must be"):
            parse_pose_keypoints(_document(), person=person)


_ODD = [
    None, True, -1, 0, 1e400, -1e400, math.nan, 10**400, "x", "", [], {}, [[]], {"people": None},
    [None], [1.0] * 54, [[1.0, 2.0, 3.0]] * 18, ["1"] * 75, b"x", {"pose_keypoints_2d": []},
]  # fmt: skip


def _mutate(rng: random.Random, node):
    """One random change somewhere in a JSON-like structure."""
    if isinstance(node, dict) and node and rng.random() < 0.95:
        key = rng.choice(list(node))
        if rng.random() < 0.1:
            del node[key]
        else:
            node[key] = _mutate(rng, node[key])
        return node
    if isinstance(node, list) and node and rng.random() < 0.95:
        index = rng.randrange(len(node))
        action = rng.random()
        if action < 0.05:
            del node[index]
        elif action < 0.1:
            node.insert(index, copy.deepcopy(rng.choice(_ODD)))
        else:
            node[index] = _mutate(rng, node[index])
        return node
    return copy.deepcopy(rng.choice(_ODD))


def test_fuzz_only_raises_input_errors():
    rng = random.Random(0)
    refused = accepted = 0
    for round_number in range(600):
        documents = [_document(_flat(rng.choice([18, 24, 25]))) for _ in range(rng.randint(1, 3))]
        documents[0]["people"][0]["foot_keypoints_2d"] = _flat(6)
        data = copy.deepcopy(documents)
        for _ in range(rng.randint(1, 3)):
            data = _mutate(rng, data)
        if round_number % 3 == 0:
            text = json.dumps(data, default=str)
            data = text[: rng.randint(1, len(text))] if rng.random() < 0.5 else text
            if not data.lstrip().startswith(("[", "{")):
                continue
        try:
            found = parse_pose_keypoints(data, size=(400, 300) if rng.random() < 0.5 else None)
        except InputError:
            refused += 1
            continue
        accepted += 1
        assert torch.isfinite(found.points).all() and found.usable.any()
        assert ((found.confidence >= 0) & (found.confidence <= 1)).all()
    assert refused > 300 and accepted > 30


# --- a body's own keypoints


def _standing(turn: float = 0.0, frames: int = 1) -> SmplParams:
    pose = torch.zeros(frames, 24, 3)
    half = torch.tensor(turn / 2)
    # Rotation about y by `turn`, then half a turn about x: the axis lies in the x-z plane.
    pose[:, 0, 0], pose[:, 0, 2] = math.pi * half.cos(), -math.pi * half.sin()
    camera = Camera(
        torch.full((frames,), 200.0),
        torch.tensor([[256.0, 250.0]]).expand(frames, 2),
        (512, 512),
        torch.full((frames,), 1000.0),
    )
    return SmplParams(pose, torch.zeros(10), "stick", camera)


def test_projection_is_the_camera_on_the_regressed_vertices(stick_body):
    params = _standing(0.4, 2)
    points, seen = project_keypoints(stick_body, params)
    vertices = stick_body.vertices(params.pose, params.betas)
    expected = params.camera.project(vertices)[:, 24:, :2]
    torch.testing.assert_close(points, expected, rtol=0, atol=1e-3)
    assert points.shape == (2, 24, 2) and set(seen.unique().tolist()) <= {0.0, 1.0}


def _seen(body, params) -> set[str]:
    seen = project_keypoints(body, params)[1][0]
    return {n for n, s in zip(KEYPOINT_NAMES, seen.tolist(), strict=True) if s}


def test_the_far_side_of_the_head_is_unseen(stick_body):
    front, back = _seen(stick_body, _standing()), _seen(stick_body, _standing(math.pi))
    assert front == set(KEYPOINT_NAMES)
    assert back == front - {"nose", "left_eye", "right_eye"}
    # Facing the right of the picture shows the person's right side.
    points, _ = project_keypoints(stick_body, _standing(-math.pi / 2))
    assert points[0, KEYPOINT_NAMES.index("nose"), 0] > points[0, KEYPOINT_NAMES.index("neck"), 0]
    side = _seen(stick_body, _standing(-math.pi / 2))
    assert {"right_ear", "right_eye", "nose"} <= side and not {"left_ear", "left_eye"} & side


def test_outside_the_image_and_untrusted_parts_are_unseen(stick_body):
    params = _standing()
    cropped = SmplParams(params.pose, params.betas, "stick", params.camera.crop(0, 0, (280, 512)))
    assert not {n for n in _seen(stick_body, cropped) if "knee" in n or "ankle" in n}
    confidence = torch.ones(1, 24)
    confidence[0, JOINT_NAMES.index("left_hip")] = 0
    doubtful = SmplParams(params.pose, params.betas, "stick", params.camera, confidence)
    assert _seen(stick_body, doubtful) == set(KEYPOINT_NAMES) - {"left_knee"}


def test_pose_keypoint_round_trip(stick_body):
    points, seen = project_keypoints(stick_body, _standing(2.5, 3))
    seen[1] = 0
    frames = to_pose_keypoint(points, seen, (512, 512))
    assert json.loads(json.dumps(frames)) == frames
    assert [len(f["people"]) for f in frames] == [1, 0, 1]
    person = frames[0]["people"][0]
    lengths = {k: len(v) for k, v in person.items()}
    assert lengths == {
        "pose_keypoints_2d": 54, "face_keypoints_2d": 210, "hand_left_keypoints_2d": 63,
        "hand_right_keypoints_2d": 63, "foot_keypoints_2d": 18,
    }  # fmt: skip
    assert set(person["pose_keypoints_2d"][2::3]) == {0.0, 1.0}
    found = parse_pose_keypoints(frames)
    torch.testing.assert_close(found.confidence, seen)
    torch.testing.assert_close(found.points, points * seen[..., None])


def test_projection_needs_a_camera_and_the_right_body(stick_body):
    with pytest.raises(InputError, match="no camera"):
        project_keypoints(stick_body, SmplParams(torch.zeros(1, 24, 3)))
    other = SmplParams(torch.zeros(1, 24, 3), torch.zeros(10), "smpl", _standing().camera)
    with pytest.raises(InputError, match="'smpl', not 'stick'"):
        project_keypoints(stick_body, other)


def test_mirrored_names():
    for index, other in enumerate(MIRRORED):
        assert MIRRORED[other] == index
        assert (index == other) == ("_" not in KEYPOINT_NAMES[index])
