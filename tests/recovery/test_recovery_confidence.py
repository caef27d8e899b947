"""What was seen of a person, and the sentences about frames in which something was not."""

from __future__ import annotations

import math

import pytest
import torch

from lwg_core.body.confidence import seen_joints, vertex_confidence, vertex_trust
from lwg_core.body.params import JOINT_NAMES, SmplParams
from lwg_core.body.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from lwg_core.recovery.keypoints import KEYPOINT_NAMES, Keypoints
from lwg_core.recovery.labels import joint_confidence, side_swaps
from lwg_core.recovery.projection import project_keypoints
from lwg_core.recovery.reports import describe_frames, report_frames
from lwg_core.render.camera import Camera
from lwg_core.synthetic.motions import motion

LEGS = {f"{side}_{name}" for side in ("left", "right") for name in "hip knee ankle foot".split()}
SIZE = (480, 360)


def _params(*missing: str, score: float = 1.0) -> SmplParams:
    """Confidence of a body whose keypoints were found but for those that contain a word."""
    names = KEYPOINT_NAMES[:18]
    seen = [score * (not any(word in name for word in missing)) for name in names]
    return SmplParams(torch.zeros(1, 24, 3), confidence=joint_confidence(torch.tensor([seen])))


def _unseen(params: SmplParams) -> set[str]:
    (flags,) = seen_joints(params)
    return {name for name, flag in zip(JOINT_NAMES, flags.tolist(), strict=True) if not flag}


def test_joints_without_evidence_are_unseen():
    assert _unseen(_params()) == set()
    assert _unseen(_params(score=0.3)) == set()
    assert _unseen(_params("knee", "ankle")) == LEGS
    right = {name for name in LEGS if name.startswith("right")}
    assert _unseen(_params("right_knee", "right_ankle")) == right
    # The thigh of a leg cut off below the knee was seen.
    thighs = {"left_hip", "right_hip"}
    assert _unseen(_params("ankle")) == LEGS - thighs
    arm = {"left_shoulder", "left_elbow", "left_wrist", "left_hand"}
    assert _unseen(_params("left_elbow", "left_wrist")) == arm
    assert _unseen(_params("left_wrist")) == arm - {"left_shoulder"}
    head = ("nose", "eye", "ear", "neck", "shoulder", "hip", "elbow", "wrist", "knee", "ankle")
    assert _unseen(_params(*head)) == set(JOINT_NAMES)


def test_confidence_is_per_frame():
    params = SmplParams(torch.zeros(2, 24, 3), confidence=torch.ones(2, 24))
    params.confidence[1] = _params("knee", "ankle").confidence[0]
    assert (~seen_joints(params)).sum(1).tolist() == [0, len(LEGS)]


def test_vertices_follow_the_joints_that_carry_them(stick_body):
    """The first 24 vertices hang on one joint each, the others half on two."""
    confidence = torch.zeros(1, 24)
    confidence[0, [JOINT_NAMES.index("left_hip"), JOINT_NAMES.index("pelvis")]] = 0.6
    params = SmplParams(torch.zeros(1, 24, 3), confidence=confidence)
    vertices = vertex_confidence(stick_body, params)[0]
    torch.testing.assert_close(vertices[:24], confidence[0])
    knee, ankle = (24 + KEYPOINT_NAMES.index(f"left_{name}") for name in ("knee", "ankle"))
    assert vertices[[knee, ankle]].tolist() == pytest.approx([0.3, 0])
    trust = vertex_trust(stick_body, params)[0]
    assert trust[JOINT_NAMES.index("left_hip")] == 1 and trust[JOINT_NAMES.index("left_knee")] == 0
    assert trust[[knee, ankle]].tolist() == pytest.approx([0.5, 0])


def test_trust_does_not_ask_how_certain(stick_body):
    faint = vertex_trust(stick_body, _params(score=0.3))
    assert (faint == 1).all() and (vertex_trust(stick_body, _params()) == 1).all()
    assert (vertex_confidence(stick_body, _params(score=0.3)) <= 0.3 + 1e-6).all()


# --- frames


def _standing(body, frames: int = 12, center=(180.0, 200.0), scale: float = 180.0) -> Keypoints:
    pose = torch.zeros(frames, 24, 3)
    pose[:, 0, 0] = math.pi
    camera = Camera(torch.full((frames,), scale), torch.tensor(center).expand(frames, 2), SIZE)
    params = SmplParams(pose, torch.zeros(10), body.id, camera)
    points, seen = project_keypoints(body, params)
    return Keypoints(points * seen[..., None], seen, SIZE)


def _hide(keypoints: Keypoints, frames, *words: str) -> None:
    rows = [i for i, name in enumerate(KEYPOINT_NAMES) if any(word in name for word in words)]
    for frame in frames:
        keypoints.points[frame, rows] = 0
        keypoints.confidence[frame, rows] = 0


def test_frames_are_named_with_reasons(stick_body):
    keypoints = _standing(stick_body)
    assert report_frames(keypoints) == ("",) * 12
    _hide(keypoints, [1], "")
    _hide(keypoints, [2, 3], "hip", "knee", "ankle", "elbow", "wrist", "ear", "eye", "toe", "heel")
    _hide(keypoints, [5, 6, 7], "knee", "ankle", "toe", "heel")
    _hide(keypoints, [9], "left_knee", "left_ankle", "left_big_toe")
    assert describe_frames(report_frames(keypoints)) == [
        "frame 1: the person was not found",
        "frames 2-3: too few points, at least 6 are needed",
        "frames 5-7: the legs were not seen",
        "frame 9: the left leg was not seen",
    ]


def test_who_is_cut_off_by_the_picture(stick_body):
    low = _standing(stick_body, 1, (180.0, 380.0))
    assert low.confidence[0, KEYPOINT_NAMES.index("left_ankle")] == 0
    message = report_frames(low)[0]
    assert "cut off by the lower edge" in message and "the legs were not seen" not in message
    half = _standing(stick_body, 1, (180.0, 440.0))
    assert "the legs were not seen; the body is cut off by the lower edge" in report_frames(half)[0]
    side = _standing(stick_body, 1, (5.0, 200.0))
    assert "cut off by the left edge" in report_frames(side)[0]


def test_sides_that_jump_are_reported(stick_body):
    legs, arms, both = side_swaps(len(KEYPOINT_NAMES))
    for order, name in ((legs, "legs"), (arms, "arms"), (both, "legs and arms")):
        keypoints = _standing(stick_body, 20)
        keypoints.points[8:12] = keypoints.points[8:12, order]
        assert describe_frames(report_frames(keypoints)) == [
            f"frames 8-11: left and right of the {name} were swapped"
        ]
    keypoints = _standing(stick_body, 60)
    keypoints.points[20:36] = keypoints.points[20:36, both]
    assert not any(report_frames(keypoints))  # half a second: that may be a turn
    assert any(report_frames(keypoints, 60.0))


@pytest.mark.parametrize("yaw", [0.0, 0.6, math.pi / 2])
@pytest.mark.parametrize("name", ["walk", "turn", "dance"])
def test_legs_that_pass_each_other_are_no_swap(stick_body, name, yaw):
    pose = motion(name, 60).pose.clone()
    turn = axis_angle_to_matrix(torch.tensor([0.0, yaw, 0.0]))
    pose[:, 0] = matrix_to_axis_angle(turn @ axis_angle_to_matrix(pose[:, 0]))
    frames = len(pose)
    camera = Camera(
        torch.full((frames,), 180.0), torch.tensor([180.0, 200.0]).expand(frames, 2), SIZE
    )
    params = SmplParams(pose, torch.zeros(10), stick_body.id, camera)
    points, seen = project_keypoints(stick_body, params)
    noise = torch.randn(points.shape, generator=torch.Generator().manual_seed(0))
    keypoints = Keypoints((points + 2 * noise) * seen[..., None], seen, SIZE)
    for every in (1, 3):
        fewer = Keypoints(keypoints.points[::every], keypoints.confidence[::every], SIZE)
        assert not any("swapped" in text for text in report_frames(fewer, 30 / every))


def test_a_clip_without_anybody_is_reported():
    nothing = Keypoints(torch.zeros(3, 24, 2), torch.zeros(3, 24), SIZE)
    assert describe_frames(report_frames(nothing)) == ["all 3 frames: the person was not found"]


def test_describe_frames():
    assert describe_frames([]) == [] and describe_frames(["", ""]) == []
    assert describe_frames(["bad"]) == ["frame 0: bad"]
    assert describe_frames(["bad"] * 3) == ["all 3 frames: bad"]
    messages = ["", "a; b", "a", "", "b", "b", "b", "a"]
    assert describe_frames(messages) == ["frames 1-2, 7: a", "frames 1, 4-6: b"]
    assert describe_frames(messages, first=100) == [
        "frames 101-102, 107: a",
        "frames 101, 104-106: b",
    ]
    assert len(describe_frames(iter(messages))) == 2
