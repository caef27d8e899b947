"""Perceptual loss (L_p of paper sec. 3.5; Johnson et al., 2016) by VGG-19, and a substitute."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...networks.vgg import VGG19, build_vgg19
from ...weights import read_state_dict
from .pictures import pyramid_l1, structural_dissimilarity

SIZE = 224  # px, what VGG-19 was trained on
LAYER_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)  # shallow to deep


class PerceptualLoss(nn.Module):
    """Mean absolute difference of VGG-19's features after the first ReLU of each block.

    As in the released code, pictures go in as they are, in [-1, 1], without the mean and deviation
    of ImageNet that VGG-19 was trained with, and bilinearly resized to 224 px.
    """

    def __init__(self, network: VGG19) -> None:
        super().__init__()
        self.network = network

    def forward(self, prediction: Tensor, truth: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) -> scalar. Only the prediction gets a gradient."""
        with torch.no_grad():
            expected = self.network(resized(truth))
        return feature_distance(self.network(resized(prediction)), expected)


def resized(images: Tensor) -> Tensor:
    return F.interpolate(images, (SIZE, SIZE), mode="bilinear", align_corners=True)


def feature_distance(found: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> Tensor:
    """L1 of five results, shallow to deep, deeper ones weighted more."""
    terms = (
        weight * (x - y).abs().mean()
        for weight, x, y in zip(LAYER_WEIGHTS, found, expected, strict=True)
    )
    return sum(terms, start=found[0].new_zeros(()))


def load_perceptual(path: str | Path) -> PerceptualLoss:
    """The loss with the weights of torchvision's VGG-19 file, .pth or .safetensors."""
    state_dict, _ = read_state_dict(path)
    return PerceptualLoss(build_vgg19(state_dict, Path(path).name))


def perceptual_substitute(prediction: Tensor, truth: Tensor) -> Tensor:
    """What stands in for the perceptual loss where VGG-19's file is not there.

    L1 of colours and gradients over a pyramid, which sees edges and textures at four scales, and
    1 - SSIM, which compares local contrast instead of absolute colours. It knows nothing about what
    is pictured, and its scale is not that of VGG-19's features: a weight tuned for one is not the
    other's.
    """
    one = torch.ones_like(prediction[:, :1])
    return pyramid_l1(prediction, truth, one) + structural_dissimilarity(prediction, truth)
