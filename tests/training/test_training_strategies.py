"""Training and personalization of generators with every warping strategy."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parent))
from people import SIZE, source  # noqa: E402

from lwg_core.body.open_body import open_body  # noqa: E402
from lwg_core.networks.config import STRATEGY_NAMES  # noqa: E402
from lwg_core.networks.generator import AttLWBGenerator, GeneratorConfig  # noqa: E402
from lwg_core.training.personalize import personalize  # noqa: E402
from lwg_core.training.train import arguments, build  # noqa: E402
from lwg_core.weights import load_generator, save_generator  # noqa: E402

COMMAND = ["train", "--data", "data", "--test", "test", "--output", "run"]
SHAPE = ["--widths", "8,12,16", "--res-blocks", "1", "--spade-hidden", "8"]


@pytest.mark.parametrize("strategy", STRATEGY_NAMES)
def test_the_option_builds_a_generator_of_surface_inputs(strategy, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", [*COMMAND, *SHAPE, "--strategy", strategy])
    generator = build(arguments())
    assert generator.config.strategy == strategy and generator.config.inputs == "surface"
    save_generator(tmp_path / "weights.safetensors", generator, dtype=torch.float32)

    path = str(tmp_path / "weights.safetensors")
    monkeypatch.setattr(sys, "argv", [*COMMAND, "--weights", path])
    assert build(arguments()).config == generator.config == load_generator(path).config


def test_without_the_option_it_is_attention(monkeypatch):
    monkeypatch.setattr(sys, "argv", [*COMMAND, *SHAPE])
    assert build(arguments()).config == GeneratorConfig.surface((8, 12, 16), 1, 8)


@pytest.mark.parametrize("strategy", ["concat", "texture", "add", "softgate-mean"])
def test_personalization_moves_all_but_the_mask(strategy):
    config = GeneratorConfig.surface((8, 12, 16), 1, strategy=strategy)
    base = AttLWBGenerator.from_scratch(config)
    tuned, losses = personalize(base, (source(0.0), source(3.1)), open_body(), steps=2, size=SIZE)
    assert tuned.config == config and len(losses) == 2
    colours, masks = ([model.heads[i].weight for model in (base, tuned)] for i in (0, 1))
    assert not torch.equal(*colours) and torch.equal(*masks)
