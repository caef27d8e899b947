"""A regressor of the official layout, small and with made-up weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lwg_core.recovery.regressor.network import Regressor, RegressorConfig

TINY = RegressorConfig(width=4, blocks=(1, 2, 1, 1), hidden=16)


def tiny_regressor() -> Regressor:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = Regressor(TINY)
    model.init_pose.copy_(torch.tensor([[1.0, 0, 0, 1, 0, 0] * 24]))
    model.init_cam.copy_(torch.tensor([[0.9, 0, 0]]))
    return model.eval()


def state_of(model: Regressor) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in model.state_dict().items()}


def some_pose(count: int = 1, seed: int = 0, spread: float = 0.25) -> Tensor:
    """Upright people who face the camera, a little bent."""
    generator = torch.Generator().manual_seed(seed)
    pose = spread * torch.randn(count, 24, 3, generator=generator)
    pose[:, 0] = torch.tensor([math.pi, 0.0, 0.0])
    return pose
