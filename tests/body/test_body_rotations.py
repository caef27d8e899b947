"""Rotations against SciPy, near the identity, near half turns, and in double precision."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from lwg_core.body.rotations import (
    axis_angle_to_matrix,
    matrix_to_axis_angle,
    matrix_to_rot6d,
    rot6d_to_matrix,
)


def directions(count: int = 200) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    axes = torch.randn(count, 3, generator=generator, dtype=torch.float64)
    return torch.nn.functional.normalize(axes, dim=-1)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-5, 1e-4, 1e-3, 0.7, 3.0, 3.1415, math.pi, 5.0])
def test_matches_scipy(angle):
    vectors = directions() * angle
    expected = torch.from_numpy(Rotation.from_rotvec(vectors.numpy()).as_matrix())
    torch.testing.assert_close(axis_angle_to_matrix(vectors), expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-6, 1e-4, 0.7, 3.0, math.pi - 1e-7])
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-9), (torch.float32, 1e-5)])
def test_axis_angle_comes_back(angle, dtype, tolerance):
    vectors = directions() * angle
    back = matrix_to_axis_angle(axis_angle_to_matrix(vectors.to(dtype)))
    if angle < 3.14:
        torch.testing.assert_close(back, vectors.to(dtype), atol=tolerance, rtol=0)
    torch.testing.assert_close(
        axis_angle_to_matrix(back.double()),
        axis_angle_to_matrix(vectors),
        atol=tolerance,
        rtol=0,
    )


def test_half_turns_about_the_axes():
    for axis in np.eye(3):
        matrix = torch.from_numpy(Rotation.from_rotvec(axis * math.pi).as_matrix())
        back = matrix_to_axis_angle(matrix)
        assert abs(back.norm().item() - math.pi) < 1e-9
        torch.testing.assert_close(axis_angle_to_matrix(back), matrix, atol=1e-9, rtol=0)


@pytest.mark.parametrize("angle", [0.0, 1e-7, 1e-3, 2.0, 3.1])
def test_gradients(angle):
    vectors = (directions(4) * angle).requires_grad_()
    assert torch.autograd.gradcheck(axis_angle_to_matrix, vectors)
    if angle > 0:
        turned = axis_angle_to_matrix(vectors.detach()).requires_grad_()
        gradient = torch.autograd.grad(matrix_to_axis_angle(turned).sum(), turned)[0]
        assert torch.isfinite(gradient).all()
        round_trip = lambda a: matrix_to_axis_angle(axis_angle_to_matrix(a))  # noqa: E731
        assert torch.autograd.gradcheck(round_trip, vectors, atol=1e-4)


def test_six_numbers_are_the_first_two_columns():
    matrices = axis_angle_to_matrix(directions() * 2.0)
    six = matrix_to_rot6d(matrices)
    torch.testing.assert_close(six[:, :3], matrices[:, :, 0])
    torch.testing.assert_close(six[:, 3:], matrices[:, :, 1])
    torch.testing.assert_close(rot6d_to_matrix(six), matrices, atol=1e-12, rtol=0)


def test_six_loose_numbers_still_make_a_rotation():
    six = torch.randn(100, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 3
    matrices = rot6d_to_matrix(six)
    eye = torch.eye(3, dtype=torch.float64).expand(100, 3, 3)
    torch.testing.assert_close(matrices @ matrices.mT, eye, atol=1e-12, rtol=0)
    torch.testing.assert_close(torch.linalg.det(matrices), eye[:, 0, 0], atol=1e-12, rtol=0)
