"""An official checkpoint in small: every key of the official file, a few channels each."""

import pytest
import torch

from lwg_core.networks.generator import AttLWBGenerator, GeneratorConfig
from lwg_core.weights import load_generator

OFFICIAL_KEYS = 221


@pytest.fixture(scope="session")
def official_file(tmp_path_factory):
    config = GeneratorConfig(
        widths=(4, 6, 8), spade_hidden=5, background_widths=(4, 6, 6, 8), background_res_blocks=6
    )
    state_dict = AttLWBGenerator.from_scratch(config).state_dict()
    assert len(state_dict) == OFFICIAL_KEYS
    path = tmp_path_factory.mktemp("official") / "AttLWB-SPADE_id_G.pth"
    torch.save(state_dict, path)
    return path


@pytest.fixture(scope="session")
def official(official_file):
    return load_generator(official_file)
