"""A painted person: texture is a function of the rest surface, so the truth of any pose renders."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from lwg_core.body.open_body import open_body
from lwg_core.body.params import SmplParams
from lwg_core.body.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from lwg_core.flow.source import Source
from lwg_core.render.camera import Camera
from lwg_core.render.raster import interpolate, rasterize

JOINTS = {"left_shoulder": 16, "right_shoulder": 17, "left_elbow": 18}
BACKGROUND = -0.5


class Studio:
    """Makes poses, cameras, pictures and sources of the open body."""

    def __init__(self) -> None:
        self.body = open_body()
        code = self.body.correspondence_code()
        waves = torch.sin(code * 9 + torch.tensor([0.0, 1.0, 2.0]))
        self.paint = (0.6 * waves + 0.2).clamp(-1, 1)

    def pose(self, yaw: float = 0.0, arms: float = 60.0, **joints) -> torch.Tensor:
        """(24, 3): facing the camera, turned by ``yaw`` and arms lowered by ``arms`` degrees."""
        pose = torch.zeros(24, 3)
        pose[JOINTS["left_shoulder"], 2] = -math.radians(arms)
        pose[JOINTS["right_shoulder"], 2] = math.radians(arms)
        for name, value in joints.items():
            pose[JOINTS[name]] = torch.tensor(value)
        upright = axis_angle_to_matrix(torch.tensor([math.pi, 0.0, 0.0]))
        turn = axis_angle_to_matrix(torch.tensor([0.0, math.radians(yaw), 0.0]))
        pose[0] = matrix_to_axis_angle(upright @ turn)
        return pose

    def camera(self, size: tuple[int, int], frames: int = 1, focal: float | None = None) -> Camera:
        height, width = size
        scale = torch.full((frames,), min(height, width * 1.2) * 0.85 / 1.75)
        center = torch.tensor([[width * 0.5, height * 0.5]]) + torch.tensor([0.0, 0.1]) * scale[0]
        lens = None if focal is None else torch.full((frames,), focal)
        return Camera(scale, center.repeat(frames, 1), size, lens)

    def params(self, poses: torch.Tensor, size: tuple[int, int], focal=None) -> SmplParams:
        camera = self.camera(size, len(poses), focal)
        return SmplParams(poses, torch.zeros(10), self.body.id, camera)

    def render(self, params: SmplParams, paint=None) -> tuple[torch.Tensor, torch.Tensor]:
        """Pictures (T, 3, H, W) and mattes (T, 1, H, W), twice supersampled."""
        height, width = params.camera.size
        camera = params.camera.resize((2 * height, 2 * width))
        vertices = self.body.vertices(params.pose, params.betas)
        raster = rasterize(camera.project(vertices), self.body.faces, camera.size)
        paint = self.paint if paint is None else paint
        layers = torch.cat([paint, torch.ones(len(paint), 1)], 1)
        drawn = interpolate(raster, layers, self.body.faces).permute(0, 3, 1, 2)
        drawn = F.avg_pool2d(drawn, 2)
        return drawn[:, :3] + BACKGROUND * (1 - drawn[:, 3:]), drawn[:, 3:]

    def source(self, pose: torch.Tensor, size=(128, 128), paint=None, focal=None) -> Source:
        params = self.params(pose[None], size, focal)
        image, matte = self.render(params, paint)
        return Source(image[0], params, matte[0])


@pytest.fixture(scope="session")
def studio() -> Studio:
    return Studio()
