"""Poses and cameras of one person's pictures."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..render.camera import Camera
from .motions import turned
from .poses import random_pose

# How often each kind of pose is drawn after the front and the back view.
POSE_SHARES = {
    "a_pose": 6, "stand": 10, "walk": 14, "run": 6, "dance": 14, "reach": 9, "kick": 6,
    "crouch": 5, "squat": 4, "turn": 6, "hands_on_hips": 5, "crossed_arms": 2, "wave": 5,
    "sit": 3, "jump": 4, "lean": 4, "free": 8,
}  # fmt: skip


def random_poses(rng: np.random.Generator, count: int) -> Tensor:
    """(count, 24, 3): first an A-pose from the front, then one from the back, then all kinds from
    all sides (55 % within 60 degrees of the front), slightly tilted."""
    kinds = list(POSE_SHARES)
    shares = np.array(list(POSE_SHARES.values())) / sum(POSE_SHARES.values())
    poses = []
    for number in range(count):
        if number < 2:
            kind, yaw = "a_pose", 180.0 * number + rng.uniform(-15, 15)
        else:
            kind = kinds[rng.choice(len(kinds), p=shares)]
            yaw = rng.uniform(-60, 60) if rng.random() < 0.55 else rng.uniform(-180, 180)
        pose = random_pose(rng, kind)
        poses.append(turned(pose, yaw, rng.uniform(-10, 8), rng.normal(0, 2)))
    return torch.from_numpy(np.stack(poses)).float()


def frame_people(
    vertices: Tensor, rng: np.random.Generator, size: int, cut_feet: bool = True
) -> Camera:
    """Cameras that put posed vertices (T, N, 3) into square pictures of ``size`` px.

    The person takes 84 to 97 % of the frame: in every picture, or in the widest one with the
    others at the same scale. One time in twelve the feet are cut off a little (``cut_feet``). Half
    of the people are seen in weak perspective, half by a pinhole 3 to 8 m away.
    """
    frames = len(vertices)
    share = torch.from_numpy(rng.uniform(0.84, 0.97, frames)).float()
    distance = float(rng.uniform(3, 8)) if rng.random() < 0.5 else None
    same_scale = rng.random() < 0.4
    wiggle = torch.from_numpy(rng.uniform(-0.5, 0.5, (frames, 2))).float()
    cut = (rng.random(frames) < cut_feet / 12) * rng.uniform(0.02, 0.06, frames)
    cut = torch.from_numpy(cut).float()

    middle = torch.full((frames, 2), size / 2.0)
    camera = _camera(middle[:, 0], middle, size, distance)
    for _ in range(4):
        points = camera.project(vertices)[..., :2]
        low, high = points.amin(1), points.amax(1)
        extent = (high - low).amax(1)
        scale = camera.scale * share * size / extent
        if same_scale:
            scale = scale.min().expand(frames)
        grown = scale / camera.scale
        free = (size - (high - low) * grown[:, None]).clamp(min=0)
        wanted = size / 2 + wiggle * free * 0.6
        wanted[:, 1] = torch.where(
            cut > 0, size * (1 + cut) - (high - low)[:, 1] * grown / 2, wanted[:, 1]
        )
        middle = (low + high) / 2
        center = wanted + (camera.center - middle) * grown[:, None]
        camera = _camera(scale, center, size, distance)
    return camera


def _camera(scale: Tensor, center: Tensor, size: int, distance: float | None) -> Camera:
    focal = None if distance is None else scale * distance
    return Camera(scale.contiguous(), center.contiguous(), (size, size), focal)
