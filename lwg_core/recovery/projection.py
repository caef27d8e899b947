"""Keypoints of a posed body: what a detector would report, and POSE_KEYPOINT out of it."""

from __future__ import annotations

import torch
from torch import Tensor

from ..body.model import BodyModel
from ..body.params import JOINT_NAMES, SmplParams
from ..body.rotations import axis_angle_to_matrix
from ..errors import InputError
from .keypoints import BODY_COUNT, KEYPOINT_NAMES
from .kinematics import PosedFrames, fold, forward, positions

# The joint whose rotation carries each keypoint: the knee is at the far end of the hip's bone.
CARRIER = tuple(
    JOINT_NAMES.index(name)
    for name in (
        "head spine3 right_collar right_shoulder right_elbow left_collar left_shoulder left_elbow "
        "pelvis right_hip right_knee pelvis left_hip left_knee head head head head "
        "left_ankle left_ankle left_ankle right_ankle right_ankle right_ankle"
    ).split()
)

# A detector sees a face point while the head's forward axis makes at least the first cosine with
# the direction to the camera, and its left axis one between the other two.
_FACE_SEEN = {
    "nose": (-0.1, -2, 2),
    "right_eye": (-0.1, -2, 0.75),
    "left_eye": (-0.1, -0.75, 2),
    "right_ear": (-2, -2, 0.35),
    "left_ear": (-2, -0.35, 2),
}


def stacked_regressor(body: BodyModel) -> Tensor:
    """(24, V) or, for a body model without foot points, (18, V)."""
    if body.keypoint_regressor is None:
        raise InputError(
            f"body model {body.id!r} has no keypoint regressor, so keypoints cannot be found on it"
        )
    if body.foot_regressor is None:
        return body.keypoint_regressor
    return torch.cat([body.keypoint_regressor, body.foot_regressor])


def project_keypoints(body: BodyModel, params: SmplParams) -> tuple[Tensor, Tensor]:
    """What a detector would report: points (T, K, 2) px and confidence (T, K), 1.0 or 0.0.

    K = 24, or 18 if the body model has no foot points. A point counts as unseen outside the image,
    on a part whose confidence is 0, on the far side of the head, and in frames that are not valid.
    Other parts of the body hide nothing.
    """
    if params.camera is None:
        raise InputError("the parameters have no camera, which keypoints in pixels need")
    if params.body_model is not None and params.body_model != body.id:
        raise InputError(
            f"the parameters belong to body model {params.body_model!r}, not {body.id!r}"
        )
    table = fold(body, stacked_regressor(body), params.pose.dtype)
    betas = params.pose.new_zeros(10) if params.betas is None else params.betas
    betas = betas.to(params.pose.dtype).expand(len(params), 10)
    rotations = axis_angle_to_matrix(params.pose)
    projected = params.camera.project(positions(table, rotations, betas))
    height, width = params.camera.size
    x, y, depth = projected.unbind(-1)
    seen = (x >= 0) & (x < width) & (y >= 0) & (y < height) & params.valid[:, None]
    seen &= depth > params.camera.near
    seen &= params.confidence[:, list(CARRIER[: len(table)])] > 0
    forward_cosine, left_cosine = _head_cosines(params, forward(table, rotations, betas))
    for name, (least, low, high) in _FACE_SEEN.items():
        shown = (forward_cosine > least) & (left_cosine > low) & (left_cosine < high)
        seen[:, KEYPOINT_NAMES.index(name)] &= shown
    return projected[..., :2], seen.to(params.pose.dtype)


def _head_cosines(params: SmplParams, frames: PosedFrames) -> tuple[Tensor, Tensor]:
    """(T,) cosines of the head's forward and left axes with the direction to the camera."""
    head = JOINT_NAMES.index("head")
    translation = params.camera.translation
    if translation is None:
        to_eye = params.pose.new_tensor([0.0, 0.0, -1.0]).expand(len(params), 3)
    else:
        to_eye = -torch.nn.functional.normalize(frames.position[:, head] + translation, dim=-1)
    axes = frames.rotation[:, head]
    return (axes[..., 2] * to_eye).sum(-1), (axes[..., 0] * to_eye).sum(-1)


def to_pose_keypoint(points: Tensor, confidence: Tensor, size: tuple[int, int]) -> list[dict]:
    """POSE_KEYPOINT of points (T, K, 2) px and confidence (T, K), K = 18 or 24; size (h, w).

    All four arrays are always there and the confidence is exactly 1.0 or 0.0: consumers index the
    face and the hands without asking, and some drop any point that is not fully certain.
    """
    frames = []
    for xy, seen in zip(points.tolist(), (confidence > 0).tolist(), strict=True):
        flat = []
        for (x, y), visible in zip(xy, seen, strict=True):
            flat += [x, y, 1.0] if visible else [0.0, 0.0, 0.0]
        person = {
            "pose_keypoints_2d": flat[: 3 * BODY_COUNT],
            "face_keypoints_2d": [0.0] * 210,
            "hand_left_keypoints_2d": [0.0] * 63,
            "hand_right_keypoints_2d": [0.0] * 63,
        }
        if len(flat) > 3 * BODY_COUNT:
            person["foot_keypoints_2d"] = flat[3 * BODY_COUNT :]
        people = [person] if any(seen) else []
        frames.append({"canvas_width": size[1], "canvas_height": size[0], "people": people})
    return frames
