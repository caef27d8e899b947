"""What a generator file holds: read off its tensors, never guessed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from torch import Tensor

from ..errors import InputError

METADATA_KEY = "lwg_generator"
INPUT_KINDS = ("official", "surface")

# First match wins: (a key, or the start of one, that gives the kind away; what to call it).
KINDS = (
    ("enc_attlwbs.0.gate_conv", "an official SoftGate variant of the Liquid Warping GAN"),
    ("enc_attlwbs.", "an AttLWB generator with parts missing"),
    ("src_net.", "an official AddLWB or AvgLWB variant of the Liquid Warping GAN"),
    ("tsf_net.", "an official InputConcat or TextureWarping variant of the Liquid Warping GAN"),
    ("global_model.", "a discriminator of the Liquid Warping GAN"),
    ("flow_net.", "a Global-Flow Local-Attention generator"),
    ("decpose.", "a SPIN or HMR body regressor"),
    ("model.diffusion_model.", "a diffusion model"),
    ("features.", "a VGG classifier"),
)


@dataclass(frozen=True)
class GeneratorConfig:
    """The shape and the options of an AttLWB generator. The defaults are the official AttLWB-SPADE.

    widths: channels of the encoder stages, at 1/2, 1/4, 1/8 of the size.
    res_blocks: residual blocks at the smallest size, in the source and in the target stream.
    spade_hidden: channels between the fused feature and gamma and beta.
    source_channels, target_channels: of the two streams' inputs.
    source_decoder: the source stream also decodes to image and mask (used in training only).
    key_conv: the attention has a key convolution of its own, beside the query.
    copy_gate: a third head mixes the warped sources (first three target channels) into the colour.
    full_size_skip: the heads also see the target inputs at full size, past the halvings, through a
        residual block: what keeps the edge of the matte as sharp as the mesh's.
    background: a background network is part of the file; background_* are its shape.
    inputs: "official" (SMPL's face-code map) or "surface" (rest-pose surface coordinates, for any
        body model).
    flow_extension: trained with flow extended beyond the silhouette.
    """

    widths: tuple[int, ...] = (64, 128, 256)
    res_blocks: int = 6
    spade_hidden: int = 128
    source_channels: int = 6
    target_channels: int = 6
    source_decoder: bool = True
    key_conv: bool = True
    copy_gate: bool = False
    full_size_skip: bool = False
    background: bool = True
    background_channels: int = 4
    background_widths: tuple[int, ...] = (64, 128, 128, 256)
    background_res_blocks: int = 6
    inputs: str = "official"
    flow_extension: bool = False

    def __post_init__(self) -> None:
        if self.inputs not in INPUT_KINDS:
            raise InputError(f"generator inputs must be one of {INPUT_KINDS}; got {self.inputs!r}")

    @property
    def multiple(self) -> int:
        """Height and width of the inputs must be divisible by it."""
        halvings = len(self.background_widths) - 1 if self.background else 0
        return 2 ** max(len(self.widths), halvings)

    @classmethod
    def surface(
        cls, widths: tuple[int, ...], res_blocks: int = 4, spade_hidden: int = 32
    ) -> GeneratorConfig:
        """Our own kind: surface inputs, copy gate and full-size skip, extended flow."""
        return cls(
            widths=widths,
            res_blocks=res_blocks,
            spade_hidden=spade_hidden,
            source_channels=8,
            target_channels=8,
            source_decoder=False,
            key_conv=False,
            copy_gate=True,
            full_size_skip=True,
            background=False,
            inputs="surface",
            flow_extension=True,
        )

    def metadata(self) -> dict[str, str]:
        """The safetensors metadata entry that ``from_state_dict`` reads."""
        return {METADATA_KEY: json.dumps(asdict(self), sort_keys=True)}

    @classmethod
    def from_state_dict(
        cls,
        state_dict: Mapping[str, Tensor],
        metadata: Mapping[str, str] | None = None,
        name: str = "generator weights",
    ) -> GeneratorConfig:
        """Shapes from the tensors, the options that leave no trace in them from the metadata.

        Without metadata the file is taken for an official one. name: of the file, for the errors.
        """
        options = read_options(metadata or {}, name)
        keys = state_dict.keys()
        stages = count(keys, "tsf_net_enc.layers.{}.0.weight")
        background_convs = count(keys, "bg_net.main.{}.weight", step=3)
        try:
            background = {}
            if background_convs:
                widths = [output_channels(state_dict, f"bg_net.main.{3 * i}.weight")
                          for i in range(background_convs)]  # fmt: skip
                background = {
                    "background_channels": input_channels(state_dict, "bg_net.main.0.weight"),
                    "background_widths": tuple(widths),
                    "background_res_blocks": count(
                        keys, "bg_net.main.{}.main.0.weight", start=3 * background_convs
                    ),
                }
            widths = [output_channels(state_dict, f"tsf_net_enc.layers.{i}.0.weight")
                      for i in range(stages)]  # fmt: skip
            return cls(
                widths=tuple(widths),
                res_blocks=count(keys, "res_attlwbs.{}.fq.weight"),
                spade_hidden=output_channels(state_dict, "enc_attlwbs.0.spade.mlp_shared.0.weight"),
                source_channels=input_channels(state_dict, "src_net.encoders.layers.0.0.weight"),
                target_channels=input_channels(state_dict, "tsf_net_enc.layers.0.0.weight"),
                source_decoder="src_net.decoders.layers.0.0.weight" in keys,
                key_conv="enc_attlwbs.0.fk.weight" in keys,
                copy_gate="tsf_copy_reg.0.weight" in keys,
                full_size_skip="tsf_full_size.main.0.weight" in keys,
                background=background_convs > 0,
                **background,
                **options,
            )
        except (KeyError, IndexError):
            raise InputError(
                f"{name} looks like {looks_like(keys)}; expected an AttLWB generator, with keys "
                "such as tsf_net_enc.layers.0.0.weight and enc_attlwbs.0.fq.weight"
            ) from None


def read_options(metadata: Mapping[str, str], name: str) -> dict:
    try:
        stored = json.loads(metadata.get(METADATA_KEY, "{}"))
    except ValueError:
        stored = None
    if not isinstance(stored, dict):
        raise InputError(f"{name}: its {METADATA_KEY} metadata is not a JSON object")
    return {key: stored[key] for key in ("inputs", "flow_extension") if key in stored}


def looks_like(keys) -> str:
    """A guess at what a state dict is, from its key names, in words."""
    keys = list(keys)
    for start, kind in KINDS:
        if any(key.startswith(start) for key in keys):
            return kind
    return (
        f"something else ({len(keys)} tensors: {', '.join(keys[:3])}, ...)" if keys else "nothing"
    )


def count(keys, pattern: str, *, start: int = 0, step: int = 1) -> int:
    """How many of ``pattern`` with start, start + step, ... follow each other without a gap."""
    found = 0
    while pattern.format(start + found * step) in keys:
        found += 1
    return found


def output_channels(state_dict: Mapping[str, Tensor], key: str) -> int:
    return state_dict[key].shape[0]


def input_channels(state_dict: Mapping[str, Tensor], key: str) -> int:
    return state_dict[key].shape[1]
