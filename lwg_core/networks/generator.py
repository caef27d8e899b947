"""The generator of the Liquid Warping GAN with Attention (paper section 3.2; AttLWB-SPADE).

Three streams: the source stream encodes S source pictures (once per set of sources), the target
stream turns the warped pictures of a frame into colour and mask while nine attention blocks feed it
the sources' features, and the optional background network paints what the person hides.

Conventions: images (N, 3, H, W) in [-1, 1]; masks (N, 1, H, W) in 0..1, 1 = BACKGROUND; flow
(..., H, W, 2) holds absolute source coordinates in [-1, 1], edges at +-1, and -2 where nothing is
seen.
A frame is mask * background + (1 - mask) * colour. H and W are divisible by ``config.multiple``.

Notable decisions
- Keys, layer order and numerics are the official ones; official files load strict. Options of our
  own weights (copy gate, no key convolution, ...) add or drop keys and change nothing else.
- Source features travel as a value (``SourceBank``); no module caches anything.
- The flow is resized once per resolution, and the pixels that see something are listed then;
  features are gathered one block at a time, so that no more of them are alive without gradients.
- The output heads share their input and are evaluated as one convolution.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import InputError
from .attention import AttLWB
from .background_net import BackgroundNet
from .bank import SourceBank
from .blocks import Decoder, Encoder, ResBlock, SkipDecoder, conv3x3, conv_together, head
from .config import GeneratorConfig
from .warping import lists_pairs, warp_in_turn

__all__ = ["AttLWBGenerator", "GeneratorConfig", "SourceBank"]


class SourceNet(nn.Module):
    """G_SID: encodes a source picture and, in training, reconstructs it with its mask."""

    def __init__(self, config: GeneratorConfig, operations) -> None:
        super().__init__()
        widths = config.widths
        self.encoders = Encoder(config.source_channels, widths, operations, bias=True)
        self.res_blocks = residual_blocks(config, operations)
        if config.source_decoder:
            self.decoders = Decoder(widths, operations)
            self.img_reg = head(widths[0], 3, operations)
            self.att_reg = head(widths[0], 1, operations)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, C, H, W) -> one feature map per attention block, see SourceBank."""
        features = []
        for layer in [*self.encoders.layers, *self.res_blocks]:
            x = layer(x)
            features.append(x)
        return tuple(features)

    def reconstruct(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """The last feature map -> image (N, 3, H, W) and mask (N, 1, H, W)."""
        colour, mask = conv_together(self.decoders(feature), (self.img_reg[0], self.att_reg[0]))
        return torch.tanh(colour), torch.sigmoid(mask)


class FullSizeSkip(nn.Module):
    """x + conv(relu(conv([x, inputs]))), all at full size. Starts as the identity."""

    def __init__(self, channels: int, inputs: int, operations) -> None:
        super().__init__()
        self.main = nn.Sequential(
            conv3x3(channels + inputs, channels, operations),
            nn.ReLU(inplace=True),
            conv3x3(channels, channels, operations),
        )

    def forward(self, x: Tensor, inputs: Tensor) -> Tensor:
        """x: (N, channels, H, W); inputs: (N, inputs, H, W)."""
        return x + self.main(torch.cat([x, inputs.to(x.dtype)], dim=1))


class AttLWBGenerator(nn.Module):
    """See the module's docstring. ``operations``: where the layers come from, see blocks.py."""

    def __init__(self, config: GeneratorConfig, operations=torch.nn) -> None:
        super().__init__()
        self.config = config
        widths, hidden = config.widths, config.spade_hidden

        def attention(channels: int) -> AttLWB:
            return AttLWB(channels, hidden, operations, key_conv=config.key_conv)

        if config.background:
            self.bg_net = BackgroundNet(
                config.background_channels,
                config.background_widths,
                config.background_res_blocks,
                operations,
            )
        self.src_net = SourceNet(config, operations)
        self.tsf_net_enc = Encoder(config.target_channels, widths, operations, bias=False)
        self.enc_attlwbs = nn.ModuleList(attention(width) for width in widths)
        self.res_attlwbs = nn.ModuleList(attention(widths[-1]) for _ in range(config.res_blocks))
        self.res_blocks = residual_blocks(config, operations)
        self.tsf_net_dec = SkipDecoder(widths, operations)
        if config.full_size_skip:
            self.tsf_full_size = FullSizeSkip(widths[0], config.target_channels, operations)
        self.tsf_img_reg = head(widths[0], 3, operations)
        self.tsf_att_reg = head(widths[0], 1, operations)
        if config.copy_gate:
            self.tsf_copy_reg = head(widths[0], 1, operations, bias=True)

    @classmethod
    def from_scratch(cls, config: GeneratorConfig, seed: int = 0) -> AttLWBGenerator:
        """A generator to be trained, float32 on the CPU; the global random state is left alone.

        PyTorch's default initialisation, except that each block starts near plain instance
        normalisation (small gamma and beta), the copy gate starts near the warped sources, and the
        full-size skip starts as the identity.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = cls(config)
        with torch.no_grad():
            for block in [*model.enc_attlwbs, *model.res_attlwbs]:
                for conv in (block.spade.mlp_gamma, block.spade.mlp_beta):
                    conv.weight.mul_(0.3)
                    conv.bias.zero_()
            if config.copy_gate:
                model.tsf_copy_reg[0].bias.fill_(1.0)
            if config.full_size_skip:
                nn.init.zeros_(model.tsf_full_size.main[-1].weight)
                nn.init.zeros_(model.tsf_full_size.main[-1].bias)
        return model

    def encode(self, source_inputs: Tensor) -> SourceBank:
        """source_inputs: (S, config.source_channels, H, W)."""
        self.check(source_inputs, self.config.source_channels, "source")
        features = self.src_net(source_inputs)
        if lists_pairs():  # once, so that the maps' pixels are rows in every frame
            features = tuple(f.contiguous(memory_format=torch.channels_last) for f in features)
        return SourceBank(features)

    def reconstruct(self, bank: SourceBank) -> tuple[Tensor, Tensor]:
        """The sources as the source stream sees them: (S, 3, H, W), (S, 1, H, W)."""
        return self.src_net.reconstruct(bank.features[-1])

    def decode(
        self, bank: SourceBank, target_inputs: Tensor, flow: Tensor
    ) -> tuple[Tensor, Tensor]:
        """T frames of one set of sources.

        bank: of S sources; target_inputs: (T, config.target_channels, H, W); flow: (T, S, H, W, 2).
        Returns colour (T, 3, H, W) and mask (T, 1, H, W).
        """
        return self.transfer([f[None] for f in bank.features], target_inputs, flow[None])

    def forward(
        self, source_inputs: Tensor, target_inputs: Tensor, flow: Tensor
    ) -> tuple[Tensor, Tensor]:
        """A batch for training: each of B items has S sources of its own and one target.

        source_inputs: (B, S, C, H, W); target_inputs: (B, C', H, W); flow: (B, S, H, W, 2).
        Returns colour (B, 3, H, W) and mask (B, 1, H, W).
        """
        bank = self.encode(source_inputs.flatten(0, 1))
        features = per_item(bank, source_inputs.shape[0])
        return self.transfer(features, target_inputs, flow[:, None])

    def background(self, bg_inputs: Tensor) -> Tensor:
        """(N, 4, H, W) = [rgb * known, known] -> (N, 3, H, W)."""
        self.check(bg_inputs, self.config.background_channels, "background")
        return self.bg_net(bg_inputs)

    def transfer(
        self, features: list[Tensor], target_inputs: Tensor, flow: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The target stream (G_TSF), for B sets of S sources with T frames each.

        features: per attention block (B, S, c, h, w); target_inputs: (B*T, C, H, W);
        flow: (B, T, S, H, W, 2). Returns colour (B*T, 3, H, W) and mask (B*T, 1, H, W).
        """
        self.check(target_inputs, self.config.target_channels, "target")
        official = self.config.inputs == "official"
        warped = warp_in_turn(features, flow, len(self.enc_attlwbs), official)
        x, skips = target_inputs, []
        for layer, attlwb in zip(self.tsf_net_enc.layers, self.enc_attlwbs, strict=True):
            x = attlwb(layer(x), next(warped))
            skips.append(x)
        for block, attlwb in zip(self.res_blocks, self.res_attlwbs, strict=True):
            x = attlwb(block(x), next(warped))
        x = self.tsf_net_dec(x, skips[:-1])
        if self.config.full_size_skip:
            x = self.tsf_full_size(x, target_inputs)
        heads = [self.tsf_img_reg[0], self.tsf_att_reg[0]]
        if self.config.copy_gate:
            heads.append(self.tsf_copy_reg[0])
        # Under autocast the heads come in bfloat16, too coarse for pictures.
        colour, mask, *gate = (out.to(target_inputs.dtype) for out in conv_together(x, heads))
        colour, mask = torch.tanh(colour), torch.sigmoid(mask)
        if gate:
            colour = torch.lerp(colour, target_inputs[:, :3], torch.sigmoid(gate[0]))
        return colour, mask

    def forward_official(
        self,
        bg_inputs: Tensor | None,
        src_inputs: Tensor,
        tsf_inputs: Tensor,
        Tst: Tensor,
        Ttt: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The whole network with the official arguments and results.

        bg_inputs: (B, N, 4, H, W) or None; src_inputs: (B, S, C, H, W);
        tsf_inputs: (B, T, C, H, W); Tst: (B, T, S, H, W, 2), flow from the sources.
        Ttt: (B, T-1, H, W, 2), flow from each frame to its predecessor: switches on the temporal
        attention, where the previous frame is one more source.
        Returns bg_img (B, N, 3, H, W), src_imgs and src_masks (B, S, ...), tsf_imgs and tsf_masks
        (B, T, ...).
        """
        batch, frames = tsf_inputs.shape[:2]
        bank = self.encode(src_inputs.flatten(0, 1))
        features = per_item(bank, batch)
        if Ttt is None:
            colour, mask = self.transfer(features, tsf_inputs.flatten(0, 1), Tst)
            colours, masks = unbatch(colour, batch), unbatch(mask, batch)
        else:
            colours, masks = self.transfer_in_time(features, tsf_inputs, Tst, Ttt)
        results = {"tsf_imgs": colours, "tsf_masks": masks}
        src_imgs, src_masks = self.reconstruct(bank)
        results |= {"src_imgs": unbatch(src_imgs, batch), "src_masks": unbatch(src_masks, batch)}
        if bg_inputs is not None:
            results["bg_img"] = unbatch(self.background(bg_inputs.flatten(0, 1)), batch)
        return results

    def transfer_in_time(
        self, features: list[Tensor], tsf_inputs: Tensor, Tst: Tensor, Ttt: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Frame after frame, each attending to the one before it as one more source.

        As in the official training code, the previous frame is encoded with its warped colours in
        the place of the correspondence map.
        """
        batch, frames = tsf_inputs.shape[:2]
        colours, masks = [], []
        for t in range(frames):
            seen, flow = features, Tst[:, t : t + 1]
            if t > 0:
                previous = torch.cat(
                    [colours[-1] * (1 - masks[-1]), tsf_inputs[:, t - 1, :3]], dim=1
                )
                more = per_item(self.encode(previous), batch)
                seen = [torch.cat(pair, dim=1) for pair in zip(features, more, strict=True)]
                flow = torch.cat([flow, Ttt[:, t - 1, None, None]], dim=2)
            colour, mask = self.transfer(seen, tsf_inputs[:, t], flow)
            colours.append(colour)
            masks.append(mask)
        return torch.stack(colours, dim=1), torch.stack(masks, dim=1)

    def check(self, x: Tensor, channels: int, name: str) -> None:
        height, width = x.shape[-2:]
        multiple = self.config.multiple
        if x.shape[-3] != channels:
            raise InputError(
                f"the {name} input has {x.shape[-3]} channels; this generator "
                f"({self.config.inputs} inputs) expects {channels}"
            )
        if height % multiple or width % multiple:
            raise InputError(
                f"the {name} input is {width}x{height}; sides must be divisible by {multiple}"
            )


def residual_blocks(config: GeneratorConfig, operations) -> nn.ModuleList:
    return nn.ModuleList(ResBlock(config.widths[-1], operations) for _ in range(config.res_blocks))


def per_item(bank: SourceBank, batch: int) -> list[Tensor]:
    """The features of B*S sources as (B, S, c, h, w)."""
    return [unbatch(feature, batch) for feature in bank.features]


def unbatch(x: Tensor, batch: int) -> Tensor:
    """(B*N, ...) -> (B, N, ...)."""
    return x.unflatten(0, (batch, -1))
