"""Sparse, symmetric regressors from the final vertices to joints, keypoints and feet."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from ..params import JOINT_PARENTS
from .tpose import JOINT_MIRROR

COCO18 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip
FEET = (
    "left_big_toe", "left_small_toe", "left_heel",
    "right_big_toe", "right_small_toe", "right_heel",
)  # fmt: skip
CANDIDATES = 700  # nearest vertices that a joint may be regressed from


def fit_joint_regressor(
    template: NDArray, shapedirs: NDArray, joints: NDArray, jointdirs: NDArray,
    weights: NDArray, mirror: NDArray,
) -> NDArray:  # fmt: skip
    """(24, V), non-negative, rows sum to 1, exactly symmetric.

    template (V, 3) and joints (24, 3); shapedirs (V, 3, 10) and jointdirs (24, 3, 10) are how both
    change with the betas, which is all that the regressor ever has to reproduce.
    """
    regressor = np.zeros((24, len(template)))
    for joint, mate in enumerate(JOINT_MIRROR):
        if mate < joint:
            regressor[joint, mirror] = regressor[mate]
            continue
        index = _candidates(joint, template, joints[joint], weights)
        rows = [
            (template[index] - joints[joint]).T * 8,
            (shapedirs[index] - jointdirs[joint]).reshape(len(index), 30).T * 2,
            np.full((1, len(index)), 10.0),
            3e-3 * np.eye(len(index)),
        ]
        target = np.concatenate([np.zeros(33), [10.0], np.zeros(len(index))])
        regressor[joint, index] = nnls(np.concatenate(rows), target, maxiter=20000)[0]
        if mate == joint:
            regressor[joint] = (regressor[joint] + regressor[joint][mirror]) / 2
    return _sparse(regressor)


def _sparse(rows: NDArray) -> NDArray:
    """Drop the dust (below 1e-4 of the whole) and let the rows sum to 1 again."""
    rows = np.where(rows > 1e-4 * rows.sum(-1, keepdims=True), rows, 0)
    return rows / rows.sum(-1, keepdims=True)


def _candidates(joint: int, template: NDArray, at: NDArray, weights: NDArray) -> NDArray:
    """The nearest vertices that move with the joint or its parent."""
    group = [joint] + ([JOINT_PARENTS[joint]] if joint else [])
    if joint in (0, 9):  # the hubs also touch what hangs on them
        group += [child for child, parent in enumerate(JOINT_PARENTS) if parent == joint]
    near = np.flatnonzero(weights[:, group].sum(1) > 0.15)
    return near[np.argsort(np.linalg.norm(template[near] - at, axis=1))][:CANDIDATES]


def transfer(row: NDArray, dense: NDArray, kept: NDArray, faces: NDArray) -> NDArray:
    """Move a regressor (V_dense,) onto the kept vertices (V,): each weight goes to the three
    corners of the nearest face, barycentric.

    dense: (V_dense, 3) positions; kept: (V,) indices into dense; faces: (F, 3) into kept.
    """
    points = dense[kept]
    place = {int(vertex): i for i, vertex in enumerate(kept)}
    moved = np.zeros(len(kept))
    for vertex in np.flatnonzero(row):
        if int(vertex) in place:
            moved[place[int(vertex)]] += row[vertex]
            continue
        face, corners = _nearest(dense[vertex], points, faces)
        np.add.at(moved, faces[face], row[vertex] * corners)
    return moved


def _nearest(point: NDArray, points: NDArray, faces: NDArray) -> tuple[int, NDArray]:
    """The face nearest to a point, and the barycentric coordinates of the projection onto it."""
    close = np.flatnonzero(
        np.isin(faces, np.argsort(np.linalg.norm(points - point, axis=1))[:12]).any(1)
    )
    a, b, c = (points[faces[close, corner]] for corner in range(3))
    u, v, w = b - a, c - a, point - a
    uu, uv, vv = (u * u).sum(1), (u * v).sum(1), (v * v).sum(1)
    wu, wv = (w * u).sum(1), (w * v).sum(1)
    area = uu * vv - uv * uv
    second, third = (vv * wu - uv * wv) / area, (uu * wv - uv * wu) / area
    corners = np.stack([1 - second - third, second, third], 1).clip(0)
    corners /= corners.sum(1, keepdims=True)
    reached = corners[:, :1] * a + corners[:, 1:2] * b + corners[:, 2:] * c
    best = int(np.argmin(np.linalg.norm(reached - point, axis=1)))
    return int(close[best]), corners[best]


def keypoint_regressors(
    rows: dict[str, NDArray], dense: NDArray, kept: NDArray, faces: NDArray, mirror: NDArray
) -> tuple[NDArray, NDArray]:
    """COCO-18 (18, V) and feet (6, V) from Anny's dense rows; symmetric, rows sum to 1."""
    moved = {name: _sparse(transfer(row, dense, kept, faces)) for name, row in rows.items()}
    for name in moved:
        if name.startswith("left_"):
            moved[name.replace("left_", "right_")] = moved[name][mirror]
    moved["nose"] = _sparse(moved["nose"] + moved["nose"][mirror])
    # OpenPose has no neck of its own either: it is the middle between the shoulders.
    moved["neck"] = (moved["left_shoulder"] + moved["right_shoulder"]) / 2
    keypoints, feet = (np.stack([moved[name] for name in names]) for names in (COCO18, FEET))
    return keypoints, feet
