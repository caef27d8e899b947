"""The whole distillation: samples in, the arrays of the asset file out."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from .decimate import decimate
from .half_mesh import close_mouth, left_half, mouth_loop
from .labels import part_labels, vertex_mask
from .pack import sparse_rows, strongest_weights, symmetric
from .regressors import fit_joint_regressor, keypoint_regressors
from .sampling import Samples
from .shape_basis import coefficients, shape_directions
from .smoothing import smooth_crotch
from .tpose import joint_of_bone, to_tpose

logger = logging.getLogger(__name__)

MOUTH_DEPTH = 0.002  # metres by which the closed mouth lies behind the corners of the lips
FACE_IMPORTANCE, FOOT_IMPORTANCE = 2.0, 0.8  # edge lengths count that much in the decimation


def distill(samples: Samples, vertices: int) -> dict[str, NDArray]:
    """Arrays of open_body.safetensors."""
    posed, joints = to_tpose(samples)
    onto_joints = np.eye(24)[[joint_of_bone(bone) for bone in samples.bones]]
    half = left_half(posed.mean(0), samples.body.quads, samples.quads_uv, samples.body.mirror)
    faces, _ = half.complete()
    mouth = mouth_loop(faces, half.mirror)
    half, uv = close_mouth(half, mouth, samples.uv)

    dense, weights = smooth_crotch(
        posed, samples.body.weights @ onto_joints, faces, joints.mean(0)[1]
    )
    inside = dense[:, mouth].mean(1, keepdims=True)
    inside[..., 2] += dense[:, mouth, 2].mean(0).min() - inside[..., 2].mean() - MOUTH_DEPTH
    dense = np.concatenate([dense, inside], 1)
    weights = np.concatenate([weights, weights[mouth].mean(0, keepdims=True)])
    faces, _ = half.complete()
    betas = coefficients(dense, faces, samples.phenotypes)

    mean = dense.mean(0)
    normals = face_normals_at_vertices(mean, faces)
    segments = {
        name: vertex_mask(samples.body.quads, mask, len(mean))
        for name, mask in samples.segments.items()
    }
    head = segments["head"] | segments["eye_front.L"] | segments["eye_front.R"]
    importance = np.ones(len(mean))
    importance[head & (mean[:, 2] > joints.mean(0)[15, 2] + 0.05)] = FACE_IMPORTANCE
    importance[segments["foot.L"] | segments["foot.R"]] = FOOT_IMPORTANCE
    half = decimate(half, mean, normals, importance, vertices)
    faces, faces_uv = half.complete()
    kept, faces = np.unique(faces, return_inverse=True)
    used_uv, faces_uv = np.unique(faces_uv, return_inverse=True)
    faces, faces_uv = faces.reshape(-1, 3), faces_uv.reshape(-1, 3)
    mirror = np.searchsorted(kept, half.mirror[kept])

    template = symmetric(mean[kept], mirror)
    shapedirs = symmetric(shape_directions(betas, dense[:, kept]), mirror)
    values, indices = strongest_weights(weights[kept], mirror)
    jointdirs = shape_directions(betas, joints)
    regressor = fit_joint_regressor(
        template, shapedirs, joints.mean(0), jointdirs, weights[kept], mirror
    )
    keypoints, feet = keypoint_regressors(
        {name: np.append(row, 0) for name, row in samples.keypoints.items()},
        mean, kept, faces, mirror,
    )  # fmt: skip
    parts = part_labels(template, weights[kept], head[kept], joints.mean(0), normals[kept])
    _report(dense[:, kept], template, shapedirs, betas, regressor, joints)
    arrays = {
        "v_template": template.astype(np.float32),
        "shapedirs": shapedirs.astype(np.float16),
        "weights": values,
        "weights_joint": indices,
        "faces": faces.astype(np.uint16),
        "uv": np.round(uv[used_uv] * 65535).astype(np.uint16),
        "faces_uv": faces_uv.astype(np.uint16),
        "parts": parts,
        "mirror": mirror.astype(np.uint16),
    }
    regressors = {"joints": regressor, "keypoints": keypoints, "feet": feet}
    for name, matrix in regressors.items():
        arrays[f"{name}_index"], arrays[f"{name}_value"] = sparse_rows(matrix)
    return arrays


def face_normals_at_vertices(points: NDArray, faces: NDArray) -> NDArray:
    """Area-weighted unit normals (V, 3)."""
    a, b, c = (points[faces[:, corner]] for corner in range(3))
    total = np.zeros_like(points)
    for corner in range(3):
        np.add.at(total, faces[:, corner], np.cross(b - a, c - a))
    return total / np.linalg.norm(total, axis=1, keepdims=True).clip(1e-12)


def _report(vertices, template, shapedirs, betas, regressor, joints) -> None:
    """Log how well the basis and the regressor explain the samples, in millimetres."""
    rebuilt = template + np.einsum("vck,nk->nvc", shapedirs, betas)
    shape = np.linalg.norm(rebuilt - vertices, axis=-1) * 1e3
    logger.info("shape basis: mean %.2f, p95 %.2f mm", shape.mean(), np.percentile(shape, 95))
    mean = np.linalg.norm(regressor @ template - joints.mean(0), axis=-1) * 1e3
    found = np.einsum("jv,nvc->njc", regressor, rebuilt)
    error = np.linalg.norm(found - joints, axis=-1).mean(0) * 1e3
    logger.info("joints of the template: worst %.3f mm", mean.max())
    logger.info("joints of the samples, mean error per joint in mm: %s", error.round(1))
