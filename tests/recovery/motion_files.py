"""A known motion to write in other programs' formats, and what reading it back must give."""

from __future__ import annotations

import numpy as np
import torch

from lwg_core.body.params import SmplParams
from lwg_core.body.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from lwg_core.recovery.importers import load_motion_file
from lwg_core.render.camera import Camera

FRAMES = 7
Y_UP = np.diag([1.0, -1.0, -1.0])  # y-up world to camera frame
Z_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # z-up world to camera frame
POINTS = torch.tensor([[0.3, -1.0, 0.2], [-0.8, 0.2, -0.1], [0.0, 0.5, 0.1]], dtype=torch.float64)


def matrices(axis_angle) -> np.ndarray:
    return axis_angle_to_matrix(torch.as_tensor(axis_angle, dtype=torch.float64)).numpy()


def vectors(matrix) -> np.ndarray:
    return matrix_to_axis_angle(torch.as_tensor(matrix, dtype=torch.float64)).numpy()


def known_motion() -> dict[str, np.ndarray]:
    """pose (T, 24, 3) in the camera frame, upright with some yaw; trans (T, 3) in front of it."""
    random = np.random.default_rng(0)
    pose = random.normal(0, 0.4, (FRAMES, 24, 3))
    pose[:, 22:] = 0
    yaw = matrices(np.stack([np.array([0, a, 0]) for a in np.linspace(-1, 2, FRAMES)]))
    sway = matrices(random.normal(0, 0.2, (FRAMES, 3)))
    pose[:, 0] = vectors(Y_UP @ yaw @ sway)
    trans = np.stack(
        [np.linspace(-1, 1.5, FRAMES), np.full(FRAMES, 0.2), np.linspace(4, 6, FRAMES)], 1
    )
    return {"pose": pose, "trans": trans, "betas": random.normal(0, 1, 10)}


def close(params: SmplParams, pose: np.ndarray, limit: float = 1e-5) -> None:
    """Each joint's rotation within ``limit`` radians."""
    got = matrices(params.pose)
    angle = vectors(np.swapaxes(got, -1, -2) @ matrices(pose))
    assert np.linalg.norm(angle, axis=-1).max() <= limit


def same_pixels(camera: Camera, focal, trans, size, middle=None) -> None:
    """The camera projects points as ``focal`` (p + trans) / z + ``middle`` does."""
    height, width = size
    middle = np.array([width / 2, height / 2]) if middle is None else middle
    moved = POINTS.numpy() + np.asarray(trans)[:, None]
    wanted = moved[..., :2] / moved[..., 2:] * np.reshape(focal, (-1, 1, 1)) + middle
    got = camera.project(POINTS.float().expand(len(camera), -1, -1))[..., :2].numpy()
    assert camera.size == size
    assert np.abs(got - wanted).max() < 0.01


def carries(camera: Camera, travel: np.ndarray) -> None:
    """The camera sees a body move by ``travel`` (T, 3), camera axes, since its first frame."""
    moved = camera.translation - camera.translation[:1]
    np.testing.assert_allclose(moved.numpy(), travel - travel[:1], atol=1e-4)


def one(path, **options) -> SmplParams:
    people = load_motion_file(path, **options)
    assert len(people) == 1
    return people[0]
