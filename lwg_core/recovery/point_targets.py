"""3D points as a term of the solver.

Linear points of the body (joints, keypoints, vertices) are held against targets in metres. The
targets' origin is free: the best translation of every body is solved in closed form and eliminated
from the normal equations (variable projection), so root-relative and camera-frame targets are the
same to it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..body.model import BodyModel
from .kinematics import LinearPoints, fold, positions, positions_with_jacobian
from .solver import Bodies, Evidence

POINT_SD = 0.02  # metres: noise of a good 3D detector and of its idea of a joint
OUTLIER = 6.0  # an error of this many standard deviations counts half


@dataclass(frozen=True)
class PointTargets:
    """Term of the solver: points of B bodies drawn to targets, up to one translation per body.

    table: K linear points of the body. points: (B, K, 3) metres. weight: (B, K), 0 = missing.
    normals: (B, K, 3) unit normals of the surface that the targets lie on, zero where none, or
        None. An error along the surface counts only the part ``slide`` of one across it.
    sd: metres. outlier: Geman-McClure's scale in ``sd``.
    """

    table: LinearPoints
    points: Tensor
    weight: Tensor
    normals: Tensor | None = None
    slide: float = 0.3
    sd: float = POINT_SD
    outlier: float = OUTLIER

    def select(self, index: Tensor) -> PointTargets:
        normals = None if self.normals is None else self.normals[index]
        points, weight = self.points[index], self.weight[index]
        return replace(self, points=points, weight=weight, normals=normals)

    def add(self, bodies: Bodies, gradient: Tensor, normal: Tensor) -> Tensor:
        shape = gradient.shape[1] == 85
        points, by_rotation, by_shape = positions_with_jacobian(
            self.table, bodies.rotations, bodies.betas, shape
        )
        _, error, whitening, energy = self._settle(points)
        by_point = by_rotation if by_shape is None else torch.cat([by_rotation, by_shape], -1)
        rows = (whitening @ by_point).flatten(1, 2)
        residual = (whitening @ error[..., None]).flatten(1, 2)
        by_place = whitening.flatten(1, 2)
        # The translation's Schur complement; at its best value it adds nothing to the gradient.
        crossed = by_place.transpose(1, 2) @ rows
        held = crossed.transpose(1, 2) @ torch.linalg.solve(_gram(by_place), crossed)
        columns = torch.arange(gradient.shape[1], device=gradient.device)
        columns = columns[(columns < 72) | (columns >= 75)]  # the 2D camera's are between
        gradient[:, columns] += (rows.transpose(1, 2) @ residual).squeeze(-1)
        normal[:, columns[:, None], columns] += rows.transpose(1, 2) @ rows - held
        return energy

    def place(self, bodies: Bodies) -> Tensor:
        """(B, 3) metres that bring the bodies onto the targets."""
        return self._settle(positions(self.table, bodies.rotations, bodies.betas))[0]

    def distance(self, bodies: Bodies) -> Tensor:
        """(B,) mean distance of the weighted points to their targets, metres."""
        error = self._settle(positions(self.table, bodies.rotations, bodies.betas))[1]
        return (error.norm(dim=-1) * self.weight).sum(1) / self.weight.sum(1).clamp_min(1e-9)

    def _settle(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Best translation (B, 3), errors (B, K, 3), their whitening (B, K, 3, 3), energy (B,)."""
        metric = torch.eye(3).to(points).expand(*self.weight.shape, 3, 3)
        if self.normals is not None:
            across = self.normals[..., :, None] * self.normals[..., None, :]
            even = torch.where(across.diagonal(dim1=-2, dim2=-1).sum(-1) > 0.5, self.slide**0.5, 1)
            metric = even[..., None, None] * metric + (1 - even)[..., None, None] * across
        metric = metric / self.sd
        free = self.points - points
        cost = (metric @ metric).flatten(2)
        wanted = (cost.unflatten(2, (3, 3)) @ free[..., None]).squeeze(-1)
        weight = self.weight
        for _ in range(3):
            total = (weight[:, None] @ cost).view(-1, 3, 3) + 1e-6 * torch.eye(3).to(cost)
            place = torch.linalg.solve(total, (weight[:, None] @ wanted).transpose(1, 2))
            error = place.transpose(1, 2) - free
            squared = (metric @ error[..., None]).square().sum((-2, -1))
            robust = self.outlier**2 / (self.outlier**2 + squared)
            weight = self.weight * robust**2
        whitening = weight.sqrt()[..., None, None] * metric
        return place.squeeze(-1), error, whitening, (self.weight * robust * squared).sum(1)


def _gram(rows: Tensor) -> Tensor:
    """(B, 3, 3) of rows (B, N, 3), never singular."""
    return rows.transpose(1, 2) @ rows + 1e-6 * torch.eye(3).to(rows)


def joint_table(body: BodyModel) -> LinearPoints:
    """The 24 joints as linear points: nothing beside the joints' own positions."""
    table = fold(body, body.joint_regressor)
    return replace(
        table,
        offset=torch.zeros_like(table.offset),
        offset_dirs=torch.zeros_like(table.offset_dirs),
        offset_pose=None,
        weight=torch.eye(24).to(table.weight),
    )


def no_picture(targets: PointTargets) -> tuple[LinearPoints, Evidence]:
    """Evidence of the targets alone: a table of no points and nothing seen."""
    table = targets.table
    pose = None if table.offset_pose is None else table.offset_pose[:0]
    empty = replace(
        table,
        offset=table.offset[:0],
        offset_dirs=table.offset_dirs[:0],
        offset_pose=pose,
        weight=table.weight[:0],
    )
    count = len(targets.points)
    nothing = targets.points.new_zeros(count, 0, 2)
    return empty, Evidence(nothing, nothing[..., 0], 5.0, terms=(targets,))
