"""Our networks against the official ones, on weights that a recipe rebuilds from key names."""

from __future__ import annotations

import functools
import os
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from lwg_core.networks import warping
from lwg_core.networks.discriminator import PartDiscriminators
from lwg_core.networks.generator import AttLWBGenerator, GeneratorConfig

FOLDER = Path(os.environ.get("LWG_PARITY_DIR", Path(__file__).parents[1] / "fixtures"))
TOLERANCE = 2e-5  # an exact algebraic rewrite in float32; the official code itself reaches 1e-5

# By the start of the variant's name; what may follow it ("_temporal") changes no weights.
VARIANTS = {
    "AttLWB-SPADE": GeneratorConfig(),
    "AttLWB-Front-SPADE": GeneratorConfig(background=False),
    "InputConcat": GeneratorConfig(strategy="concat"),
    "TextureWarping": GeneratorConfig(strategy="texture"),
    "AddLWB": GeneratorConfig(strategy="add"),
    "AvgLWB": GeneratorConfig(strategy="mean"),
    "SoftGateAddLWB": GeneratorConfig(strategy="softgate-add"),
    "SoftGateAvgLWB": GeneratorConfig(strategy="softgate-mean"),
}


@functools.lru_cache  # the discriminators of all variants share theirs
def recipe(key: str, shape: torch.Size) -> Tensor:
    seed = zlib.crc32(key.encode()) & 0xFFFFFFFF
    r = np.random.RandomState(seed).standard_normal(tuple(shape)).astype(np.float32)
    if len(shape) >= 2:
        r = r * np.float32(1.2 / np.sqrt(np.prod(shape[1:])))
    elif key.endswith("weight"):
        r = 1 + np.float32(0.1) * r
    else:
        r = np.float32(0.05) * r
    return torch.from_numpy(r)


def with_recipe_weights(model: nn.Module) -> nn.Module:
    weights = {key: recipe(key, value.shape) for key, value in model.state_dict().items()}
    model.load_state_dict(weights, assign=True)
    return model.eval()


def cases(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, dict[str, Tensor]]]:
    """{"b1ns2nt1/in/Tst": tensor, ...} -> case -> "in" | "out" -> name -> tensor."""
    found: dict[str, dict[str, dict[str, Tensor]]] = {}
    for key, value in tensors.items():
        case, side, name = key.split("/")
        found.setdefault(case, {"in": {}, "out": {}})[side][name] = value
    return found


@pytest.mark.parametrize("listed", [True, False], ids=["listed", "whole"])
@pytest.mark.parametrize(
    "path", sorted(FOLDER.glob("ipercore_*.safetensors")), ids=lambda path: path.stem
)
def test_generator(path: Path, listed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warping, "lists_pairs", lambda: listed)
    variant = path.stem.removeprefix("ipercore_")
    known = [name for name in VARIANTS if variant.startswith(name)]
    if not known:
        pytest.skip(f"no generator for the variant {variant} yet")
    with torch.device("meta"):
        model = AttLWBGenerator(VARIANTS[known[0]])
    with_recipe_weights(model)
    read = GeneratorConfig.from_state_dict(model.state_dict(), name=f"{variant}.pth")
    assert read == model.config
    for case, tensors in cases(load_file(path)).items():
        with torch.no_grad():
            results = model.forward_official(**{"bg_inputs": None, **tensors["in"]})
        assert results.keys() == tensors["out"].keys()
        for name, expected in tensors["out"].items():
            assert results[name].shape == expected.shape, (case, name)
            error = (results[name] - expected).abs().max().item()
            assert error < TOLERANCE, (case, name, error)


@pytest.mark.parametrize(
    "path", sorted(FOLDER.glob("ipercore_discriminators*.npz")), ids=lambda path: path.stem
)
def test_discriminators(path: Path) -> None:
    with np.load(path, allow_pickle=False) as file:
        tensors = {key: torch.from_numpy(file[key]) for key in file.files}
    pictures = tensors["in|x_int8_over_8"] / 8
    background = tensors["in|bg_x_int8_over_8"] / 8
    body, head = tensors["in|body_rects"], tensors["in|head_rects"]
    rects = {"local": body, "body": body, "head": head}

    names = sorted({key.split("|")[1] for key in tensors if key.startswith("out|")})
    assert names
    for name in names:
        parts = tuple(part for part in ("local", "body", "head") if part in name)
        order = ["global", *parts]
        if "augbg" in name:
            # Officially the background comes first, except beside the global one alone.
            order = ["bg", *order] if parts else ["global", "bg"]
            parts = (*parts, "bg")
        model = with_recipe_weights(PartDiscriminators(parts))
        with torch.no_grad():
            scores = model(pictures, rects, background)
        for i, part in enumerate(order):
            expected = tensors[f"out|{name}|{i}"]
            assert scores[part].shape == expected.shape, (name, part)
            assert (scores[part] - expected).abs().max() < TOLERANCE, (name, part)
