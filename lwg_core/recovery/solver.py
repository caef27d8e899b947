"""Levenberg-Marquardt for bodies under 2D keypoints, batched.

Unknowns per body: 24 joint rotations as right perturbations R <- R exp(d) (72: no singularity
anywhere, and the front view sits at a half turn), log scale (1), shift (2), betas (10).

Everything is in metres: with s the scale and c the principal point of the start, image points
become (u - c) / s, so an error of one unit is a metre at the body whatever the picture's size, and

    u = (exp(l) p_xy + m) k          k = 1 / (1 + p_z / distance)

is the pinhole camera of focal length scale * distance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from ..body.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from .kinematics import LinearPoints, positions, positions_with_jacobian
from .priors import RangeOfMotion, gravity_prior, inverse_right_jacobian, pose_prior

KEYPOINT_SD = 0.014  # metres at the body: 3 px for a person 384 px tall
PRIOR_WEIGHT = 2.0
CHUNK = 64  # bodies solved at once: about 100 MB
NEAREST = 0.3  # no point comes nearer to the camera than this part of the distance


@dataclass(frozen=True)
class Bodies:
    """B bodies: rotations (B, 24, 3, 3), betas (B, 10), log_scale (B,), shift (B, 2) metres."""

    rotations: Tensor
    betas: Tensor
    log_scale: Tensor
    shift: Tensor

    def __len__(self) -> int:
        return self.rotations.shape[0]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return self.rotations, self.betas, self.log_scale, self.shift

    def select(self, index: Tensor) -> Bodies:
        return Bodies(*(t[index] for t in self.tensors))

    def where(self, chosen: Tensor, other: Bodies) -> Bodies:
        """Self where ``chosen`` (B,), else ``other``."""
        pairs = zip(self.tensors, other.tensors, strict=True)
        return Bodies(*(torch.where(chosen.view(-1, *[1] * (a.ndim - 1)), a, b) for a, b in pairs))

    def moved(self, step: Tensor) -> Bodies:
        """Step (B, 75 or 85): rotations, log scale, shift and perhaps betas."""
        turn = axis_angle_to_matrix(step[:, :72].unflatten(1, (24, 3)))
        betas = self.betas if step.shape[1] == 75 else self.betas + step[:, 75:]
        return Bodies(
            self.rotations @ turn,
            betas,
            self.log_scale + step[:, 72].clamp(-0.3, 0.3),
            self.shift + step[:, 73:75],
        )


class Term(Protocol):
    """One more residual of B bodies, for what 2D keypoints do not say."""

    def select(self, index: Tensor) -> Term: ...

    def add(self, bodies: Bodies, gradient: Tensor, normal: Tensor) -> Tensor:
        """Energy (B,); adds to gradient (B, n) and Gauss-Newton matrix (B, n, n) in place."""
        ...


@dataclass(frozen=True)
class Pull:
    """Term: joint rotations drawn towards given ones.

    rotations: (B, 24, 3, 3) where to. precision: (B, 24), 1 / rad^2, 0 = free.
    """

    rotations: Tensor
    precision: Tensor

    def select(self, index: Tensor) -> Pull:
        return Pull(self.rotations[index], self.precision[index])

    def add(self, bodies: Bodies, gradient: Tensor, normal: Tensor) -> Tensor:
        off = matrix_to_axis_angle(self.rotations.transpose(-1, -2) @ bodies.rotations)
        turn = inverse_right_jacobian(off)
        weighted = self.precision[..., None] * off
        gradient[:, :72] += (turn.transpose(-1, -2) @ weighted[..., None]).flatten(1)
        blocks = self.precision[..., None, None] * (turn.transpose(-1, -2) @ turn)
        rotation_blocks(normal).add_(blocks)
        return (weighted * off).sum((1, 2))


@dataclass(frozen=True)
class Evidence:
    """What the bodies are held against.

    points: (B, K, 2) image points in metres (see above). weight: (B, K), 0 = missing.
    distance: metres to the camera, one for all or (B,).
    outlier: Geman-McClure's scale, an error of this many KEYPOINT_SD counts half.
    terms: what else speaks.
    """

    points: Tensor
    weight: Tensor
    distance: float | Tensor
    outlier: float = 15.0
    terms: tuple[Term, ...] = ()

    def select(self, index: Tensor) -> Evidence:
        distance = self.distance[index] if isinstance(self.distance, Tensor) else self.distance
        return replace(
            self,
            points=self.points[index],
            weight=self.weight[index],
            distance=distance,
            terms=tuple(term.select(index) for term in self.terms),
        )


def rotation_blocks(normal: Tensor) -> Tensor:
    """The 24 diagonal 3x3 blocks of (B, n, n) as a view (B, 24, 3, 3): one addition, not 24."""
    size = normal.shape[1]
    return normal.as_strided((len(normal), 24, 3, 3), (size * size, 3 * (size + 1), size, 1))


def _per_point(distance: float | Tensor) -> float | Tensor:
    return distance[:, None, None] if isinstance(distance, Tensor) else distance


def project(bodies: Bodies, points: Tensor, distance: float | Tensor) -> Tensor:
    """Camera-frame points (B, K, 3) -> image points (B, K, 2) in metres."""
    near = 1 / (1 + points[..., 2:] / _per_point(distance)).clamp_min(NEAREST)
    return (bodies.log_scale.exp()[:, None, None] * points[..., :2] + bodies.shift[:, None]) * near


def predict(table: LinearPoints, bodies: Bodies, distance: float | Tensor) -> Tensor:
    """(B, K, 2) image points of the bodies, in metres."""
    return project(bodies, positions(table, bodies.rotations, bodies.betas), distance)


def image_jacobian(
    bodies: Bodies, points: Tensor, by_point: Tensor, distance: float | Tensor, factor: Tensor
) -> tuple[Tensor, Tensor]:
    """Image points (B, K, 2) in metres and ``factor`` (B, K, 1) times their derivatives
    (B, K, 2, n) by rotations, log scale, shift and perhaps betas.

    points (B, K, 3) and by_point (B, K, 3, 72 or 82): as ``positions_with_jacobian`` gives them.
    """
    scale = bodies.log_scale.exp()[:, None, None]
    distance = _per_point(distance)
    near = 1 / (1 + points[..., 2:] / distance).clamp_min(NEAREST)
    flat = scale * points[..., :2]
    image = (flat + bodies.shift[:, None]) * near
    across = (factor * near * scale)[..., None]
    along = (factor * near * image / distance)[..., None]
    turned = across * by_point[:, :, :2] - along * by_point[:, :, 2:]
    by_shift = torch.eye(2).to(flat) * (factor * near)[..., None]
    by_scale = (factor * near * flat)[..., None]
    return image, torch.cat([turned[..., :72], by_scale, by_shift, turned[..., 72:]], -1)


def linearise(
    table: LinearPoints, motion: RangeOfMotion, evidence: Evidence, bodies: Bodies, shape: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Energy (B,), gradient (B, n) and Gauss-Newton matrix (B, n, n), n = 85 or 75 (no betas)."""
    points, by_rotation, by_shape = positions_with_jacobian(
        table, bodies.rotations, bodies.betas, shape
    )
    by_point = by_rotation if by_shape is None else torch.cat([by_rotation, by_shape], -1)
    error = (project(bodies, points, evidence.distance) - evidence.points) / KEYPOINT_SD
    squared = (error * error).sum(-1)
    # Geman-McClure k e^2 / (k + e^2) by iterative reweighting
    robust = evidence.outlier**2 / (evidence.outlier**2 + squared)
    energy = (evidence.weight * robust * squared).sum(1)
    root = evidence.weight.sqrt()[..., None] * robust[..., None] / KEYPOINT_SD
    _, jacobian = image_jacobian(bodies, points, by_point, evidence.distance, root)
    jacobian = jacobian.flatten(1, 2)
    normal = jacobian.transpose(1, 2) @ jacobian
    residual = (root * KEYPOINT_SD * error).flatten(1)[..., None]
    gradient = (jacobian.transpose(1, 2) @ residual).squeeze(-1)

    vectors = matrix_to_axis_angle(bodies.rotations[:, 1:])
    pose_energy, pose_gradient, pose_blocks = pose_prior(motion, vectors)
    lean, by_root = gravity_prior(bodies.rotations[:, 0])
    energy = energy + PRIOR_WEIGHT * (pose_energy + lean * lean) + bodies.betas.square().sum(1)
    blocks = torch.cat([(by_root[:, :, None] * by_root[:, None])[:, None], pose_blocks], 1)
    slopes = torch.cat([(by_root * lean[:, None])[:, None], pose_gradient], 1)
    rotation_blocks(normal).add_(PRIOR_WEIGHT * blocks)
    gradient[:, :72] += PRIOR_WEIGHT * slopes.flatten(1)
    if shape:
        normal.diagonal(dim1=1, dim2=2)[:, 75:] += 1
        gradient[:, 75:] += bodies.betas
    for term in evidence.terms:
        energy = energy + term.add(bodies, gradient, normal)
    return energy, gradient, normal


def minimise(
    table: LinearPoints,
    motion: RangeOfMotion,
    evidence: Evidence,
    bodies: Bodies,
    steps: int,
    damping: float,
    shape: bool = True,
) -> tuple[Bodies, Tensor]:
    """Up to ``steps`` damped steps, each body with its own damping; returns bodies and energy (B,).

    shape: whether betas move.
    """
    energy, gradient, normal = linearise(table, motion, evidence, bodies, shape)
    damping = torch.full_like(energy, damping)
    for _ in range(steps):
        diagonal = normal.diagonal(dim1=1, dim2=2)
        damped = normal + torch.diag_embed(damping[:, None] * (diagonal + 1) + 1e-4)
        # The check of cholesky would wait for the device; a failed factor only fails its own step.
        factor, _ = torch.linalg.cholesky_ex(damped)
        step = -torch.cholesky_solve(gradient[..., None], factor).squeeze(-1)
        step = step / step[:, :72].abs().amax(1, keepdim=True).clamp_min(1)  # at most 1 rad
        trial = bodies.moved(step)
        new_energy, new_gradient, new_normal = linearise(table, motion, evidence, trial, shape)
        better = new_energy < energy
        bodies = trial.where(better, bodies)
        energy = torch.where(better, new_energy, energy)
        gradient = torch.where(better[:, None], new_gradient, gradient)
        normal = torch.where(better[:, None, None], new_normal, normal)
        damping = torch.where(better, damping * 0.4, damping * 4).clamp(1e-5, 1e5)
    return bodies, energy


def in_chunks(
    table: LinearPoints,
    motion: RangeOfMotion,
    evidence: Evidence,
    bodies: Bodies,
    steps: int,
    damping: float,
    shape: bool,
    size: int = CHUNK,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Bodies, Tensor]:
    """``minimise`` of B bodies, ``size`` at a time: bodies and energies (B,).

    progress: called with (bodies done, bodies in all).
    """
    parts, energies = [], []
    for index in torch.arange(len(bodies), device=bodies.betas.device).split(size):
        part, energy = minimise(
            table, motion, evidence.select(index), bodies.select(index), steps, damping, shape
        )
        parts.append(part)
        energies.append(energy)
        if progress is not None:
            progress(int(index[-1]) + 1, len(bodies))
    return join(parts), torch.cat(energies)


def join(parts: list[Bodies]) -> Bodies:
    """Lists of bodies one after the other."""
    return Bodies(*(torch.cat(field) for field in zip(*(p.tensors for p in parts), strict=True)))
