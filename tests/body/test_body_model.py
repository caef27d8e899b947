"""Linear blend skinning against ``smplx``, hand-made cases, and its gradients."""

from __future__ import annotations

import math

import pytest
import torch

from lwg_core.body.model import BodyModel, vertex_normals
from lwg_core.body.open_body import open_body
from lwg_core.body.params import JOINT_NAMES, JOINT_PARENTS


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return open_body()


def poses(count: int, spread: float = 0.4, dtype=torch.float32) -> torch.Tensor:
    return (
        torch.randn(count, 24, 3, generator=torch.Generator().manual_seed(3), dtype=dtype) * spread
    )


def shapes(count: int, dtype=torch.float32) -> torch.Tensor:
    return torch.randn(count, 10, generator=torch.Generator().manual_seed(4), dtype=dtype)


def small_body(vertices: int = 6) -> BodyModel:
    """A random body in double precision, with pose correctives."""
    generator = torch.Generator().manual_seed(5)
    make = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    return BodyModel(
        id="small",
        v_template=make(vertices, 3),
        shapedirs=make(vertices, 3, 10) * 0.1,
        posedirs=make(vertices, 3, 207) * 0.01,
        joint_regressor=make(24, vertices).softmax(1),
        weights=make(vertices, 24).softmax(1),
        parents=JOINT_PARENTS,
        faces=torch.stack([torch.randperm(vertices, generator=generator)[:3] for _ in range(20)]),
    )


def as_smplx(body: BodyModel, batch: int):
    smplx = pytest.importorskip(
        "smplx", reason="smplx is not installed: the skinning is NOT checked against its oracle"
    )
    vertices = len(body.v_template)
    posedirs = body.posedirs if body.posedirs is not None else torch.zeros(vertices, 3, 207)
    numpy = {
        "v_template": body.v_template,
        "shapedirs": body.shapedirs,
        "posedirs": posedirs,
        "J_regressor": body.joint_regressor,
        "weights": body.weights,
        "kintree_table": torch.tensor([body.parents, range(24)]),
        "f": body.faces,
    }
    names = (
        "nose reye leye rear lear LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel lthumb lindex "
        "lmiddle lring lpinky rthumb rindex rmiddle rring rpinky"
    )
    return smplx.SMPL(
        "",
        data_struct=smplx.utils.Struct(**{key: value.numpy() for key, value in numpy.items()}),
        vertex_ids=dict.fromkeys(names.split(), 0),
        batch_size=batch,
        dtype=body.v_template.dtype,
    )


def check_against_smplx(body: BodyModel, tolerance: float) -> None:
    dtype = body.v_template.dtype
    pose, betas = poses(3, dtype=dtype).requires_grad_(), shapes(3, dtype).requires_grad_()
    result = as_smplx(body, 3)(
        betas=betas, global_orient=pose[:, 0], body_pose=pose[:, 1:].flatten(1)
    )
    vertices = body.vertices(pose, betas)
    torch.testing.assert_close(vertices, result.vertices, atol=tolerance, rtol=0)
    joints = body.joints(pose, betas)
    torch.testing.assert_close(joints, result.joints[:, :24], atol=tolerance, rtol=0)
    weight = torch.randn(
        vertices.shape, generator=torch.Generator().manual_seed(6), dtype=dtype
    ) / len(body.v_template)
    ours = torch.autograd.grad((vertices * weight).sum(), (pose, betas))
    theirs = torch.autograd.grad((result.vertices * weight).sum(), (pose, betas))
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, atol=tolerance, rtol=1e-4)


def test_open_body_agrees_with_smplx(body):
    check_against_smplx(body, 1e-5)


def test_pose_correctives_agree_with_smplx():
    check_against_smplx(small_body(), 1e-6)


def test_gradients_in_double_precision():
    body = small_body()
    pose = poses(1, dtype=torch.float64).requires_grad_()
    betas = shapes(1, torch.float64).requires_grad_()
    offsets = torch.linspace(-0.02, 0.02, 6, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(body.vertices, (pose, betas, offsets))
    assert torch.autograd.gradcheck(body.joints, (pose, betas), fast_mode=True)
    still = torch.zeros(1, 24, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(body.vertices, (still, betas[0].detach()), fast_mode=True)


def test_no_pose_is_the_rest_shape(body):
    betas = shapes(1)[0]
    still = torch.zeros(2, 24, 3)
    torch.testing.assert_close(body.vertices(still, betas)[1], body.rest(betas), atol=1e-6, rtol=0)
    torch.testing.assert_close(
        body.joints(still, betas)[0], body.joints_rest(betas[None])[0], atol=1e-6, rtol=0
    )
    torch.testing.assert_close(body.vertices(still, None)[0], body.v_template, atol=1e-6, rtol=0)


def test_one_shape_or_one_per_frame(body):
    pose, betas = poses(3), shapes(1)[0]
    torch.testing.assert_close(
        body.vertices(pose, betas), body.vertices(pose, betas.expand(3, 10)), atol=1e-6, rtol=0
    )
    together = body.vertices(pose, shapes(3))
    for frame in range(3):
        alone = body.vertices(pose[frame : frame + 1], shapes(3)[frame])
        torch.testing.assert_close(together[frame : frame + 1], alone, atol=1e-6, rtol=0)


def test_root_turns_the_body_into_the_camera_frame(body):
    pose = torch.zeros(1, 24, 3)
    pose[0, 0, 0] = math.pi
    turned = body.vertices(pose, None)[0] - body.joints(pose, None)[0, 0]
    rest = body.v_template - body.joints_rest(torch.zeros(1, 10))[0, 0]
    torch.testing.assert_close(turned, rest * torch.tensor([1.0, -1.0, -1.0]), atol=1e-6, rtol=0)


def test_an_elbow_carries_the_forearm_and_nothing_else(body):
    pose = torch.zeros(1, 24, 3)
    pose[0, JOINT_NAMES.index("left_elbow"), 1] = -math.pi / 2
    joints = body.joints(pose, None)[0]
    rest = body.joints_rest(torch.zeros(1, 10))[0]
    elbow, wrist = (JOINT_NAMES.index(f"left_{name}") for name in ("elbow", "wrist"))
    forearm = (rest[wrist] - rest[elbow]).norm().item()
    assert (joints[wrist] - joints[elbow])[2] > 0.99 * forearm  # now points forward
    moved = (body.vertices(pose, None)[0] - body.v_template).norm(dim=1)
    assert moved[body.v_template[:, 0] < 0.2].max() < 1e-6
    assert moved[body.v_template[:, 0] > 0.6].min() > 0.1


def test_offsets_are_metres_along_the_rest_normals(body):
    offsets = torch.linspace(0, 0.03, len(body.v_template))
    pushed = body.rest(None, offsets) - body.v_template
    torch.testing.assert_close(pushed, offsets[:, None] * body.rest_normals(), atol=1e-6, rtol=0)
    # They move with the limb: a rigid turn keeps their length and turns their direction.
    pose = torch.zeros(1, 24, 3)
    pose[0, 0, 1] = 1.0
    posed = body.vertices(pose, None, offsets) - body.vertices(pose, None)
    torch.testing.assert_close(posed[0].norm(dim=1), offsets, atol=2e-6, rtol=0)
    # The joints are those of the undressed body.
    torch.testing.assert_close(body.rest(shapes(1)[0], offsets * 0), body.rest(shapes(1)[0]))


def test_normals_of_a_cube_point_outwards():
    corners = torch.tensor(
        [[x, y, z] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)]
    )
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = torch.tensor([face for a, b, c, d in quads for face in ((a, b, c), (a, c, d))])
    normals = vertex_normals(corners.expand(2, 8, 3), faces)
    assert normals.shape == (2, 8, 3)
    assert ((normals * corners).sum(-1) > 1.4).all()
    torch.testing.assert_close(normals.norm(dim=-1), torch.ones(2, 8))


def test_a_body_used_in_inference_mode_still_trains():
    with torch.inference_mode():
        body = small_body().to(dtype=torch.float32)
        fresh = BodyModel(**{**vars(open_body().to("cpu")), "id": "fresh"})
        fresh.vertices(torch.zeros(1, 24, 3), None, torch.zeros(len(fresh.v_template)))
        assert body.v_template.dtype == torch.float32 and body.faces.dtype == torch.int64
    pose = poses(1).requires_grad_()
    offsets = torch.zeros(len(fresh.v_template), requires_grad=True)
    fresh.vertices(pose, None, offsets).sum().backward()
    assert pose.grad.abs().max() > 0 and offsets.grad.abs().max() > 0
