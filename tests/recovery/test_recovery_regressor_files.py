"""Files of regressors: every accepted form, other models by name, nothing executed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tiny_regressor import (
    TINY,
    state_of,
    tiny_regressor,
)  # fmt: skip

from lwg_core.errors import InputError
from lwg_core.recovery.regressor.files import key_names, load_regressor
from lwg_core.recovery.regressor.network import Regressor


@pytest.fixture(scope="module")
def tiny() -> Regressor:
    return tiny_regressor()


def test_round_trips_through_every_accepted_form(tmp_path, tiny):
    state = state_of(tiny)
    prefixed = {f"module.{key}": value for key, value in state.items()}
    torch.save(state, tmp_path / "plain.pth")
    torch.save(prefixed, tmp_path / "prefixed.pt")
    training = {"model": state, "optimizer": {"state": {}, "param_groups": []}, "epoch": 3}
    torch.save(training, tmp_path / "wrapped.pt")
    torch.save(training, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    save_file(state, tmp_path / "plain.safetensors")
    halves = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    save_file(halves, tmp_path / "half.safetensors")
    image = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = tiny(image).official()
        for path in sorted(tmp_path.iterdir()):
            loaded = load_regressor(path)
            assert loaded.config == TINY and not loaded.training
            assert loaded.fc1.weight.dtype == torch.float32
            tolerance = 2e-2 if path.stem == "half" else 0
            torch.testing.assert_close(loaded(image).official(), expected, atol=tolerance, rtol=0)


def test_the_default_shape_is_the_official_one():
    with torch.device("meta"):
        keys = Regressor().state_dict()
    assert len(keys) == 331
    assert keys["fc1.weight"].shape == (1024, 2205) and keys["decpose.weight"].shape == (144, 1024)
    assert keys["layer4.2.conv3.weight"].shape == (2048, 512, 1, 1)


def test_every_layer_with_weights_comes_from_operations():
    class Own:
        class Conv2d(torch.nn.Conv2d):
            pass

        class BatchNorm2d(torch.nn.BatchNorm2d):
            pass

        class Linear(torch.nn.Linear):
            pass

    model = Regressor(TINY, Own)
    layers = [m for m in model.modules() if list(m.parameters(recurse=False))]
    assert len(layers) > 40
    assert all(isinstance(layer, (Own.Conv2d, Own.BatchNorm2d, Own.Linear)) for layer in layers)


class HyperParameters:
    """Stands for the configuration objects that training frameworks put beside the tensors."""

    def __reduce__(self):
        return (open, ("payload-was-run", "w"))


@pytest.mark.parametrize(
    ("keys", "kind"),
    [
        (["smpl_head.decpose.weight", "backbone.blocks.0.attn.qkv.weight"], "HMR2"),
        (["smpl_head.decpose_grot.weight", "backbone.blocks.0.attn.qkv.weight"], "TokenHMR"),
        (["smpl_head.deckp.weight", "backbone.blocks.0.attn.qkv.weight"], "CameraHMR"),
        (["head.keypoint_deconv_layers.0.weight", "backbone.conv1.weight"], "PARE"),
        (["head.decpose.weight", "backbone.conv1.weight"], "PARE's or BEDLAM's"),
        (["regressor.decpose.weight", "encoder.gru.weight_ih_l0"], "VIBE"),
    ],
)
@pytest.mark.parametrize("form", ["ckpt", "old", "safetensors"])
def test_other_regressors_are_named_without_unpickling(tmp_path, monkeypatch, keys, kind, form):
    monkeypatch.chdir(tmp_path)
    tensors = {key: torch.zeros(2, 2) for key in keys}
    if form == "safetensors":
        save_file(tensors, "other.safetensors")
    else:
        content = {"state_dict": tensors, "hyper_parameters": HyperParameters()}
        torch.save(content, "other.ckpt", _use_new_zipfile_serialization=form == "ckpt")
    path = next(tmp_path.iterdir())
    with pytest.raises(InputError, match=f"{path.name} is .*{kind}.* not supported yet.*import"):
        load_regressor(path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_executable_files_are_refused_and_not_executed(tmp_path, monkeypatch, tiny):
    monkeypatch.chdir(tmp_path)
    for form in (True, False):
        content = {"model": state_of(tiny), "hyper_parameters": HyperParameters()}
        torch.save(content, "evil.pt", _use_new_zipfile_serialization=form)
        with pytest.raises(InputError, match="evil.pt.*more than tensors"):
            load_regressor("evil.pt")
    assert [file.name for file in tmp_path.iterdir()] == ["evil.pt"]


def test_what_is_no_regressor_gets_a_sentence(tmp_path, tiny):
    def refused(state, pattern):
        save_file(state, tmp_path / "some.safetensors")
        with pytest.raises(InputError, match=pattern):
            load_regressor(tmp_path / "some.safetensors")

    refused({"enc_attlwbs.0.fq.weight": torch.zeros(2)}, "some.safetensors looks like .*AttLWB")
    refused({"weight": torch.zeros(2)}, "something else.*expected a SPIN body regressor")
    state = state_of(tiny)
    del state["bn1.running_mean"]
    state["fc1.weight"] = state["fc1.weight"][:, 1:].clone()
    state["extra"] = torch.zeros(1)
    refused(state, "1 missing: bn1.running_mean; 1 unexpected: extra; 1 of the wrong shape: fc1")
    state = state_of(tiny)
    state["conv1.weight"] = torch.zeros(10**9, 0)  # a few bytes that claim gigabytes
    refused(state, "expected a SPIN body regressor")
    state = state_of(tiny)
    state["deccam.bias"][0] = torch.nan
    refused(state, "holds NaN")
    with pytest.raises(InputError, match="nowhere.pt: no such file"):
        load_regressor(tmp_path / "nowhere.pt")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(InputError, match="text.pt"):
        load_regressor(tmp_path / "text.pt")


def test_damaged_files_never_crash_the_name_reader(tmp_path, tiny):
    torch.save(state_of(tiny), tmp_path / "new.pt")
    torch.save(state_of(tiny), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    generator = np.random.default_rng(0)
    for name in ("new.pt", "old.pt"):
        whole = (tmp_path / name).read_bytes()
        assert "decpose.weight" in key_names(tmp_path / name)
        for trial in range(40):
            data = bytearray(whole[: len(whole) >> int(generator.integers(0, 9))])
            for place in generator.integers(0, min(len(data), 4000), 20):
                data[place] = int(generator.integers(256))
            path = tmp_path / f"{trial}.pt"
            path.write_bytes(bytes(data))
            assert all(isinstance(found, str) for found in key_names(path))
