"""Ten shape coefficients with a meaning: height, bmi, gender, muscle, age, and five residuals."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

logger = logging.getLogger(__name__)

BETA_NAMES = (
    "height", "bmi", "gender", "muscle", "age",
    "residual_0", "residual_1", "residual_2", "residual_3", "residual_4",
)  # fmt: skip
DENSITY = 985.0  # kg / m^3


def coefficients(vertices: NDArray, faces: NDArray, phenotypes: dict[str, NDArray]) -> NDArray:
    """(N, 10) unit-variance betas of vertices (N, V, 3).

    The first five are measured: z-scores of stature, body mass index (from the volume), gender
    (male to female), muscle and age. The rest are principal components of what they leave over.
    """
    height = np.ptp(vertices[..., 1], axis=1)
    bmi = volume(vertices, faces) * DENSITY / height**2
    measured = [height, bmi] + [phenotypes[name] for name in BETA_NAMES[2:5]]
    known = np.stack([(m - m.mean()) / m.std() for m in measured], 1)
    logger.info("stature %.3f +- %.3f m, bmi %.1f +- %.1f", height.mean(), height.std(), bmi.mean(),
                bmi.std())  # fmt: skip
    flat = (vertices - vertices.mean(0)).reshape(len(vertices), -1)
    residual = flat - known @ np.linalg.lstsq(known, flat, rcond=None)[0]
    left, _, _ = np.linalg.svd(residual, full_matrices=False)
    rest = left[:, :5] * np.sqrt(len(vertices))
    return np.concatenate([known, rest], 1)


def shape_directions(betas: NDArray, points: NDArray) -> NDArray:
    """Least-squares directions (V, 3, 10) of points (N, V, 3) on betas (N, 10)."""
    flat = (points - points.mean(0)).reshape(len(points), -1)
    return np.linalg.lstsq(betas, flat, rcond=None)[0].T.reshape(*points.shape[1:], -1)


def volume(vertices: NDArray, faces: NDArray) -> NDArray:
    """(N,) litres / 1000 enclosed by vertices (N, V, 3)."""
    first, second, third = (vertices[:, faces[:, corner]] for corner in range(3))
    return np.einsum("nfi,nfi->n", first, np.cross(second, third)) / 6
