"""Attention regularisation (L_a of paper sec. 3.5): the mask against the truth, and its smoothness.

Masks are (N, 1, H, W) in 0..1, 1 = background; the paper's attention maps are 1 - mask, which is
all the same to these terms. Where paper and released code differ:
- truth: the paper takes the rendered silhouette of the body, the code a matte of the picture;
- fit: the paper squares the difference, the code takes cross-entropy;
- smoothness: the paper squares the differences of neighbours, the code takes their absolute value.
The paper sums over pixels; here, as in the code, every term is a mean, so that weights do not
depend on the size of the pictures.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def matte_cross_entropy(mask: Tensor, alpha: Tensor) -> Tensor:
    """Mean cross-entropy of a mask to 1 - alpha (the released code's form)."""
    # BCE leaves autocast: it is unsafe in half precision.
    with torch.autocast(mask.device.type, enabled=False):
        return F.binary_cross_entropy(mask.float().clamp(1e-4, 1 - 1e-4), (1 - alpha).float())


def total_variation(mask: Tensor) -> Tensor:
    """Mean absolute difference of neighbours (the released code's form)."""
    return (mask[..., 1:] - mask[..., :-1]).abs().mean() + (
        mask[..., 1:, :] - mask[..., :-1, :]
    ).abs().mean()


def squared_variation(mask: Tensor) -> Tensor:
    """Mean squared difference of neighbours (the paper's TV)."""
    dx, dy = mask[..., 1:] - mask[..., :-1], mask[..., 1:, :] - mask[..., :-1, :]
    return dx.square().mean() + dy.square().mean()


def squared_attention(mask: Tensor, silhouette: Tensor) -> Tensor:
    """The paper's L_a: squared distance to the silhouette (1 = person) and squared variation."""
    return (mask - (1 - silhouette)).square().mean() + squared_variation(mask)
