"""What a generator file holds: read off its tensors, never guessed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePath

from torch import Tensor

from ..errors import InputError

METADATA_KEY = "lwg_generator"
INPUT_KINDS = {"official": 6, "surface": 8}  # channels of the source and the target inputs
STRATEGY_NAMES = (
    "concat",
    "texture",
    "add",
    "mean",
    "softgate-add",
    "softgate-mean",
    "attention",
)
WITHOUT_WARPS = ("concat", "texture")
CONCAT_SOURCES = 4  # how many sources "concat" takes side by side

# First match wins: (the start of a key that gives the kind away; what to call it).
FAMILY = (
    ("enc_attlwbs.0.gate_conv.", "a SoftGateLWB generator"),
    ("enc_attlwbs.", "an AttLWB generator"),
    ("res_attlwbs.", "an AttLWB generator"),
    ("tsf_net_enc.", "an AddLWB or AvgLWB generator"),
    ("tsf_net.", "an InputConcat or TextureWarping generator"),
)
OTHERS = (
    ("global_model.", "a discriminator of the Liquid Warping GAN"),
    ("flow_net", "a Global-Flow Local-Attention generator"),
    ("decpose.", "a SPIN or HMR body regressor"),
    ("model.diffusion_model.", "a diffusion model"),
    ("conv1_1.", "a Sphere20a face network"),
    ("features.", "a VGG classifier"),
)


@dataclass(frozen=True)
class GeneratorConfig:
    """The shape and the options of a generator. The defaults are the official AttLWB-SPADE.

    What a strategy does not have (spade_hidden without attention, say) keeps its default.

    strategy: how the sources reach the target stream, see ``strategies``.
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

    strategy: str = "attention"
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
            raise InputError(
                f"generator inputs must be one of {', '.join(INPUT_KINDS)}; got {self.inputs!r}"
            )
        if self.strategy not in STRATEGY_NAMES:
            raise InputError(
                f"the warping strategy must be one of {', '.join(STRATEGY_NAMES)}; "
                f"got {self.strategy!r}"
            )

    @property
    def multiple(self) -> int:
        """Height and width of the inputs must be divisible by it."""
        halvings = len(self.background_widths) - 1 if self.background else 0
        return 2 ** max(len(self.widths), halvings)

    @property
    def warps_features(self) -> bool:
        """Whether there is a source stream whose features are warped into the target stream."""
        return self.strategy not in WITHOUT_WARPS

    @property
    def stream_channels(self) -> int:
        """Of what the target stream is fed."""
        if self.strategy == "concat":
            return CONCAT_SOURCES * self.source_channels + self.target_channels - 3
        return self.target_channels

    @classmethod
    def surface(
        cls,
        widths: tuple[int, ...],
        res_blocks: int = 4,
        spade_hidden: int = 32,
        strategy: str = "attention",
    ) -> GeneratorConfig:
        """Our own kind: surface inputs, copy gate and full-size skip, extended flow.

        "concat" has no copy gate: it does not see the warped pictures.
        """
        options: dict = {}
        if strategy == "attention":
            options = {"spade_hidden": spade_hidden, "key_conv": False}
        if strategy not in WITHOUT_WARPS:
            options["source_decoder"] = False
        return cls(
            strategy=strategy,
            widths=widths,
            res_blocks=res_blocks,
            source_channels=INPUT_KINDS["surface"],
            target_channels=INPUT_KINDS["surface"],
            copy_gate=strategy != "concat",
            full_size_skip=True,
            background=False,
            inputs="surface",
            flow_extension=True,
            **options,
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

        Without metadata the file is taken for an official one; sums and means, whose tensors are
        the same, are told apart by the official names AddLWB and AvgLWB in the file's name.
        name: of the file, also for the errors.
        """
        options = read_options(metadata or {}, name)
        keys = state_dict.keys()
        try:
            fields = read_shapes(state_dict, options.get("inputs", "official"))
        except (KeyError, IndexError):
            kind = looks_like(keys)
            if any(kind == known for _, known in FAMILY):
                kind += " with parts missing"
            raise InputError(
                f"{name} looks like {kind}; expected a generator of the Liquid Warping GAN, with "
                "keys such as tsf_net_enc.layers.0.0.weight and enc_attlwbs.0.fq.weight"
            ) from None
        strategies = fields.pop("strategies")
        strategy = options.pop("strategy", None) or named_strategy(strategies, name)
        config = cls(strategy=strategy, **fields, **options)
        if strategy not in strategies:
            raise InputError(
                f"{name}: its {METADATA_KEY} metadata says {strategy!r}; its tensors are of "
                f"{' or '.join(strategies)}"
            )
        return config


def read_shapes(state_dict: Mapping[str, Tensor], inputs: str) -> dict:
    """The fields of a config that the tensors show, and the "strategies" that they fit.

    Raises KeyError or IndexError where tensors are missing or have too few axes.
    """
    keys = state_dict.keys()
    fields: dict = {"background": "bg_net.main.0.weight" in keys}
    if fields["background"]:
        stages = count(keys, "bg_net.main.{}.weight", step=3)
        fields["background_channels"] = input_channels(state_dict, "bg_net.main.0.weight")
        fields["background_widths"] = tuple(
            output_channels(state_dict, f"bg_net.main.{3 * i}.weight") for i in range(stages)
        )
        fields["background_res_blocks"] = count(
            keys, "bg_net.main.{}.main.0.weight", start=3 * stages
        )
    fields["copy_gate"] = "tsf_copy_reg.0.weight" in keys
    fields["full_size_skip"] = "tsf_full_size.main.0.weight" in keys

    plain = any(key.startswith("tsf_net.") for key in keys)
    stage = ("tsf_net.encoders" if plain else "tsf_net_enc") + ".layers.{}.0.weight"
    block = ("tsf_net." if plain else "") + "res_blocks.{}.main.0.weight"
    stream_channels = input_channels(state_dict, stage.format(0))
    fields["widths"] = tuple(
        output_channels(state_dict, stage.format(i)) for i in range(count(keys, stage))
    )
    fields["res_blocks"] = count(keys, block)
    if plain:
        channels = INPUT_KINDS.get(inputs, 0)
        fields["source_channels"] = fields["target_channels"] = channels
        fields["strategies"] = ("texture" if stream_channels == channels else "concat",)
        return fields
    fields["target_channels"] = stream_channels
    fields["source_channels"] = input_channels(state_dict, "src_net.encoders.layers.0.0.weight")
    fields["source_decoder"] = "src_net.decoders.layers.0.0.weight" in keys
    if "enc_attlwbs.0.gate_conv.0.weight" in keys:
        fields["strategies"] = ("softgate-add", "softgate-mean")
    elif any(key.startswith(("enc_attlwbs.", "res_attlwbs.")) for key in keys):
        fields["strategies"] = ("attention",)
        fields["key_conv"] = "enc_attlwbs.0.fk.weight" in keys
        fields["spade_hidden"] = output_channels(
            state_dict, "enc_attlwbs.0.spade.mlp_shared.0.weight"
        )
    else:
        fields["strategies"] = ("add", "mean")
    return fields


def named_strategy(strategies: tuple[str, ...], name: str) -> str:
    """The one of these strategies that a file is of; its name tells sums from means."""
    if len(strategies) == 1:
        return strategies[0]
    file = PurePath(name).name.lower()
    named = [part in file for part in ("addlwb", "avglwb")]
    if sum(named) != 1:
        raise InputError(
            f"{name} fits the strategies {' and '.join(strategies)} alike; put AddLWB (or AvgLWB) "
            "into the file's name"
        )
    return strategies[named.index(True)]


def read_options(metadata: Mapping[str, str], name: str) -> dict:
    try:
        stored = json.loads(metadata.get(METADATA_KEY, "{}"))
    except ValueError:
        stored = None
    if not isinstance(stored, dict):
        raise InputError(f"{name}: its {METADATA_KEY} metadata is not a JSON object")
    for key in ("strategy", "inputs"):
        if not isinstance(stored.get(key, ""), str):
            raise InputError(f"{name}: {key!r} in its {METADATA_KEY} metadata is not a text")
    known = ("strategy", "inputs", "flow_extension")
    return {key: stored[key] for key in known if key in stored}


def kind_of(keys) -> tuple[str, str] | None:
    """The first row of the tables above that a state dict with these keys fits."""
    rows = (*FAMILY, *OTHERS)
    return next((row for row in rows if any(key.startswith(row[0]) for key in keys)), None)


def looks_like(keys) -> str:
    """A guess at what a state dict is, from its key names, in words."""
    keys = list(keys)
    if found := kind_of(keys):
        return found[1]
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
