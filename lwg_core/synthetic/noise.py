"""Smooth value noise: in space (fabric, wrinkles, hair) and on pictures (backgrounds)."""

from __future__ import annotations

import cv2
import numpy as np
from scipy.ndimage import map_coordinates


class SpaceNoise:
    """Periodic value noise in three dimensions, fixed by the generator that made it.

    Called with points (N, 3) in metres and ``frequency`` in lattice cells per metre (a number or
    one per axis), it returns (N,) in 0..1 with mean one half.
    """

    def __init__(self, rng: np.random.Generator, cells: int = 24) -> None:
        self.lattice = rng.random((cells, cells, cells), dtype=np.float32)
        self.shift = (rng.random(3) * cells).astype(np.float32)

    def __call__(self, points: np.ndarray, frequency: float | tuple = 10.0) -> np.ndarray:
        where = points * np.asarray(frequency, np.float32) + self.shift
        return map_coordinates(self.lattice, where.T, order=1, mode="grid-wrap")


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """0 at ``low``, 1 at ``high``, smooth between and constant outside; ``low`` may be larger."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def picture_noise(
    rng: np.random.Generator, size: tuple[int, int], cells: int, channels: int = 1
) -> np.ndarray:
    """(H, W, channels) float32 noise in about 0..1 with ``cells`` lumps along the short side."""
    height, width = size
    unit = max(1, min(height, width)) / cells
    rows, columns = max(2, round(height / unit) + 1), max(2, round(width / unit) + 1)
    lattice = rng.random((rows, columns, channels), dtype=np.float32)
    grown = cv2.resize(lattice, (width, height), interpolation=cv2.INTER_CUBIC)
    return grown.reshape(height, width, channels)


def fractal_picture(
    rng: np.random.Generator,
    size: tuple[int, int],
    cells: int,
    octaves: int = 4,
    channels: int = 1,
) -> np.ndarray:
    """(H, W, channels) sum of octaves of ``picture_noise``, amplitude halved each time, 0..1."""
    total = np.zeros((*size, channels), np.float32)
    weight = 0.0
    for octave in range(octaves):
        amplitude = 0.5**octave
        total += amplitude * picture_noise(rng, size, cells * 2**octave, channels)
        weight += amplitude
    return np.clip(total / weight, 0.0, 1.0)
