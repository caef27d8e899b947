"""A residual auto-encoder: the source stream, and the target stream of strategies without warps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .blocks import Decoder, Encoder, conv_together, head, residual_blocks


class ResAutoEncoder(nn.Module):
    """Encoder, residual blocks and, unless left out, a decoder to image and mask.

    As G_SID it encodes a source picture and, in training, reconstructs it with its mask.
    """

    def __init__(
        self,
        inputs: int,
        widths: Sequence[int],
        res_blocks: int,
        operations,
        *,
        decoder: bool = True,
    ) -> None:
        super().__init__()
        self.encoders = Encoder(inputs, widths, operations, bias=True)
        self.res_blocks = residual_blocks(widths[-1], res_blocks, operations)
        if decoder:
            self.decoders = Decoder(widths, operations)
            self.img_reg = head(widths[0], 3, operations)
            self.att_reg = head(widths[0], 1, operations)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, C, H, W) -> one feature map per stage and residual block, see SourceBank."""
        features = []
        for layer in [*self.encoders.layers, *self.res_blocks]:
            x = layer(x)
            features.append(x)
        return tuple(features)

    def reconstruct(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """The last feature map -> image (N, 3, H, W) and mask (N, 1, H, W)."""
        colour, mask = conv_together(self.decoders(feature), (self.img_reg[0], self.att_reg[0]))
        return torch.tanh(colour), torch.sigmoid(mask)
