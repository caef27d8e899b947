"""What is known about the sources after one pass through the source encoder."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SourceBank:
    """Features of S sources, computed once and used for every frame.

    features: one (S, c, h, w) map per attention block, in the order of the blocks: the encoder
        stages (H/2, H/4, H/8), then one per residual block (H/8). Channels-last in memory when made
        without gradients, so that a pixel's features lie together. A generator without such blocks
        has the source inputs themselves, (S, C, H, W), as its only map.
    """

    features: tuple[Tensor, ...]

    def __len__(self) -> int:
        return self.features[0].shape[0]

    def select(self, index) -> SourceBank:
        """Sources ``index`` (slice, list or LongTensor; must keep the source axis)."""
        return SourceBank(tuple(feature[index] for feature in self.features))

    def join(self, other: SourceBank) -> SourceBank:
        """The sources of both banks, of one generator and one image size."""
        pairs = zip(self.features, other.features, strict=True)
        return SourceBank(tuple(torch.cat(pair) for pair in pairs))

    def to(self, *args, **kwargs) -> SourceBank:
        """As ``Tensor.to``."""
        return SourceBank(tuple(feature.to(*args, **kwargs) for feature in self.features))
