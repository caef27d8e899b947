"""The shipped open body: layout, exact symmetry, a clean surface, and plausible people."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from lwg_core.body.model import PART_NAMES, BodyModel, vertex_normals
from lwg_core.body.open_body import ASSETS, open_body
from lwg_core.body.params import JOINT_NAMES

FLIP = torch.tensor([-1.0, 1.0, 1.0])
COCO_MIRROR = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16]


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return open_body()


def side(name: str) -> str:
    other = {"left": "right", "right": "left"}
    head, _, tail = name.partition("_")
    return f"{other[head]}_{tail}" if head in other else name


def volume(vertices: torch.Tensor, faces: torch.Tensor) -> float:
    """Litres."""
    a, b, c = vertices[faces].unbind(1)
    return (a * torch.linalg.cross(b, c)).sum().item() / 6 * 1000


def test_layout(body):
    vertices, faces = len(body.v_template), len(body.faces)
    assert body.id == "open" and open_body() is body
    assert 6800 < vertices < 7000 and 13500 < faces < 14000
    assert body.shapedirs.shape == (vertices, 3, 10) and body.weights.shape == (vertices, 24)
    assert body.joint_regressor.shape == (24, vertices)
    assert body.keypoint_regressor.shape == (18, vertices)
    assert body.foot_regressor.shape == (6, vertices)
    assert body.faces_uv.shape == (faces, 3) and body.faces_uv.max() == len(body.uv) - 1
    assert body.faces.dtype == body.mirror.dtype == torch.int64
    assert body.faces.unique().tolist() == list(range(vertices))
    assert 0 <= body.uv.min() and body.uv.max() <= 1
    for rows in (body.weights, body.joint_regressor, body.keypoint_regressor, body.foot_regressor):
        torch.testing.assert_close(rows.sum(1), torch.ones(len(rows)), atol=1e-6, rtol=0)
        assert rows.min() >= 0


def test_the_file_is_small_and_says_where_it_comes_from():
    path = Path(ASSETS) / "open_body.safetensors"
    assert path.stat().st_size < 1_000_000
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    assert "Apache-2.0" in metadata["credits"] and "CC0" in metadata["credits"]
    assert json.loads(metadata["betas"])[:5] == ["height", "bmi", "gender", "muscle", "age"]


def test_everything_is_symmetric(body):
    mirror = body.mirror
    joints = [JOINT_NAMES.index(side(name)) for name in JOINT_NAMES]
    parts = torch.tensor([PART_NAMES.index(side(name)) for name in PART_NAMES])
    assert torch.equal(mirror[mirror], torch.arange(len(mirror)))
    pairs = {
        "template": (body.v_template[mirror] * FLIP, body.v_template),
        "shapes": (body.shapedirs[mirror] * FLIP[:, None], body.shapedirs),
        "weights": (body.weights[mirror][:, joints], body.weights),
        "joints": (body.joint_regressor[joints][:, mirror], body.joint_regressor),
        "keypoints": (body.keypoint_regressor[COCO_MIRROR][:, mirror], body.keypoint_regressor),
        "feet": (body.foot_regressor[[3, 4, 5, 0, 1, 2]][:, mirror], body.foot_regressor),
        "normals": (body.rest_normals()[mirror] * FLIP, body.rest_normals()),
        "code": (body.correspondence_code()[mirror] * FLIP, body.correspondence_code()),
    }
    for name, (mirrored, own) in pairs.items():
        assert (mirrored - own).abs().max() < 1e-6, name
    assert torch.equal(parts[body.parts[mirror].long()], body.parts.long())
    canonical = lambda f: torch.stack([f.roll(k, 1) for k in range(3)])  # noqa: E731
    turns = canonical(mirror[body.faces].flip(1))
    first = turns.gather(0, turns[..., 0].argmin(0)[None, :, None].expand(1, -1, 3))[0]
    own = canonical(body.faces)
    own = own.gather(0, own[..., 0].argmin(0)[None, :, None].expand(1, -1, 3))[0]
    assert set(map(tuple, first.tolist())) == set(map(tuple, own.tolist()))


def test_a_mirrored_pose_gives_the_mirrored_body(body):
    generator = torch.Generator().manual_seed(0)
    pose = torch.randn(2, 24, 3, generator=generator) * 0.5
    betas = torch.randn(10, generator=generator)
    joints = [JOINT_NAMES.index(side(name)) for name in JOINT_NAMES]
    mirrored = pose[:, joints] * torch.tensor([1.0, -1.0, -1.0])
    expected = body.vertices(pose, betas)[:, body.mirror] * FLIP
    torch.testing.assert_close(body.vertices(mirrored, betas), expected, atol=2e-6, rtol=0)


def test_surface_is_wound_outwards_and_only_open_at_the_eyes(body):
    assert volume(body.v_template, body.faces) > 50
    edges = Counter(
        edge for f in body.faces.tolist() for edge in zip(f, f[1:] + f[:1], strict=True)
    )
    assert max(edges.values()) == 1  # each direction once: manifold and consistently wound
    rim = {v for (a, b) in edges if (b, a) not in edges for v in (a, b)}
    eyes = body.keypoint_regressor[14:16] @ body.v_template
    distance = torch.cdist(body.v_template[sorted(rim)], eyes).amin(1)
    assert distance.max() < 0.03
    a, b, c = body.v_template[body.faces].unbind(1)
    assert torch.linalg.cross(b - a, c - a).norm(dim=1).min() > 1e-8
    agreement = (vertex_normals(body.v_template, body.faces) * body.rest_normals()).sum(1)
    assert (agreement > 0).float().mean() > 0.97


def test_template_stands_in_a_t_pose_facing_forward(body):
    joints = dict(zip(JOINT_NAMES, body.joints_rest(torch.zeros(1, 10))[0], strict=True))
    assert (
        joints["left_wrist"][0] > 0.6 > 0.1 > joints["left_shoulder"][1] - joints["left_wrist"][1]
    )
    assert joints["head"][1] > joints["neck"][1] > joints["spine3"][1] > joints["pelvis"][1]
    assert joints["left_foot"][2] > joints["left_ankle"][2] + 0.1
    torch.testing.assert_close(
        joints["pelvis"], torch.tensor([0.0, -0.22, 0.03]), atol=1e-3, rtol=0
    )
    code = body.correspondence_code()
    torch.testing.assert_close(code[:, 1].max() - code[:, 1].min(), torch.tensor(2.0))
    torch.testing.assert_close(code.amax(0), -code.amin(0), atol=1e-5, rtol=0)


def test_joints_lie_inside_the_body(body):
    """A ray from each joint to both sides along z meets skin in front and behind."""
    joints = body.joints_rest(torch.zeros(1, 10))[0]
    vertices = body.v_template
    for name, joint in zip(JOINT_NAMES, joints, strict=True):
        near = (vertices[:, :2] - joint[:2]).norm(dim=1) < 0.03
        assert vertices[near, 2].min() < joint[2] < vertices[near, 2].max(), name


def test_keypoints_lie_where_openpose_puts_them(body):
    points = body.keypoint_regressor @ body.v_template
    joints = body.joints_rest(torch.zeros(1, 10))[0]
    torch.testing.assert_close(points[1], (points[2] + points[5]) / 2, atol=1e-6, rtol=0)
    limbs = {
        3: "right_elbow", 4: "right_wrist", 6: "left_elbow", 7: "left_wrist",
        9: "right_knee", 10: "right_ankle", 12: "left_knee", 13: "left_ankle",
    }  # fmt: skip
    for row, name in limbs.items():
        assert (points[row] - joints[JOINT_NAMES.index(name)]).norm() < 0.03, name
    nose, right_eye, left_eye, right_ear, left_ear = points[[0, 14, 15, 16, 17]]
    assert left_eye[0] > 0.02 > -0.02 > right_eye[0] and left_ear[0] > 0.05 > -0.05 > right_ear[0]
    assert nose[2] > left_eye[2] > left_ear[2] and left_eye[1] > nose[1]
    left_big, left_small, left_heel = (body.foot_regressor @ body.v_template)[:3]
    assert left_small[0] > left_big[0] > 0 and left_big[2] > left_small[2] > left_heel[2]


def test_parts_cover_the_body(body):
    counts = torch.bincount(body.parts.long(), minlength=len(PART_NAMES))
    assert (counts > 200).all() and len(counts) == len(PART_NAMES)
    label = {name: body.parts == i for i, name in enumerate(PART_NAMES)}
    face, head = body.v_template[label["face"]], body.v_template[label["head"]]
    assert face[:, 2].mean() > head[:, 2].mean() + 0.05
    assert head[:, 1].max() > face[:, 1].max() and face[:, 0].abs().max() < 0.09
    assert body.v_template[label["left_hand"], 0].min() > 0.6
    assert body.v_template[label["right_foot"], 1].max() < -1.05


def test_two_sigma_people_are_people(body):
    heights, volumes = {}, {}
    for beta in range(10):
        for sign in (-2.0, 2.0):
            betas = torch.zeros(10)
            betas[beta] = sign
            rest = body.rest(betas)
            heights[beta, sign] = (rest[:, 1].max() - rest[:, 1].min()).item()
            volumes[beta, sign] = volume(rest, body.faces)
    assert 1.4 < heights[0, -2.0] < 1.55 and 1.85 < heights[0, 2.0] < 2.0
    assert volumes[1, -2.0] < 50 and volumes[1, 2.0] > 90
    for beta in range(1, 10):  # only the first is about stature
        assert abs(heights[beta, 2.0] - heights[beta, -2.0]) < 0.01
    for beta in range(2, 10):
        assert abs(volumes[beta, 2.0] - volumes[beta, -2.0]) < 4
    hips = body.joints_rest(torch.eye(10)[[2]] * 2) - body.joints_rest(torch.eye(10)[[2]] * -2)
    assert hips.isfinite().all()


def test_skinning_neither_tears_nor_collapses(body):
    """Edge stretch over ordinary poses, 1st to 99th percentile."""
    pose = torch.zeros(3, 24, 3)
    index = {name: i for i, name in enumerate(JOINT_NAMES)}
    pose[0, index["left_shoulder"], 2], pose[0, index["right_shoulder"], 2] = -1.05, 1.05
    pose[1, index["left_hip"], 0], pose[1, index["right_knee"], 0] = -0.5, 0.8
    pose[2, index["left_shoulder"], 2], pose[2, index["right_shoulder"], 2] = 1.0, -1.0
    posed = body.vertices(pose, None)
    edges = torch.cat([body.faces[:, [0, 1]], body.faces[:, [1, 2]], body.faces[:, [2, 0]]])
    length = lambda v: (v[..., edges[:, 0], :] - v[..., edges[:, 1], :]).norm(dim=-1)  # noqa: E731
    ratio = length(posed) / length(body.v_template)
    assert ratio.max() < 2.5
    assert (ratio.quantile(0.01, dim=1) > 0.7).all() and (ratio.quantile(0.99, dim=1) < 1.5).all()
