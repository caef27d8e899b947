"""The warp that feeds the attention: what each target pixel sees of the sources' features.

The flow shrinks to the size of each feature map; then the maps are warped whole, or only the pairs
of target pixel and source that see something are listed (``pairs``).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from .pairs import ListedFeatures, feature_table, list_pairs

SENTINEL = -2.0


def resize_flow(flow: Tensor, height: int, width: int) -> Tensor:
    """Flow of another resolution: (N, H, W, 2) -> (N, height, width, 2), bilinear.

    The sentinels -2 blend with their neighbours along silhouettes; the official weights know it so.
    """
    flow = rearrange(flow, "n h w c -> n c h w")
    flow = F.interpolate(flow, size=(height, width), mode="bilinear", align_corners=True)
    return rearrange(flow, "n c h w -> n h w c")


def pool_flows(flow: Tensor, stages: int) -> list[Tensor]:
    """Flow for our own weights at 1/2, 1/4, ... of the size: (N, H, W, 2) -> (N, H/2, W/2, 2), ...

    The mean of the valid coordinates under each pixel, -2 where fewer than a quarter are valid. No
    sentinel blends in and nothing shifts, so the result does not depend on where a crop begins.
    """
    x, y = flow.unbind(-1)
    valid = ((x > SENTINEL) & (y > SENTINEL)).to(flow.dtype)
    sums = [x * valid, y * valid, valid]
    pooled = []
    for stage in range(stages):
        # Shifted sums of planes: five times faster than pooling on a CPU.
        sums = [plane[:, 0::2] + plane[:, 1::2] for plane in sums]
        sums = [plane[..., 0::2] + plane[..., 1::2] for plane in sums]
        *coordinates, count = sums
        mean = torch.stack(coordinates, -1) / count.clamp(min=1)[..., None]
        pooled.append(torch.where((count >= 4**stage)[..., None], mean, SENTINEL))
    return pooled


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


def warp_in_turn(
    features: list[Tensor], flow: Tensor, stages: int, official: bool
) -> Iterator[Tensor | ListedFeatures]:
    """What the targets see of each feature map (B, S, c, h, w) through flow (B, T, S, H, W, 2).

    Warped whole to (B*T, S, c, h', w'), or listed. h', w': of the target stream, which may be
    larger or smaller than the sources. The first ``stages`` maps belong to 1/2, 1/4, ... of the
    size, the others to the smallest. official: the flow shrinks as the official weights know it.
    """
    size = flow.shape[:3]
    height, width = flow.shape[3:5]
    full = flow.flatten(0, 2).float()
    if official:
        halvings = range(1, stages + 1)
        flows = [resize_flow(full, height // 2**n, width // 2**n) for n in halvings]
    else:
        flows = pool_flows(full, stages)
    flows = [shrunk.unflatten(0, size) for shrunk in flows]
    if not lists_pairs():
        for index, feature in enumerate(features):
            yield warp_features(feature, flows[min(index, stages - 1)])
        return
    blocks = ()
    for index, feature in enumerate(features):
        if index < stages:
            blocks = list_pairs(flows[index], feature.shape[-2:])
        yield ListedFeatures(feature_table(feature), blocks, feature.shape[1])


def lists_pairs() -> bool:
    """Whether the attention works on listed pairs (see ``pairs``) or on maps warped whole.

    Lists are faster with one source, too, but only whole maps pass gradients on to the flow.
    """
    return not torch.is_grad_enabled()
