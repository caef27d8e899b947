"""Losses between pictures that need no network. Images are (N, 3, H, W) in [-1, 1]."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def pyramid_l1(prediction: Tensor, truth: Tensor, weight: Tensor, levels: int = 4) -> Tensor:
    """L1 of pixels and of their gradients over an average-pooled pyramid, weighted per pixel."""
    total = prediction.new_zeros(())
    for level in range(levels):
        difference = prediction - truth
        total = total + (difference.abs() * weight).mean()
        dx = difference[..., 1:] - difference[..., :-1]
        dy = difference[..., 1:, :] - difference[..., :-1, :]
        total = total + (dx.abs() * weight[..., 1:]).mean() + (dy.abs() * weight[..., 1:, :]).mean()
        if level + 1 < levels:
            prediction, truth, weight = (F.avg_pool2d(t, 2) for t in (prediction, truth, weight))
    return total / levels


def structural_dissimilarity(prediction: Tensor, truth: Tensor, window: int = 7) -> Tensor:
    """1 - SSIM (Wang et al. 2004) over the uniform windows inside the images, in [-1, 1]."""
    x, y = (prediction + 1) / 2, (truth + 1) / 2

    def mean(t: Tensor) -> Tensor:
        return F.avg_pool2d(t, window, 1)

    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    ssim = (2 * mx * my + c1) * (2 * cov + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    return 1 - ssim.mean()
