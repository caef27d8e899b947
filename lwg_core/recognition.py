"""What a file of weights, bodies or motion is, and what it is for.

Networks are told by their key names (the tables of ``networks.config``) and then loaded strictly,
so what is recognised here does load elsewhere. Nothing of a file is executed.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from .body.files import load_body_model
from .body.safe_pickle import read_pickle
from .errors import InputError
from .networks.config import FAMILY, METADATA_KEY, kind_of, looks_like, named_strategy, read_shapes
from .networks.discriminator import build_discriminators
from .networks.sphere20a import OFFICIAL_EMBEDDING, build_sphere20a
from .networks.sphere20a import OFFICIAL_WIDTH as SPHERE_WIDTH
from .networks.vgg import OFFICIAL_WIDTH as VGG_WIDTH
from .networks.vgg import build_vgg19
from .recovery.importers.load import load_motion_file
from .recovery.regressor.files import key_names, load_regressor, refuse_others
from .training.personalize import METADATA_KEY as PERSONALIZED
from .training.personalize import Personalization
from .weights import build_generator, checkpoint_kind, read_state_dict

SUPPORTED = (
    "generators of the Liquid Warping GAN, its discriminators, SPIN, VGG-19, Sphere20a, bodies of "
    "the SMPL family, and motions"
)
PICKLES = (".pkl", ".pickle", ".p", ".joblib")
BODY_MARKS = ("v_template", "J_regressor", "kintree_table")  # motions hold none of these

# What the released code calls the warping strategies.
VARIANTS = {
    "concat": "InputConcat",
    "texture": "TextureWarping",
    "add": "AddLWB",
    "mean": "AvgLWB",
    "softgate-add": "SoftGateAddLWB",
    "softgate-mean": "SoftGateAvgLWB",
    "attention": "AttLWB",
}


@dataclass(frozen=True)
class Recognised:
    """What a file is, its shape, and what it is for, in words."""

    what: str
    shape: str
    purpose: str


def recognise(path: str | Path) -> Recognised:
    """Tell what a file is; an InputError says what it is instead of something supported."""
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder; give one file")
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    members = archive_members(path)
    if any(name.endswith(".npy") for name in members):
        is_body = any(f"{key}.npy" in members for key in BODY_MARKS)
        return read_body(path) if is_body else read_motion(path)
    if path.suffix.lower() in PICKLES:
        held = read_pickle(path)
        is_body = isinstance(held, dict) and any(key in held for key in BODY_MARKS)
        return read_body(path) if is_body else read_motion(path)
    if any("/code/" in name for name in members):
        raise InputError(
            f"{path.name} is a TorchScript program, whose weights are not looked into; as a "
            "network of the user's it is tried when it is used"
        )
    try:
        checkpoint_kind(path)
    except InputError as error:
        if path.suffix.lower() in (".bvh", ".json", ".npz"):
            return read_motion(path)
        raise InputError(f"{error}; known are {SUPPORTED}") from error
    return read_weights(path)


def archive_members(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError):  # no archive, or a broken one
        return []


def read_weights(path: Path) -> Recognised:
    """Names first: a file of another program may be too large to read for nothing."""
    refuse_others(path)
    names = [name.removeprefix("module.") for name in key_names(path)]
    if path.suffix.lower() == ".safetensors" and any(mark in names for mark in BODY_MARKS):
        return read_body(path)
    known = kind_of(names)
    if known and known[0] not in NETWORKS:
        raise InputError(f"{path.name} looks like {known[1]}, which is not supported here")
    try:
        state_dict, metadata = read_state_dict(path)
    except InputError:
        if known or path.suffix.lower() != ".pt":
            raise
        return read_motion(path)  # GVHMR's are nested dictionaries
    known = kind_of(state_dict)
    if known is None:
        raise InputError(f"{path.name} looks like {looks_like(state_dict)}; known are {SUPPORTED}")
    found = NETWORKS[known[0]](state_dict, metadata, path)
    numbers = sum(value.numel() for value in state_dict.values())
    types = sorted({str(value.dtype).removeprefix("torch.") for value in state_dict.values()})
    size = f"{numbers:,} numbers in {len(state_dict)} tensors, {', '.join(types)}"
    return Recognised(found.what, f"{found.shape}; {size}", found.purpose)


def generator(state_dict: Mapping[str, Tensor], metadata: dict[str, str], path: Path) -> Recognised:
    """A generator of ours or an official one, of any strategy, personalized or not."""
    either = () if METADATA_KEY in metadata else unnamed_strategies(state_dict, path)
    if either:
        metadata = {**metadata, METADATA_KEY: json.dumps({"strategy": either[0]})}
    config = build_generator(state_dict, metadata, str(path)).config
    names = " or ".join(VARIANTS[strategy] for strategy in either or (config.strategy,))
    whose = "official layout" if config.inputs == "official" else "this project's own layout"
    what = f"{names} generator of the Liquid Warping GAN, {whose}"
    if either:
        what += "; its tensors do not tell which, so put the right one into the file's name"
    shape = f"widths {', '.join(map(str, config.widths))}, {config.res_blocks} residual blocks"
    shape += ", with background network" if config.background else ""
    if PERSONALIZED in metadata:
        record = personalization(metadata[PERSONALIZED], path)
        what = f"{what}, personalized: {record.steps} steps at {record.size} px"
        return Recognised(what, shape, "more pictures of the same person (Load Personalized)")
    purpose = "generation (--generator, Load Generator)"
    if config.inputs == "official":
        purpose = "generation on the official inputs, with an SMPL body"
        if config.background:
            purpose += "; its background network fills (--fill generator --background-generator)"
    return Recognised(what, shape, purpose)


def unnamed_strategies(state_dict: Mapping[str, Tensor], path: Path) -> tuple[str, ...]:
    """The strategies that the tensors fit, if they are several and the file's name names none."""
    try:
        strategies = read_shapes(state_dict, "official")["strategies"]
    except (KeyError, IndexError):  # parts are missing, which the loader tells
        return ()
    try:
        named_strategy(strategies, str(path))
    except InputError:
        return strategies
    return ()


def personalization(text: str, path: Path) -> Personalization:
    try:
        return Personalization(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise InputError(f"{path.name}: its record of the personalization is broken") from error


def discriminators(state_dict: Mapping[str, Tensor], metadata, path: Path) -> Recognised:
    model = build_discriminators(state_dict, path.name)
    names = {"bg": "background", "local": "a close-up"}
    parts = ", ".join(["the whole picture", *(names.get(p, p) for p in model.parts)])
    return Recognised(
        f"patch discriminators of the Liquid Warping GAN, for {parts}",
        f"width {model.width}, {model.inputs} input channels",
        "the adversarial loss in training",
    )


def spin(state_dict: Mapping[str, Tensor], metadata, path: Path) -> Recognised:
    config = load_regressor(path).config
    return Recognised(
        "a SPIN (HMR) body regressor",
        f"{width(config.width, 64)}, {sum(config.blocks)} bottlenecks, {config.hidden} hidden",
        "bodies from pictures (recover --method spin --regressor, Load Regressor)",
    )


def vgg19(state_dict: Mapping[str, Tensor], metadata, path: Path) -> Recognised:
    model = build_vgg19(state_dict, path.name)
    return Recognised(
        "VGG-19 in torchvision's layout", width(model.width, VGG_WIDTH),
        "the perceptual loss in training",
    )  # fmt: skip


def sphere20a(state_dict: Mapping[str, Tensor], metadata, path: Path) -> Recognised:
    model = build_sphere20a(state_dict, path.name)
    embedding = width(len(model.fc5.weight), OFFICIAL_EMBEDDING)
    return Recognised(
        "Sphere20a, SphereFace's network",
        f"{width(model.width, SPHERE_WIDTH)}, embedding of {embedding}",
        "the face-identity loss in training",
    )


def width(found: int, official: int) -> str:
    return f"width {found}" + (f" (officially {official})" if found != official else "")


def read_body(path: Path) -> Recognised:
    body = load_body_model(path)
    vertices, faces = len(body.v_template), len(body.faces)
    betas = body.shapedirs.shape[2]
    return Recognised(
        f"a body model of the SMPL family, {body.id!r}",
        f"{vertices} vertices, {faces} faces; read as 24 joints and {betas} betas",
        "a body in place of the built-in one (--body-model, Load Body Model)",
    )


def read_motion(path: Path) -> Recognised:
    people = load_motion_file(path)
    frames = len(people[0])
    whose = people[0].body_model or "any body"
    camera = "with" if people[0].camera is not None else "without"
    one = frames == 1 and len(people) == 1
    return Recognised(
        "a body in one picture" if one else "a motion",
        f"{len(people)} person(s), {frames} frame(s) at {people[0].fps:g} fps, {camera} camera, "
        f"of {whose}",
        "the person of a picture (--body)" if one else "a target motion (--motion, Load Motion)",
    )


NETWORKS: dict[str, Callable[[Mapping[str, Tensor], dict[str, str], Path], Recognised]] = {
    **{start: generator for start, _ in FAMILY},
    "global_model.": discriminators,
    "decpose.": spin,
    "features.": vgg19,
    "conv1_1.": sphere20a,
}
