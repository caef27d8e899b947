"""The Attentional Liquid Warping Block (paper section 3.3).

Notable decisions
- Two facts make the number of convolutions independent of the number of sources, exactly.
  Logits are q.k_s with k_s = W_k w_s + b_k (w_s: the warped feature of source s). q.b_k is the
  same for every source, so the softmax over sources drops it: the key bias has no effect. What
  remains is (W_k^T q).w_s: the key convolution moves to the query. And since the weights alpha sum
  to one, sum alpha_s (W_v w_s + b_v) = W_v (sum alpha_s w_s) + b_v: one value convolution, after
  the mix.
- With a single source alpha is 1: query and key are not evaluated.
- Pixels that no source covers warp to zero and still take part in the softmax, as officially.
- Without gradients only the (pixel, source) pairs that see something are worked on (``pairs``): the
  same algebra, whose cost hardly depends on the number of sources. With gradients the maps are
  warped whole.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import conv3x3, conv_together, like_input
from .pairs import ListedFeatures, as_maps, sample


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

    def forward(self, x: Tensor, seen: Tensor | ListedFeatures) -> Tensor:
        """x: (N, C, H, W) target features; seen: what they see of the sources, warped whole
        (N, S, C, H, W) or listed. Returns (N, C, H, W).
        """
        fuse = self.fuse_listed if isinstance(seen, ListedFeatures) else self.fuse
        return self.spade(x, self.fv(fuse(x, seen)))

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

    def fuse_listed(self, x: Tensor, seen: ListedFeatures) -> Tensor:
        """``fuse`` of listed features: queries and features only where there is something."""
        channels = x.shape[1]
        fused = x.new_zeros(x.numel() // channels, channels)
        rows = None if seen.sources == 1 else x.permute(0, 2, 3, 1).reshape(-1, channels)
        for block in seen.blocks:
            features = [sample(seen.table, taps, weights) for taps, weights in block.slots]
            mixed = features[0]
            if rows is not None:
                query = self.query(rows.index_select(0, block.pixels)) / channels**0.5
                # The sources that show nothing have logit 0 each: together log(their number).
                logits = [block.unseen.log()]
                for feature in features:
                    logit = (feature * query[: len(feature)]).sum(1, keepdim=True)
                    missing = len(query) - len(feature)
                    logits.append(F.pad(logit, (0, 0, 0, missing), value=-torch.inf))
                alpha = torch.cat(logits, 1).softmax(1)
                mixed = mixed * alpha[:, 1:2]
                for slot, feature in enumerate(features[1:], 2):
                    mixed[: len(feature)].addcmul_(feature, alpha[: len(feature), slot, None])
            fused.index_copy_(0, block.pixels, mixed.to(fused.dtype))
        return as_maps(fused, x)

    def query(self, rows: Tensor) -> Tensor:
        """Target features (n, C) -> what they ask of the sources' features (n, C)."""
        weight, bias = like_input(self.fq.weight, rows), like_input(self.fq.bias, rows)
        query = F.linear(rows, weight.flatten(1), bias)
        if self.fk is not None:
            query = F.linear(query, like_input(self.fk.weight, query).flatten(1).t())
        return query
