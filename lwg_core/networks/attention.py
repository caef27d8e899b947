"""The Attentional Liquid Warping Block (paper section 3.3) and the warp that feeds it.

Notable decisions
- Two facts make the number of convolutions independent of the number of sources, exactly.
  Logits are q.k_s with k_s = W_k w_s + b_k (w_s: the warped feature of source s). q.b_k is the
  same for every source, so the softmax over sources drops it: the key bias has no effect. What
  remains is (W_k^T q).w_s: the key convolution moves to the query. And since the weights alpha sum
  to one, sum alpha_s (W_v w_s + b_v) = W_v (sum alpha_s w_s) + b_v: one value convolution, after
  the mix.
- With a single source alpha is 1: query and key are not evaluated.
- Pixels that no source covers warp to zero and still take part in the softmax, as officially.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .blocks import conv3x3, conv_together, like_input

SENTINEL = -2.0


def resize_flow(flow: Tensor, height: int, width: int) -> Tensor:
    """Flow of another resolution: (N, H, W, 2) -> (N, height, width, 2), bilinear.

    The sentinels -2 blend with their neighbours along silhouettes; the official weights know it so.
    """
    flow = rearrange(flow, "n h w c -> n c h w")
    flow = F.interpolate(flow, size=(height, width), mode="bilinear", align_corners=True)
    return rearrange(flow, "n c h w -> n h w c")


def pool_flow(flow: Tensor, height: int, width: int) -> Tensor:
    """Flow of a smaller resolution for our own weights: (N, H, W, 2) -> (N, height, width, 2).

    The mean of the valid coordinates under each pixel, -2 where fewer than a quarter are valid. No
    sentinel blends in and nothing shifts, so the result does not depend on where a crop begins.
    """
    flow = rearrange(flow, "n h w c -> n c h w")
    valid = (flow > SENTINEL).all(1, keepdim=True).to(flow.dtype)
    share = F.adaptive_avg_pool2d(valid, (height, width))
    mean = F.adaptive_avg_pool2d(flow * valid, (height, width)) / share.clamp(min=1e-6)
    pooled = torch.where(share >= 0.25, mean, torch.full_like(mean, SENTINEL))
    return rearrange(pooled, "n c h w -> n h w c")


def warp_features(features: Tensor, flow: Tensor) -> Tensor:
    """Source features seen from the targets: zeros where the flow leaves the source.

    features: (B, S, C, h, w); flow: (B, T, S, H, W, 2) in [-1, 1] with edges at +-1.
    Returns (B*T, S, C, H, W). Coordinates are never half precision: it would move
    them by pixels.
    """
    batch, frames, sources = flow.shape[:3]
    # The frames are stacked along the height, so that no source is repeated for them.
    grid = rearrange(flow, "b t s h w c -> (b s) (t h) w c")
    exact = torch.promote_types(features.dtype, torch.float32)
    warped = F.grid_sample(features.flatten(0, 1).to(exact), grid.to(exact), align_corners=False)
    return rearrange(
        warped.to(features.dtype), "(b s) c (t h) w -> (b t) s c h w", b=batch, t=frames
    )


class Spade(nn.Module):
    """Spatially adaptive denormalisation: the fused source feature scales and shifts norm(x)."""

    def __init__(self, channels: int, hidden: int, operations) -> None:
        super().__init__()
        self.mlp_shared = nn.Sequential(
            conv3x3(channels, hidden, operations), nn.ReLU(inplace=True)
        )
        self.mlp_gamma = conv3x3(hidden, channels, operations)
        self.mlp_beta = conv3x3(hidden, channels, operations)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x, condition: (N, C, H, W) -> (N, C, H, W)."""
        gamma, beta = conv_together(self.mlp_shared(condition), (self.mlp_gamma, self.mlp_beta))
        return F.instance_norm(x) * (1 + gamma) + beta


class AttLWB(nn.Module):
    """Fuses the warped features of any number of sources into the target stream."""

    def __init__(self, channels: int, hidden: int, operations, *, key_conv: bool = True) -> None:
        super().__init__()
        self.fq = operations.Conv2d(channels, channels, 1)
        self.fk = operations.Conv2d(channels, channels, 1) if key_conv else None
        self.fv = operations.Conv2d(channels, channels, 1)
        self.spade = Spade(channels, hidden, operations)

    def forward(self, x: Tensor, warped: Tensor) -> Tensor:
        """x: (N, C, H, W) target features; warped: (N, S, C, H, W). Returns (N, C, H, W)."""
        return self.spade(x, self.fv(self.fuse(x, warped)))

    def fuse(self, x: Tensor, warped: Tensor) -> Tensor:
        """The attention-weighted mean of the warped features, before the value conv."""
        if warped.shape[1] == 1:
            return warped[:, 0]
        query = self.fq(x)
        if self.fk is not None:
            query = F.conv2d(query, like_input(self.fk.weight, query).transpose(0, 1))
        logits = (warped * query[:, None]).sum(2, keepdim=True) / query.shape[1] ** 0.5
        alpha = logits.softmax(dim=1).to(warped.dtype)
        return (warped * alpha).sum(1)
