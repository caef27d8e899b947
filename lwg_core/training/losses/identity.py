"""Face-identity loss (L_f of paper sec. 3.5) by SphereFace's network on crops of the head."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ...networks.discriminator import resized_crops
from ...networks.sphere20a import FACE_SIZE, Sphere20a, build_sphere20a
from ...weights import read_state_dict
from .perceptual import feature_distance


class IdentityLoss(nn.Module):
    """Mean absolute difference of Sphere20a's four stages and embedding.

    As in the released code, faces are not aligned: the head's rectangle is resized to 112 x 96. The
    paper compares embeddings alone.
    """

    def __init__(self, network: Sphere20a) -> None:
        super().__init__()
        self.network = network

    def forward(self, prediction: Tensor, truth: Tensor, heads: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) and rectangles x0, x1, y0, y1 (N, 4) -> scalar.

        Only the prediction gets a gradient. Empty rectangles do not count; without others it is 0.
        """
        faces = resized_crops(prediction, heads, FACE_SIZE)
        if faces is None:
            return prediction.new_zeros(())
        with torch.no_grad():
            expected = self.network(resized_crops(truth, heads, FACE_SIZE))
        return feature_distance(self.network(faces), expected)


def load_identity(path: str | Path) -> IdentityLoss:
    """The loss with the weights of ``sphere20a_20171020.pth``, or a .safetensors of them."""
    state_dict, _ = read_state_dict(path)
    return IdentityLoss(build_sphere20a(state_dict, Path(path).name))
