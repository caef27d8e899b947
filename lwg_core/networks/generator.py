"""The generator of the Liquid Warping GAN with Attention (paper section 3.2).

Three streams: the source stream encodes S source pictures (once per set of sources), the target
stream turns the warped pictures of a frame into colour and mask while nine blocks feed it the
sources' features, and the optional background network paints what the person hides. The blocks are
those of the config's strategy: attention (AttLWB-SPADE) or one that the paper compares with it. Two
strategies have neither blocks nor a source stream: their target stream is an auto-encoder.

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
from .attention import Spade
from .autoencoder import ResAutoEncoder
from .background_net import BackgroundNet
from .bank import SourceBank
from .blocks import Encoder, FullSizeSkip, SkipDecoder, conv_together, head, residual_blocks
from .config import GeneratorConfig
from .strategies import STRATEGIES
from .warping import lists_pairs, warp_in_turn

__all__ = ["AttLWBGenerator", "GeneratorConfig", "SourceBank"]


class AttLWBGenerator(nn.Module):
    """See the module's docstring. ``operations``: where the layers come from, see blocks.py."""

    def __init__(self, config: GeneratorConfig, operations=torch.nn) -> None:
        super().__init__()
        self.config = config
        widths, number = config.widths, config.res_blocks
        make_block = STRATEGIES[config.strategy].block
        if config.background:
            self.bg_net = BackgroundNet(
                config.background_channels,
                config.background_widths,
                config.background_res_blocks,
                operations,
            )
        if make_block is None:
            self.tsf_net = ResAutoEncoder(config.stream_channels, widths, number, operations)
        else:
            self.src_net = ResAutoEncoder(
                config.source_channels, widths, number, operations, decoder=config.source_decoder
            )
            self.tsf_net_enc = Encoder(config.target_channels, widths, operations, bias=False)
            self.enc_attlwbs = nn.ModuleList(make_block(c, config, operations) for c in widths)
            self.res_attlwbs = nn.ModuleList(
                make_block(widths[-1], config, operations) for _ in range(number)
            )
            self.res_blocks = residual_blocks(widths[-1], number, operations)
            self.tsf_net_dec = SkipDecoder(widths, operations)
        if config.full_size_skip:
            self.tsf_full_size = FullSizeSkip(widths[0], config.stream_channels, operations)
        if make_block is not None:
            self.tsf_img_reg = head(widths[0], 3, operations)
            self.tsf_att_reg = head(widths[0], 1, operations)
        if config.copy_gate:
            self.tsf_copy_reg = head(widths[0], 1, operations, bias=True)

    @property
    def heads(self) -> list[nn.Module]:
        """The output convolutions: colour, mask and, where there is one, copy gate."""
        if self.config.warps_features:
            heads = [self.tsf_img_reg[0], self.tsf_att_reg[0]]
        else:
            heads = [self.tsf_net.img_reg[0], self.tsf_net.att_reg[0]]
        return [*heads, self.tsf_copy_reg[0]] if self.config.copy_gate else heads

    @classmethod
    def from_scratch(cls, config: GeneratorConfig, seed: int = 0) -> AttLWBGenerator:
        """A generator to be trained, float32 on the CPU; the global random state is left alone.

        PyTorch's default initialisation, except that each attention starts near plain instance
        normalisation (small gamma and beta), the copy gate starts near the warped sources, and the
        full-size skip starts as the identity.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = cls(config)
        with torch.no_grad():
            for module in model.modules():
                if isinstance(module, Spade):
                    for conv in (module.mlp_gamma, module.mlp_beta):
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
        if not self.config.warps_features:
            return SourceBank((source_inputs,))
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

        features: per map of the bank (B, S, c, h, w); target_inputs: (B*T, C, H, W);
        flow: (B, T, S, H, W, 2). Returns colour (B*T, 3, H, W) and mask (B*T, 1, H, W).
        """
        self.check(target_inputs, self.config.target_channels, "target")
        inputs = STRATEGIES[self.config.strategy].inputs(features[0], target_inputs)
        if self.config.warps_features:
            x = self.with_warped_features(features, inputs, flow)
        else:
            x = self.tsf_net.decoders(self.tsf_net(inputs)[-1])
        if self.config.full_size_skip:
            x = self.tsf_full_size(x, inputs)
        # Under autocast the heads come in bfloat16, too coarse for pictures.
        colour, mask, *gate = (out.to(target_inputs.dtype) for out in conv_together(x, self.heads))
        colour, mask = torch.tanh(colour), torch.sigmoid(mask)
        if gate:
            colour = torch.lerp(colour, target_inputs[:, :3], torch.sigmoid(gate[0]))
        return colour, mask

    def with_warped_features(self, features: list[Tensor], x: Tensor, flow: Tensor) -> Tensor:
        """The target stream with the strategy's blocks, up to the heads: (B*T, widths[0], H, W)."""
        official = self.config.inputs == "official"
        warped = warp_in_turn(features, flow, len(self.enc_attlwbs), official)
        skips = []
        for layer, attlwb in zip(self.tsf_net_enc.layers, self.enc_attlwbs, strict=True):
            x = attlwb(layer(x), next(warped))
            skips.append(x)
        for block, attlwb in zip(self.res_blocks, self.res_attlwbs, strict=True):
            x = attlwb(block(x), next(warped))
        return self.tsf_net_dec(x, skips[:-1])

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
        attention, where the previous frame is one more source. The other strategies leave it aside.
        Returns bg_img (B, N, 3, H, W), src_imgs and src_masks (B, S, ...) if there is a decoder for
        them, tsf_imgs and tsf_masks (B, T, ...).
        """
        batch, frames = tsf_inputs.shape[:2]
        bank = self.encode(src_inputs.flatten(0, 1))
        features = per_item(bank, batch)
        if Ttt is None or self.config.strategy != "attention":
            colour, mask = self.transfer(features, tsf_inputs.flatten(0, 1), Tst)
            colours, masks = unbatch(colour, batch), unbatch(mask, batch)
        else:
            colours, masks = self.transfer_in_time(features, tsf_inputs, Tst, Ttt)
        results = {"tsf_imgs": colours, "tsf_masks": masks}
        if self.config.warps_features and self.config.source_decoder:
            images, masks = self.reconstruct(bank)
            results |= {"src_imgs": unbatch(images, batch), "src_masks": unbatch(masks, batch)}
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


def per_item(bank: SourceBank, batch: int) -> list[Tensor]:
    """The features of B*S sources as (B, S, c, h, w)."""
    return [unbatch(feature, batch) for feature in bank.features]


def unbatch(x: Tensor, batch: int) -> Tensor:
    """(B*N, ...) -> (B, N, ...)."""
    return x.unflatten(0, (batch, -1))
