"""What other packs' body recovery emits, made here of known poses."""

from __future__ import annotations

import numpy as np
import torch

from lwg_core.body.open_body import open_body
from lwg_core.body.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from lwg_core.recovery.payloads.mhr import FROM_MHR70
from lwg_core.recovery.projection import stacked_regressor

SIZE = (480, 640)
FOCAL = 900.0
PLACE = torch.tensor([0.3, -0.2, 4.5])
BETAS = torch.tensor([0.8, -0.6, 0.5, 0, 0.3, 0, 0, 0, 0, 0])


def walk(frames: int, yaw: float = 0.0) -> torch.Tensor:
    """(frames, 24, 3) arms and legs swinging, upright, facing the camera but for ``yaw``."""
    phase = torch.linspace(0, 2.0, frames)
    pose = torch.zeros(frames, 24, 3)
    turn = axis_angle_to_matrix(torch.tensor([0.0, yaw, 0.0]))
    pose[:, 0] = matrix_to_axis_angle(axis_angle_to_matrix(torch.tensor([torch.pi, 0, 0])) @ turn)
    pose[:, 1, 0], pose[:, 2, 0] = 0.4 * phase.sin() - 0.3, -0.4 * phase.sin() - 0.3
    pose[:, 4, 0], pose[:, 5, 0] = 0.5, 0.3 + 0.2 * phase
    pose[:, 16, 2], pose[:, 17, 2] = -0.9, 0.7
    pose[:, 18, 1], pose[:, 19, 1] = -0.8, 0.5 + 0.3 * phase
    return pose


def centred(points: torch.Tensor) -> torch.Tensor:
    return points - points[:, :1]


def joint_error(params, pose: torch.Tensor, betas: torch.Tensor = BETAS) -> float:
    body = open_body()
    found = centred(body.joints(params.pose, params.betas))
    return float((found - centred(body.joints(pose, betas))).norm(dim=-1).mean())


def shuffled() -> tuple[torch.Tensor, np.ndarray]:
    """The open body's vertices in another order, and their faces."""
    body = open_body()
    order = torch.randperm(len(body.v_template), generator=torch.Generator().manual_seed(0))
    back = torch.empty_like(order).scatter_(0, order, torch.arange(len(order)))
    return order, back[body.faces].numpy()


def mhr_person(pose: torch.Tensor, order: torch.Tensor, place: torch.Tensor = PLACE) -> dict:
    """One frame (1, 24, 3) as the network would say it: origin at the feet, y down."""
    body = open_body()
    vertices = body.vertices(pose, BETAS)[0]
    feet = torch.tensor([0.0, 1.1, 0.0])
    points = stacked_regressor(body)[:24] @ vertices - feet
    keypoints = torch.zeros(70, 3)
    for row, index in enumerate(FROM_MHR70):
        if index is not None:
            keypoints[index] = points[row]
    moved = keypoints + place + feet
    pixels = moved[:, :2] / moved[:, 2:] * FOCAL + torch.tensor([SIZE[1] / 2, SIZE[0] / 2])
    low, high = pixels[:21].amin(0), pixels[:21].amax(0)
    return {
        "bbox": torch.cat([low, high]).numpy(),
        "focal_length": np.float32(FOCAL),
        "pred_vertices": (vertices - feet)[order].numpy(),
        "pred_keypoints_3d": keypoints.numpy(),
        "pred_keypoints_2d": pixels.numpy(),
        "pred_cam_t": (place + feet).numpy(),
        "mask": None,
        "pred_face_keypoints_3d": None,
    }


def mhr_payload(frames: list, faces: np.ndarray | None) -> dict:
    return {
        "frames": frames,
        "faces": faces,
        "image_size": SIZE,
        "canonical_colors": None,
        "hand_vert_mask": None,
    }
