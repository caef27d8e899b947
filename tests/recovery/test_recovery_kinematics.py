"""The folded points and their closed derivatives against vertices and automatic differentiation."""

from __future__ import annotations

import pytest
import torch

from lwg_core.body.params import JOINT_NAMES
from lwg_core.body.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from lwg_core.recovery import priors, solver
from lwg_core.recovery.kinematics import fold, forward, positions, positions_with_jacobian
from lwg_core.recovery.projection import stacked_regressor


def _bodies(count: int = 3, spread: float = 0.6) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    pose = spread * torch.randn(count, 24, 3, generator=generator, dtype=torch.float64)
    return pose, torch.randn(count, 10, generator=generator, dtype=torch.float64)


def _batch_diagonal(jacobian: torch.Tensor) -> torch.Tensor:
    """(B, ..., B, n) -> (B, ..., n)."""
    return torch.stack([jacobian[i].select(-2, i) for i in range(len(jacobian))])


def test_folded_points_are_the_regressed_vertices(random_body):
    pose, betas = _bodies()
    regressor = stacked_regressor(random_body)
    table = fold(random_body, regressor, torch.float64)
    rotations = axis_angle_to_matrix(pose)
    expected = regressor @ random_body.vertices(pose, betas)
    torch.testing.assert_close(positions(table, rotations, betas), expected, rtol=0, atol=1e-13)
    frames = forward(table, rotations, betas)
    torch.testing.assert_close(frames.position, random_body.joints(pose, betas), rtol=0, atol=1e-13)


def test_jacobian_of_the_points(random_body):
    pose, betas = _bodies()
    table = fold(random_body, stacked_regressor(random_body), torch.float64)
    rotations = axis_angle_to_matrix(pose)

    def moved(step, shape):
        turned = rotations @ axis_angle_to_matrix(step.view(-1, 24, 3))
        return positions(table, turned, shape)

    zero = torch.zeros(len(pose), 72, dtype=torch.float64)
    expected = [_batch_diagonal(j) for j in torch.func.jacfwd(moved, (0, 1))(zero, betas)]
    points, by_rotation, by_shape = positions_with_jacobian(table, rotations, betas)
    torch.testing.assert_close(points, moved(zero, betas), rtol=0, atol=1e-13)
    for ours, theirs in zip((by_rotation, by_shape), expected, strict=True):
        assert (ours - theirs).abs().max() < 1e-9 * theirs.abs().max()
    assert positions_with_jacobian(table, rotations, betas, shape=False)[2] is None


@pytest.mark.parametrize("shape", [True, False], ids=["shape", "no_shape"])
def test_gradient_of_the_whole_energy(random_body, shape):
    """Gauss-Newton's gradient is the true one, robust weights and priors included."""
    pose, betas = _bodies(2, 0.4)
    table = fold(random_body, stacked_regressor(random_body), torch.float64)
    motion = priors.range_of_motion(torch.float64)
    generator = torch.Generator().manual_seed(5)
    evidence = solver.Evidence(
        torch.randn(2, 24, 2, generator=generator, dtype=torch.float64),
        torch.rand(2, 24, generator=generator, dtype=torch.float64),
        5.0,
    )
    start = solver.Bodies(
        axis_angle_to_matrix(pose),
        betas,
        torch.tensor([0.1, -0.2], dtype=torch.float64),
        torch.tensor([[0.1, 0.2], [-0.3, 0.1]], dtype=torch.float64),
    )
    size = 85 if shape else 75

    def energy(step):
        body = start.moved(step)
        return solver.linearise(table, motion, evidence, body, True)[0].sum()

    expected = torch.func.grad(energy)(torch.zeros(2, size, dtype=torch.float64))
    _, gradient, normal = solver.linearise(table, motion, evidence, start, shape)
    assert (2 * gradient - expected).abs().max() < 1e-7 * expected.abs().max()
    torch.testing.assert_close(normal, normal.transpose(1, 2))
    assert torch.linalg.eigvalsh(normal).amin() > -1e-8 * normal.abs().max()


def test_inverse_right_jacobian_from_zero_to_large_angles():
    for angle in (0.0, 1e-3, 0.05, 0.0999, 0.1001, 1.0, 2.9):
        vector = torch.tensor([0.48, -0.6, 0.64], dtype=torch.float64) * angle
        rotation = axis_angle_to_matrix(vector)

        def turned(step, rotation=rotation):
            return matrix_to_axis_angle(rotation @ axis_angle_to_matrix(step))

        expected = torch.func.jacfwd(turned)(torch.zeros(3, dtype=torch.float64))
        torch.testing.assert_close(
            priors.inverse_right_jacobian(vector), expected, rtol=0, atol=2e-6
        )


def test_range_of_motion_is_mirrored_and_sane():
    motion = priors.range_of_motion(torch.float64)
    flip = torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64)
    for index, name in enumerate(JOINT_NAMES[1:]):
        swapped = name.replace("left", "x").replace("right", "left").replace("x", "right")
        other = JOINT_NAMES[1:].index(swapped)
        torch.testing.assert_close(motion.mean[index] * flip, motion.mean[other])
        torch.testing.assert_close(motion.sd[index], motion.sd[other])
        if other != index:
            torch.testing.assert_close(motion.low[index, 0], motion.low[other, 0])
            torch.testing.assert_close(motion.low[index, 1:], -motion.high[other, 1:])
        assert (motion.low[index] < motion.mean[index]).all()
        assert (motion.mean[index] < motion.high[index]).all()
    # A left elbow folds the forearm (along +x) forward (+z), a knee the shin backward.
    bent = axis_angle_to_matrix(motion.mean)
    elbow = bent[JOINT_NAMES.index("left_elbow") - 1]
    assert (elbow @ elbow.new_tensor([1.0, 0.0, 0.0]))[2] > 0.3
    knee = bent[JOINT_NAMES.index("left_knee") - 1]
    assert (knee @ knee.new_tensor([0.0, -1.0, 0.0]))[2] < -0.3
    shoulder = bent[JOINT_NAMES.index("left_shoulder") - 1]
    assert (shoulder @ shoulder.new_tensor([1.0, 0.0, 0.0]))[1] < -0.5
