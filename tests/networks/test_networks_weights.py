from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from lwg_core import weights
from lwg_core.errors import InputError
from lwg_core.networks.config import METADATA_KEY
from lwg_core.networks.generator import AttLWBGenerator, GeneratorConfig
from lwg_core.weights import load_generator, read_state_dict, save_generator, weights_hash

OFFICIAL = GeneratorConfig(
    widths=(4, 6, 8),
    res_blocks=2,
    spade_hidden=5,
    background_widths=(4, 6, 6, 8),
    background_res_blocks=1,
)
SURFACE = dataclasses.replace(
    OFFICIAL,
    source_channels=8,
    target_channels=8,
    source_decoder=False,
    key_conv=False,
    copy_gate=True,
    inputs="surface",
    flow_extension=True,
)
SMALLER = dataclasses.replace(SURFACE, background=False, widths=(4, 6), res_blocks=0)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "generator.safetensors"
    save_generator(path, AttLWBGenerator.from_scratch(SURFACE), {"steps": "12"}, torch.float32)
    return path


@pytest.mark.parametrize("config", [OFFICIAL, SURFACE])
def test_round_trip_keeps_config_weights_and_metadata(tmp_path, config):
    model = AttLWBGenerator.from_scratch(config)
    path = tmp_path / "generator.safetensors"
    save_generator(path, model, {"steps": "12"})
    assert [file.name for file in tmp_path.iterdir()] == [path.name]

    stored, metadata = read_state_dict(path)
    assert metadata["steps"] == "12"
    assert all(value.dtype == torch.float16 for value in stored.values())
    loaded = load_generator(path)
    assert loaded.config == config and not loaded.training
    for key, value in loaded.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, model.state_dict()[key].half().float()), key
    assert all(parameter.requires_grad for parameter in loaded.parameters())


def test_config_without_background_has_no_background_shape():
    state_dict = AttLWBGenerator(SMALLER).state_dict()
    config = GeneratorConfig.from_state_dict(state_dict, SMALLER.metadata())
    assert config.widths == (4, 6) and not config.background and config.multiple == 4
    model = AttLWBGenerator(config)
    flow = torch.zeros(1, 1, 12, 8, 2)
    colour, mask = model(torch.zeros(1, 1, 8, 12, 8), torch.zeros(1, 8, 12, 8), flow)
    assert colour.shape == (1, 3, 12, 8) and mask.shape == (1, 1, 12, 8)


def test_an_official_file_needs_no_metadata_and_no_converter(tmp_path):
    model = AttLWBGenerator.from_scratch(OFFICIAL)
    wrapped = {"module." + key: value for key, value in model.state_dict().items()}
    for name, content in {"a.pth": wrapped, "b.pt": {"state_dict": wrapped}}.items():
        torch.save(content, tmp_path / name)
        loaded = load_generator(tmp_path / name)
        assert loaded.config == OFFICIAL
        assert weights_hash(loaded.state_dict()) == weights_hash(model.state_dict())


def test_changing_a_loaded_generator_leaves_its_file_alone(saved):
    before = saved.read_bytes()
    model = load_generator(saved)
    with torch.no_grad():
        model.tsf_img_reg[0].weight.zero_()
    assert saved.read_bytes() == before
    maps = Path("/proc/self/maps")
    if maps.exists():  # a file that is mapped could not be replaced on Windows
        assert str(saved) not in maps.read_text()


@pytest.mark.parametrize("keep", [0, 5, 0.3, 0.999])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_truncated_files_are_named(tmp_path, saved, keep, suffix):
    path = tmp_path / f"cut{suffix}"
    if suffix == ".pth":
        torch.save(read_state_dict(saved)[0], path)
    data = saved.read_bytes() if suffix == ".safetensors" else path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if keep < 1 else keep])
    with pytest.raises(InputError, match=f"cut{suffix}.*(damaged|no state dict|no checkpoint)"):
        load_generator(path)


class Payload:
    def __reduce__(self):
        return (open, ("payload-was-run", "w"))


def test_pickled_code_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": Payload()}, "evil.pth")
    with pytest.raises(InputError, match="evil.pth.*more than tensors"):
        read_state_dict("evil.pth")
    assert [file.name for file in tmp_path.iterdir()] == ["evil.pth"]


@pytest.mark.parametrize(
    "content",
    [
        [torch.zeros(2)],
        {},
        {"epoch": 3, "weight": torch.zeros(2)},
        {"weight": torch.zeros(1).expand(10**9)},  # a few bytes that claim gigabytes
        {"weight": torch.zeros(2, device="meta")},
        {"weight": torch.zeros(2).to_sparse()},
    ],
)
def test_files_that_are_no_state_dict(tmp_path, content):
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(InputError, match="odd.pth"):
        read_state_dict(tmp_path / "odd.pth")


@pytest.mark.parametrize(
    ("keys", "kind"),
    [
        (["enc_attlwbs.0.gate_conv.0.weight", "tsf_net_enc.layers.0.0.weight"], "SoftGateLWB"),
        (["src_net.img_reg.0.weight", "tsf_net_enc.layers.0.0.weight"], "AddLWB"),
        (["bg_net.main.0.weight", "tsf_net.img_reg.0.weight"], "InputConcat or Texture"),
        (["src_net.img_reg.0.weight", "res_attlwbs.0.fq.weight"], "AttLWB .* parts missing"),
        (["global_model.model.0.weight"], "discriminator"),
        (["flow_net.block0.model.0.weight"], "Global-Flow"),
        (["layer1.0.conv1.weight", "decpose.weight"], "SPIN"),
        (["model.diffusion_model.out.2.weight"], "diffusion"),
        (["some.weight", "other.weight"], r"something else \(2 tensors: other.weight, some"),
    ],
)
def test_other_networks_are_recognised(tmp_path, keys, kind):
    path = tmp_path / "other.safetensors"
    save_file({key: torch.zeros(4, 4, 3, 3) for key in keys}, path)
    with pytest.raises(InputError, match=f"other.safetensors looks like .*{kind}.*expected"):
        load_generator(path)


def test_mismatches_are_reported_in_one_sentence(tmp_path, saved):
    state_dict, metadata = read_state_dict(saved)
    for i in range(4):
        state_dict[f"extra.{i}"] = torch.zeros(1)
    del state_dict["tsf_img_reg.0.weight"]
    state_dict["enc_attlwbs.1.fv.bias"] = torch.zeros(7)
    save_file(state_dict, tmp_path / "bad.safetensors", metadata)
    with pytest.raises(InputError) as error:
        load_generator(tmp_path / "bad.safetensors")
    message = str(error.value)
    assert "1 missing: tsf_img_reg.0.weight" in message
    assert "4 unexpected: extra.0, extra.1, extra.2, ..." in message
    assert "enc_attlwbs.1.fv.bias (7,) instead of (6,)" in message


def test_a_claimed_giant_is_refused_before_it_is_allocated(tmp_path):
    # One real stage of a million channels would need terabytes in the blocks that are missing here.
    state_dict = AttLWBGenerator(SMALLER).state_dict()
    state_dict["tsf_net_enc.layers.1.0.weight"] = torch.zeros(1_000_000, 1, 1, 1)
    save_file(state_dict, tmp_path / "giant.safetensors", SMALLER.metadata())
    with pytest.raises(InputError, match="wrong shape"):
        load_generator(tmp_path / "giant.safetensors")


@pytest.mark.parametrize("entry", ["no json", "[1]", json.dumps({"inputs": "other"})])
def test_bad_metadata_is_named(tmp_path, saved, entry):
    state_dict, _ = read_state_dict(saved)
    save_file(state_dict, tmp_path / "meta.safetensors", {METADATA_KEY: entry})
    with pytest.raises(InputError, match="metadata|inputs"):
        load_generator(tmp_path / "meta.safetensors")


def test_broken_numbers_are_neither_saved_nor_loaded(tmp_path, saved):
    model = load_generator(saved)
    with torch.no_grad():
        model.tsf_att_reg[0].weight[0, 0, 0, 0] = 1e6  # infinite in float16
    with pytest.raises(InputError, match="tsf_att_reg.0.weight"):
        save_generator(tmp_path / "new.safetensors", model)
    assert not (tmp_path / "new.safetensors").exists()
    state_dict, metadata = read_state_dict(saved)
    state_dict["tsf_att_reg.0.weight"][0, 0, 0, 0] = torch.nan
    save_file(state_dict, tmp_path / "nan.safetensors", metadata)
    with pytest.raises(InputError, match="nan.safetensors holds NaN"):
        load_generator(tmp_path / "nan.safetensors")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(saved):
    resource = pytest.importorskip("resource")  # POSIX
    before = saved.read_bytes()
    model = load_generator(saved)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # as a disk that is full after 1 kB
    try:
        with pytest.raises(InputError, match="cannot be written"):
            save_generator(saved, model)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [file.name for file in saved.parent.iterdir()] == [saved.name]
    assert saved.read_bytes() == before
    with pytest.raises(InputError, match="cannot be written"):
        save_generator(saved / "below_a_file.safetensors", model)


def test_hash_knows_names_and_values_but_not_the_order(saved):
    state_dict, _ = read_state_dict(saved)
    digest = weights_hash(saved)
    assert digest == weights_hash(dict(reversed(state_dict.items()))) and len(digest) == 64
    key = "enc_attlwbs.0.fv.bias"
    changed = {**state_dict, key: state_dict[key] + 1e-6}
    renamed = {(k if k != key else "renamed"): v for k, v in state_dict.items()}
    halved = {k: v.bfloat16() for k, v in state_dict.items()}
    assert len({digest, *(weights_hash(d) for d in (changed, renamed, halved))}) == 4


def test_missing_files_are_named(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="nowhere.pth: no such file"):
        load_generator(tmp_path / "nowhere.pth")
    monkeypatch.setattr(weights, "DEFAULT_GENERATOR", tmp_path / "generator.safetensors")
    with pytest.raises(InputError, match="built-in generator is missing"):
        load_generator("default")


def test_load_file_of_other_tools_reads_ours(saved):
    assert load_file(saved).keys() == load_generator(saved).state_dict().keys()


@pytest.mark.parametrize("name", ["picture.pth", "picture.safetensors", "picture.png"])
def test_what_is_no_checkpoint_is_told_in_our_own_words(tmp_path, name):
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    (tmp_path / name).write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    with pytest.raises(InputError, match=f"{name} is no checkpoint") as error:
        load_generator(tmp_path / name)
    assert "torch" not in str(error.value) and "weights_only" not in str(error.value)


def test_a_checkpoint_is_known_by_its_content(tmp_path, saved):
    (tmp_path / "renamed.pth").write_bytes(saved.read_bytes())
    assert weights_hash(tmp_path / "renamed.pth") == weights_hash(saved)
