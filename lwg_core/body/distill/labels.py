"""Part labels of the vertices, and how much the decimation should spare them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..model import PART_NAMES
from ..params import JOINT_NAMES

_PART_OF_LIMB = {
    "shoulder": "arm", "elbow": "arm", "wrist": "hand", "hand": "hand",
    "hip": "leg", "knee": "leg", "ankle": "foot", "foot": "foot",
}  # fmt: skip


def vertex_mask(quads: NDArray, selected: NDArray, count: int) -> NDArray:
    """(V,) bool: vertices of the selected quads."""
    mask = np.zeros(count, bool)
    mask[quads[selected].ravel()] = True
    return mask


def part_labels(
    points: NDArray, weights: NDArray, head: NDArray, joints: NDArray, normals: NDArray
) -> NDArray:
    """(V,) uint8 into PART_NAMES, by the joint that holds a vertex most.

    points: (V, 3) T-pose. weights: (V, 24). head: (V,) bool. joints: (24, 3). normals: (V, 3).
    """
    labels = np.full(len(points), PART_NAMES.index("torso"), np.uint8)
    strongest = weights.argmax(1)
    for joint, name in enumerate(JOINT_NAMES):
        side, _, limb = name.partition("_")
        if limb in _PART_OF_LIMB:
            labels[strongest == joint] = PART_NAMES.index(f"{side}_{_PART_OF_LIMB[limb]}")
    neck, skull = joints[JOINT_NAMES.index("neck")], joints[JOINT_NAMES.index("head")]
    upper_neck = (strongest == JOINT_NAMES.index("neck")) & (points[:, 1] > (neck + skull)[1] / 2)
    labels[head | upper_neck | (strongest == JOINT_NAMES.index("head"))] = PART_NAMES.index("head")
    labels[head & face_area(points, head, normals)] = PART_NAMES.index("face")
    return labels


def face_area(points: NDArray, head: NDArray, normals: NDArray) -> NDArray:
    """(V,) bool: the front of the head, from the chin to the hairline and to before the ears."""
    low, high = points[head].min(0), points[head].max(0)
    x, y, z = ((points - low) / (high - low)).T
    front = z > 0.55 + 0.35 * np.clip(y - 0.70, 0, None)
    return front & (y > 0.02) & (y < 0.80) & (np.abs(x - 0.5) < 0.42) & (normals[:, 2] > -0.2)
