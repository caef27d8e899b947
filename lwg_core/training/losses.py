"""Training losses (paper sec. 3.5) for which no other network is needed.

The paper adds a perceptual (VGG19) and a face-identity (Sphere20a) term; both need files that this
project does not ship. A gradient-weighted image pyramid and SSIM stand in their place.
Images are (N, 3, H, W) in [-1, 1], masks (N, 1, H, W) with 1 = background.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms of :func:`generator_loss`."""

    pyramid: float = 1.0
    structure: float = 0.3
    matte: float = 0.6
    smoothness: float = 0.01
    colour: float = 0.3


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


def total_variation(mask: Tensor) -> Tensor:
    """Mean absolute difference of neighbours (attention regularisation, paper eq. for L_att)."""
    return (mask[..., 1:] - mask[..., :-1]).abs().mean() + (
        mask[..., 1:, :] - mask[..., :-1, :]
    ).abs().mean()


def generator_loss(
    colour: Tensor,
    mask: Tensor,
    image: Tensor,
    alpha: Tensor,
    background: Tensor,
    emphasis: Tensor,
    weights: LossWeights | None = None,
) -> Tensor:
    """Loss of one batch of targets.

    colour, mask: what the generator answers. image: the true composite. alpha: (N, 1, H, W) true
    matte, 1 = person. background: the true background. emphasis: (N, 1, H, W) >= 0, extra weight
    of pixels that matter more (faces).
    """
    weights = weights or LossWeights()
    composite = mask * background + (1 - mask) * colour
    weight = 1 + 4 * F.max_pool2d(alpha, 9, 1, 4) + emphasis
    # BCE leaves autocast: it is unsafe in half precision.
    with torch.autocast(mask.device.type, enabled=False):
        matte = F.binary_cross_entropy(mask.float().clamp(1e-4, 1 - 1e-4), (1 - alpha).float())
    return (
        ((composite - image).abs() * weight).mean()
        + weights.pyramid * pyramid_l1(composite, image, weight)
        + weights.structure * structural_dissimilarity(composite, image)
        + weights.matte * matte
        + weights.smoothness * total_variation(mask)
        + weights.colour * ((colour - image).abs() * alpha).mean()
    )
