"""3D points: the solver's term against finite differences, and bodies whose joints are known."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from lwg_core.body.open_body import open_body
from lwg_core.body.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from lwg_core.errors import InputError
from lwg_core.recovery.kinematics import fold, positions
from lwg_core.recovery.point_targets import PointTargets, joint_table
from lwg_core.recovery.priors import range_of_motion
from lwg_core.recovery.projection import stacked_regressor
from lwg_core.recovery.solver import Bodies
from lwg_core.recovery.start3d import kabsch, relative_scale
from lwg_core.recovery.surface_fit import Surfaces, fit_surfaces, surface_distance
from lwg_core.recovery.targets3d import fit_points
from lwg_core.render.camera import Camera

FACING = torch.tensor([torch.pi, 0.0, 0.0])


def random_poses(count: int, seed: int = 0, spread: float = 0.6) -> torch.Tensor:
    """(count, 24, 3): within the range of motion, turned anywhere about the vertical."""
    generator = torch.Generator().manual_seed(seed)
    motion = range_of_motion()
    pose = motion.mean + spread * motion.sd * torch.randn(count, 23, 3, generator=generator)
    yaw = torch.zeros(count, 3)
    yaw[:, 1] = 2 * torch.pi * torch.rand(count, generator=generator)
    root = matrix_to_axis_angle(axis_angle_to_matrix(FACING) @ axis_angle_to_matrix(yaw))
    return torch.cat([root[:, None], pose], 1)


def centred(points: torch.Tensor) -> torch.Tensor:
    return points - points[:, :1]


def random_term(body, slide: float, generator) -> tuple[PointTargets, Bodies]:
    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    table = fold(body, (2 * normal(9, 60)).softmax(1), torch.float64)
    normals = torch.nn.functional.normalize(normal(2, 9, 3), dim=-1)
    normals[:, :2] = 0  # points without a surface
    weight = torch.rand(2, 9, generator=generator, dtype=torch.float64)
    weight[0, 3] = 0
    targets = PointTargets(table, normal(2, 9, 3), weight, normals, slide, sd=1.0, outlier=1e6)
    rotations = axis_angle_to_matrix(normal(2, 24, 3))
    return targets, Bodies(rotations, normal(2, 10), normal(2), normal(2, 2))


@pytest.mark.parametrize("slide", [0.3, 1.0])
def test_the_term_is_the_energy_with_the_best_translation(random_body, slide):
    """Value, gradient and Gauss-Newton matrix against residuals with an explicit translation."""
    targets, bodies = random_term(random_body, slide, torch.Generator().manual_seed(5))

    def residuals(step: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
        moved = bodies.moved(step)
        error = positions(targets.table, moved.rotations, moved.betas) + place[:, None]
        error = error - targets.points
        along = torch.where(targets.normals.norm(dim=-1) > 0.5, slide, 1.0)[..., None]
        across = (error * targets.normals).sum(-1, keepdim=True) * targets.normals
        root = targets.weight.sqrt()[..., None]
        return (root * (across + along.sqrt() * (error - across))).flatten(1)

    step = torch.zeros(2, 85, dtype=torch.float64)
    place = targets.place(bodies)
    gradient = torch.zeros(2, 85, dtype=torch.float64)
    normal = torch.zeros(2, 85, 85, dtype=torch.float64)
    energy = targets.add(bodies, gradient, normal)
    left = residuals(step, place)
    torch.testing.assert_close(energy, left.square().sum(1), rtol=1e-9, atol=1e-9)
    for item in range(2):
        by_step, by_place = torch.autograd.functional.jacobian(residuals, (step, place))
        by_step, by_place = by_step[item, :, item], by_place[item, :, item]
        # The place is the best one: no residual is left along it.
        torch.testing.assert_close(
            by_place.T @ left[item], torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-5
        )
        free = torch.eye(27, dtype=torch.float64) - by_place @ torch.linalg.pinv(by_place)
        torch.testing.assert_close(gradient[item], by_step.T @ left[item], rtol=1e-6, atol=1e-5)
        torch.testing.assert_close(normal[item], by_step.T @ free @ by_step, rtol=1e-5, atol=1e-5)


def test_the_origin_of_the_targets_is_free(random_body):
    targets, bodies = random_term(random_body, 0.3, torch.Generator().manual_seed(6))
    shift = torch.tensor([3.0, -2.0, 7.0], dtype=torch.float64)
    elsewhere = replace(targets, points=targets.points + shift)
    torch.testing.assert_close(
        elsewhere.place(bodies) - targets.place(bodies), shift.expand(2, 3), rtol=0, atol=1e-4
    )
    torch.testing.assert_close(
        elsewhere.distance(bodies), targets.distance(bodies), rtol=0, atol=1e-5
    )


def test_kabsch_finds_the_turn_of_a_flat_trunk_and_ignores_what_weighs_nothing():
    turn = axis_angle_to_matrix(torch.tensor([[0.3, 2.5, -0.4], [3.1, 0.0, 0.2]]))
    source = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0))
    source[..., 2] = 0
    target = source @ turn.transpose(1, 2) + 2.0
    weight = torch.ones(2, 6)
    weight[:, 0] = 0
    target[:, 0] = 100
    torch.testing.assert_close(kabsch(source, target, weight), turn, rtol=0, atol=1e-5)


def test_the_joint_table_is_the_bodys_own_joints(random_body):
    body = random_body
    pose = torch.randn(2, 24, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    betas = torch.randn(2, 10, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    table = joint_table(body)
    double = replace(
        table, **{k: getattr(table, k).double() for k in ("joints", "joint_dirs", "offset",
                  "offset_dirs", "weight", "subtree")}
    )  # fmt: skip
    found = positions(double, axis_angle_to_matrix(pose), betas)
    torch.testing.assert_close(found, body.joints(pose, betas), rtol=0, atol=1e-5)


def test_joints_without_noise_come_back():
    body = open_body()
    pose, betas = random_poses(8), torch.tensor([1.0, -1, 0.5, 0.5, 0, 0, 0, 0, 0, 0])
    joints = body.joints(pose, betas)
    fit = fit_points(joints + torch.tensor([4.0, 0.0, 9.0]), torch.ones(8, 24), None, body)
    found = body.joints(fit.params.pose, fit.params.betas)
    assert (centred(found) - centred(joints)).norm(dim=-1).mean() < 0.008
    moved = found + fit.place[:, None]
    assert (moved - joints - torch.tensor([4.0, 0.0, 9.0])).norm(dim=-1).mean() < 0.008
    assert fit.params.valid.all() and fit.scale == 1.0 and fit.params.body_model == "open"
    assert (fit.params.confidence == 1).all()


@pytest.mark.parametrize("noise, bound", [(0.02, 0.045), (0.04, 0.075)])
def test_noisy_joints_of_lone_frames(noise, bound):
    body = open_body()
    generator = torch.Generator().manual_seed(3)
    pose, betas = random_poses(4, seed=1, spread=1.0), torch.randn(4, 10, generator=generator)
    joints = body.joints(pose, betas)
    seen = joints + noise * torch.randn(joints.shape, generator=generator)
    error = []
    for frame in range(4):
        fit = fit_points(seen[frame : frame + 1], torch.ones(1, 24), None, body)
        found = body.joints(fit.params.pose, fit.params.betas)
        error.append((centred(found) - centred(joints[frame : frame + 1])).norm(dim=-1).mean())
    assert torch.stack(error).mean() < bound


def test_picture_points_sharpen_what_the_picture_shows():
    body = open_body()
    generator = torch.Generator().manual_seed(2)
    pose, betas = random_poses(12, seed=4), torch.zeros(10)
    joints = body.joints(pose, betas)
    camera = Camera.from_pinhole(
        torch.full((12,), 900.0), torch.tensor([[0.3, 0.1, 4.0]]).expand(12, 3), (512, 640)
    )
    pixels = camera.project(joints)[..., :2]
    noisy = joints + 0.04 * torch.randn(joints.shape, generator=generator)
    seen = pixels + 1.0 * torch.randn(pixels.shape, generator=generator)
    missing = seen.clone()
    missing[:, 5] = torch.nan
    miss = []
    for points in (None, missing):
        fit = fit_points(noisy, torch.ones(12, 24), None, body, camera, points)
        found = fit.params.camera.project(body.joints(fit.params.pose, fit.params.betas))
        miss.append((found[..., :2] - pixels).norm(dim=-1).mean())
        torch.testing.assert_close(fit.params.camera.focal, camera.focal)
    assert miss[1] < 0.6 * miss[0] and miss[1] < 4.0


@pytest.mark.parametrize("pinhole", [True, False])
@pytest.mark.parametrize("size", [1.0, 0.6])
def test_a_skeleton_of_another_size_makes_the_same_picture(pinhole, size):
    body = open_body()
    pose = random_poses(6, seed=7)
    joints = body.joints(pose, torch.zeros(10)) * size
    ones = torch.ones(6)
    if pinhole:
        place = torch.tensor([[0.2, -0.3, 3.0]]).expand(6, 3)
        camera = Camera.from_pinhole(700 * ones, place, (480, 640), torch.full((6, 2), 200.0))
    else:
        camera = Camera(150 * ones, torch.full((6, 2), 240.0), (480, 640))
    fit = fit_points(joints, torch.ones(6, 24), None, body, camera)
    assert abs(fit.scale - (1.0 if size == 1.0 else size / 0.93)) < 0.01
    found = fit.params.camera.project(body.joints(fit.params.pose, fit.params.betas))
    assert (found - camera.project(joints))[..., :2].norm(dim=-1).mean() < 2.5
    if pinhole:
        assert torch.equal(fit.params.camera.focal, camera.focal)
        assert torch.equal(fit.params.camera.principal, camera.principal)


def test_the_scale_of_bones_is_found_through_noise_and_gaps():
    body = open_body()
    table, motion = joint_table(body), range_of_motion()
    joints = 1.5 * body.joints(random_poses(20, seed=9), torch.zeros(10))
    noisy = joints + 0.015 * torch.randn(joints.shape, generator=torch.Generator().manual_seed(0))
    weight = torch.ones(20, 24)
    weight[::2, 4] = 0
    noisy[::2, 4] = 50
    scale = relative_scale(table, motion, noisy, weight)
    assert abs(scale * 1.07 - 1.5) < 0.03
    nothing = torch.zeros(20, 24)
    assert relative_scale(table, motion, noisy, nothing) == 1.0


def test_missing_points_and_frames_are_said_so():
    body = open_body()
    pose = random_poses(5, seed=3)
    joints = body.joints(pose, torch.zeros(10))
    weight = torch.ones(5, 24)
    weight[:, [4, 5, 7, 8, 10, 11]] = 0  # no legs
    points = joints.clone()
    points[1] = torch.nan
    points[3, 20] = torch.inf
    fit = fit_points(points, weight, None, body)
    assert fit.params.valid.tolist() == [True, False, True, True, True]
    assert fit.messages[1].startswith("fewer than 6") and not fit.messages[0]
    confidence = fit.params.confidence
    assert (confidence[1] == 0).all()
    assert (confidence[0, [4, 5, 7, 8, 10, 11]] == 0).all() and confidence[0, 18] == 1
    assert confidence[3, 20] < 1 and confidence[2, 20] == 1
    arms = [12, 15, 16, 17, 18, 19]
    found = centred(body.joints(fit.params.pose, fit.params.betas))
    kept = [0, 2, 4]
    assert (found - centred(joints))[kept][:, arms].norm(dim=-1).mean() < 0.015


def test_points_that_are_no_body_are_not_valid():
    body = open_body()
    points = torch.rand(1, 24, 3, generator=torch.Generator().manual_seed(0)) * 2
    fit = fit_points(points, torch.ones(1, 24), None, body)
    assert not fit.params.valid.any() and not fit.params.confidence.any()
    assert fit.messages[0].startswith("no body comes near the points")


@pytest.mark.parametrize(
    "change, message",
    [
        ({"points": torch.zeros(2, 23, 3)}, "must be (T, 24, 3)"),
        ({"points": torch.zeros(0, 24, 3), "weight": torch.zeros(0, 24)}, "must be (T, 24, 3)"),
        ({"weight": torch.ones(2, 23)}, "weight must be (2, 24)"),
        ({"weight": torch.zeros(2, 24)}, "no frame has the 6 points"),
        ({"points": torch.full((2, 24, 3), torch.nan)}, "no frame has the 6 points"),
        ({"points2d": torch.zeros(2, 24, 2)}, "with a camera"),
        (
            {"camera": Camera(torch.ones(3), torch.zeros(3, 2), (4, 4))},
            "2 frames but 3 cameras",
        ),
        (
            {
                "camera": Camera.from_pinhole(
                    torch.ones(2), torch.tensor([[0.0, 0.0, 0.1]]).expand(2, 3), (4, 4)
                ),
                "points": torch.randn(2, 24, 3, generator=torch.Generator().manual_seed(1)) - 3.0,
            },
            "behind the camera",
        ),
    ],
)
def test_bad_points_are_refused(stick_body, change, message):
    given = {"points": torch.randn(2, 24, 3), "weight": torch.ones(2, 24)} | change
    points, weight = given.pop("points"), given.pop("weight")
    with pytest.raises(InputError) as error:
        fit_points(points, weight, None, stick_body, **given)
    assert message in str(error.value)


@pytest.mark.parametrize("blended", [False, True])
def test_the_surface_shows_how_limbs_twist(blended):
    """Forearms, upper arms and thighs turned about themselves: joints alone cannot tell."""
    body = open_body()
    if blended:
        generator = torch.Generator().manual_seed(2)
        dirs = 1e-3 * torch.randn(len(body.v_template), 3, 207, generator=generator)
        body = replace(body, posedirs=dirs)
    pose = random_poses(2, seed=11, spread=0.3)
    pose[:, 1, 1] += 0.5
    pose[:, 16, 0] += 0.5
    pose[:, 19, 0] -= 0.6
    betas = torch.tensor([0.5, 0.5, -1.0, 0, 0, 0, 0, 0, 0, 0])
    shuffled = torch.randperm(len(body.v_template), generator=torch.Generator().manual_seed(0))
    vertices = body.vertices(pose, betas)[:, shuffled]
    faces = torch.empty_like(shuffled).scatter_(0, shuffled, torch.arange(len(shuffled)))[
        body.faces
    ]
    regressor = stacked_regressor(body)[:24]
    points = torch.einsum("kv,tvc->tkc", regressor, body.vertices(pose, betas))
    weight = torch.ones(2, 24)
    fit = fit_points(points, weight, regressor, body)
    start = Bodies(
        axis_angle_to_matrix(fit.params.pose),
        fit.params.betas.expand(2, 10),
        torch.zeros(2),
        torch.zeros(2, 2),
    )
    targets = PointTargets(fold(body, regressor), points, weight)
    surfaces = Surfaces(vertices, faces.flip(1) if blended else faces)
    bodies, place = fit_surfaces(body, start, targets, surfaces)
    found = body.vertices(matrix_to_axis_angle(bodies.rotations), bodies.betas) + place[:, None]
    assert (surface_distance(found, surfaces) < 0.005).all()

    def twist(rotations: torch.Tensor) -> torch.Tensor:
        true = axis_angle_to_matrix(pose)
        angle = matrix_to_axis_angle(rotations.transpose(-1, -2) @ true).norm(dim=-1)
        return angle[:, [1, 2, 16, 17, 18, 19]].rad2deg().mean()

    assert twist(bodies.rotations) < 6 and twist(bodies.rotations) < 0.5 * twist(start.rotations)
