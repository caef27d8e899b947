"""Rotations: axis-angle, matrix and 6D, stable and differentiable at 0 and at pi."""

from __future__ import annotations

import torch
from torch import Tensor


def axis_angle_to_matrix(axis_angle: Tensor) -> Tensor:
    """Axis-angle (..., 3) in radians -> rotation matrices (..., 3, 3), by Rodrigues' formula."""
    x, y, z = axis_angle.unbind(-1)
    squared = x * x + y * y + z * z
    small = squared < 1e-8
    angle = torch.where(small, torch.ones_like(squared), squared).sqrt()
    sine = torch.where(small, 1 - squared / 6, angle.sin() / angle)
    half = torch.where(small, 1 - squared / 24, (angle / 2).sin() / (angle / 2))
    versine = half * half / 2  # (1 - cos) / angle^2, without the cancellation
    cosine = 1 - versine * squared
    sx, sy, sz = sine * x, sine * y, sine * z
    xy, xz, yz = versine * x * y, versine * x * z, versine * y * z
    rows = [
        cosine + versine * x * x, xy - sz, xz + sy,
        xy + sz, cosine + versine * y * y, yz - sx,
        xz - sy, yz + sx, cosine + versine * z * z,
    ]  # fmt: skip
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def matrix_to_axis_angle(matrix: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) -> axis-angle (..., 3) with an angle in [0, pi].

    Goes through the quaternion's four candidate forms and takes the best conditioned, so neither
    the identity nor a half turn loses digits or gradients.
    """
    m = matrix
    m00, m11, m22 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    wx, wy, wz = (
        m[..., 2, 1] - m[..., 1, 2],
        m[..., 0, 2] - m[..., 2, 0],
        m[..., 1, 0] - m[..., 0, 1],
    )
    xy, xz, yz = (
        m[..., 0, 1] + m[..., 1, 0],
        m[..., 0, 2] + m[..., 2, 0],
        m[..., 1, 2] + m[..., 2, 1],
    )
    diagonal = torch.stack(
        [1 + m00 + m11 + m22, 1 + m00 - m11 - m22, 1 - m00 + m11 - m22, 1 - m00 - m11 + m22], -1
    )
    ww, xx, yy, zz = diagonal.unbind(-1)
    candidates = torch.stack(
        [ww, wx, wy, wz, wx, xx, xy, xz, wy, xy, yy, yz, wz, xz, yz, zz], -1
    ).unflatten(-1, (4, 4))
    best = diagonal.detach().argmax(-1)[..., None, None].expand(*m.shape[:-2], 1, 4)
    quaternion = torch.nn.functional.normalize(candidates.gather(-2, best).squeeze(-2), dim=-1)
    quaternion = torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)
    real, vector = quaternion[..., :1], quaternion[..., 1:]
    squared = (vector * vector).sum(-1, keepdim=True)
    small = squared < 1e-12
    length = torch.where(small, torch.ones_like(squared), squared).sqrt()
    factor = torch.where(small, 2 + squared / 3, 2 * torch.atan2(length, real) / length)
    return vector * factor


def matrix_to_rot6d(matrix: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) -> (..., 6): the first column, then the second."""
    return torch.cat([matrix[..., 0], matrix[..., 1]], -1)


def rot6d_to_matrix(rot6d: Tensor) -> Tensor:
    """(..., 6), first column then second, any length -> (..., 3, 3) by Gram-Schmidt."""
    first = torch.nn.functional.normalize(rot6d[..., :3], dim=-1)
    second = rot6d[..., 3:] - (first * rot6d[..., 3:]).sum(-1, keepdim=True) * first
    second = torch.nn.functional.normalize(second, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], -1)
