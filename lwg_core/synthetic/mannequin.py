"""What the tailor needs to know about a body: landmarks of its template, neighbours, head mask.

All landmarks are in the template's T-pose (metres, y up, facing +z, x = the person's left). Those
of the face hang on the eye keypoints, so they hold for any body with COCO-18 keypoints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_matrix, diags

from ..body.model import PART_NAMES, BodyModel
from ..body.rotations import axis_angle_to_matrix
from .motions import INDEX


@dataclass(frozen=True)
class Landmarks:
    """Template coordinates in metres; x is always that of the left side (positive)."""

    shoulder: np.ndarray
    elbow: np.ndarray
    wrist: np.ndarray
    hip: np.ndarray
    knee: np.ndarray
    ankle: np.ndarray
    foot: np.ndarray
    pelvis: np.ndarray
    chest: np.ndarray
    neck: np.ndarray
    eye: np.ndarray
    unit: float
    floor: float
    crotch: float

    @property
    def waist(self) -> float:
        """Height at which trousers and skirts begin."""
        return float(self.pelvis[1]) + 0.045

    def arm_x(self, share: float) -> float:
        """x of a point along the arm: 0 = shoulder, 1 = wrist."""
        return float(self.shoulder[0] + share * (self.wrist[0] - self.shoulder[0]))

    def leg_y(self, share: float) -> float:
        """y of a point along the leg: 0 = crotch, 1 = ankle."""
        return float(self.crotch + share * (self.ankle[1] - self.crotch))


@dataclass(frozen=True)
class Mannequin:
    """A body model with what clothes are cut on.

    template, normals: (V, 3) rest positions and smooth rest normals. faces: (F, 3). head: (V,) 1
    on head and face, 0 elsewhere. spread: (V, V) averages over neighbours.
    """

    body: BodyModel
    marks: Landmarks
    template: np.ndarray
    normals: np.ndarray
    faces: np.ndarray
    weights: np.ndarray
    head: np.ndarray
    spread: csr_matrix

    def smooth(self, values: np.ndarray, rounds: int) -> np.ndarray:
        """(V,) values mixed with their neighbours' ``rounds`` times."""
        for _ in range(rounds):
            values = 0.55 * values + 0.45 * (self.spread @ values)
        return values


def make_mannequin(body: BodyModel) -> Mannequin:
    """Measures a body that has parts and COCO-18 keypoints."""
    template = body.v_template.numpy()
    faces = body.faces.numpy()
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.concatenate([edges, edges[:, ::-1]])
    count = len(template)
    ones = np.ones(len(edges), np.float32)
    links = csr_matrix((ones, (edges[:, 0], edges[:, 1])), shape=(count, count))
    spread = diags(1.0 / np.asarray(links.sum(1)).ravel()) @ links
    parts = body.parts.numpy()
    head = np.isin(parts, [PART_NAMES.index("head"), PART_NAMES.index("face")])
    return Mannequin(
        body=body,
        marks=_landmarks(body, template),
        template=template,
        normals=body.rest_normals().numpy(),
        faces=faces,
        weights=body.weights.numpy(),
        head=head.astype(np.float32),
        spread=spread.astype(np.float32),
    )


def _landmarks(body: BodyModel, template: np.ndarray) -> Landmarks:
    joints = (body.joint_regressor @ body.v_template).numpy()
    points = (body.keypoint_regressor @ body.v_template).numpy()
    eye = (points[15] + points[14] * (-1, 1, 1)) / 2
    middle = np.abs(template[:, 0]) < 0.004
    below = template[middle & (template[:, 1] < joints[0, 1]), 1]
    return Landmarks(
        **{n: joints[INDEX[f"left_{n}"]] for n in ("shoulder", "elbow", "wrist", "hip", "knee")},
        ankle=joints[INDEX["left_ankle"]],
        foot=joints[INDEX["left_foot"]],
        pelvis=joints[0],
        chest=joints[INDEX["spine3"]],
        neck=joints[INDEX["neck"]],
        eye=eye,
        unit=float(eye[0] / 0.03),
        floor=float(template[:, 1].min()),
        crotch=float(below.min()),
    )


def posed_transforms(
    body: BodyModel, pose: torch.Tensor, betas: torch.Tensor
) -> tuple[np.ndarray, np.ndarray]:
    """Skinning transforms of poses (T, 24, 3): rotations (T, 24, 3, 3), translations (T, 24, 3)."""
    rest = body.joints_rest(betas[None])[0].numpy()
    placed = body.joints(pose, betas).numpy()
    local = axis_angle_to_matrix(pose).numpy()
    turned = [local[:, 0]]
    for joint in range(1, 24):
        turned.append(turned[body.parents[joint]] @ local[:, joint])
    turns = np.stack(turned, 1)
    return turns, placed - np.einsum("tjab,jb->tja", turns, rest)
