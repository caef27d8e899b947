"""``weights check``: every supported kind of file is recognised, others are told in a sentence."""

from __future__ import annotations

import pickle
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

sys.path.append(str(Path(__file__).parent))
from command_line import refused  # noqa: E402

from lwg_core import cli  # noqa: E402
from lwg_core.body.files import save_params  # noqa: E402
from lwg_core.body.params import JOINT_PARENTS, SmplParams  # noqa: E402
from lwg_core.errors import InputError  # noqa: E402
from lwg_core.networks.config import GeneratorConfig  # noqa: E402
from lwg_core.networks.discriminator import PartDiscriminators  # noqa: E402
from lwg_core.networks.generator import AttLWBGenerator  # noqa: E402
from lwg_core.networks.sphere20a import Sphere20a  # noqa: E402
from lwg_core.networks.vgg import VGG19  # noqa: E402
from lwg_core.recognition import recognise  # noqa: E402
from lwg_core.recovery.regressor.network import Regressor, RegressorConfig  # noqa: E402
from lwg_core.training.personalize import Personalization, save_personalized  # noqa: E402
from lwg_core.weights import DEFAULT_GENERATOR, save_generator  # noqa: E402

TINY = {"widths": (4, 4, 4), "res_blocks": 1}
BACKGROUND = {"background_widths": (4, 4, 4, 4), "background_res_blocks": 1}


def body_arrays(vertices: int = 40) -> dict[str, np.ndarray]:
    """A body with SMPL's joints on a mesh of its own."""
    rng = np.random.default_rng(0)
    weights = rng.random((vertices, 24)) + 0.1
    return {
        "v_template": rng.uniform(-0.9, 0.9, (vertices, 3)),
        "shapedirs": 0.01 * rng.standard_normal((vertices, 3, 10)),
        "J_regressor": rng.random((24, vertices)),
        "weights": weights / weights.sum(1, keepdims=True),
        "kintree_table": np.array([[2**32 - 1, *JOINT_PARENTS[1:]], range(24)], np.uint32),
        "f": rng.integers(0, vertices, (50, 3)),
    }


def official(strategy: str = "attention") -> dict[str, torch.Tensor]:
    config = GeneratorConfig(strategy=strategy, **TINY, **BACKGROUND)
    return AttLWBGenerator(config).state_dict()


def prefixed(weights):
    return {f"module.{key}": value for key, value in weights.items()}


def check(path: Path, capsys) -> str:
    assert cli.main(["weights", "check", str(path)]) == 0
    output = capsys.readouterr()
    assert not output.err
    lines = output.out.splitlines()
    assert len(lines) == 3 and lines[1].startswith("  shape: ") and lines[2].startswith("  for: ")
    assert lines[0].startswith(f"{path.name}: ")
    return output.out


def test_the_shipped_generator(capsys):
    said = check(DEFAULT_GENERATOR, capsys)
    assert (
        ": AttLWB generator of the Liquid Warping GAN, this project's own layout" in said
        and "float16" in said
    )


@pytest.mark.parametrize(
    "strategy, name, kind",
    [
        ("attention", "G", "AttLWB generator of the Liquid Warping GAN, official layout\n"),
        ("add", "G", "AddLWB or AvgLWB generator .*; its tensors do not tell which"),
        ("mean", "AvgLWB_G", ": AvgLWB generator .*, official layout\n"),
        ("softgate-mean", "G", "SoftGateAddLWB or SoftGateAvgLWB generator .*do not tell"),
        ("concat", "G", "InputConcat generator"),
        ("texture", "G", "TextureWarping generator"),
    ],
)
def test_official_generators(tmp_path, capsys, strategy, name, kind):
    torch.save(prefixed(official(strategy)), tmp_path / f"{name}.pth")
    said = check(tmp_path / f"{name}.pth", capsys)
    assert re.search(kind, said), said
    assert "widths 4, 4, 4, 1 residual blocks, with background network" in said
    assert f"in {len(official(strategy))} tensors, float32" in said


def test_generators_of_ours(tmp_path, capsys):
    model = AttLWBGenerator(GeneratorConfig.surface((4, 4, 4), 1, 4))
    record = Personalization("0" * 64, "1" * 64, 30, 0, 1e-4, 256)
    save_personalized(tmp_path / "me.safetensors", model, record)
    said = check(tmp_path / "me.safetensors", capsys)
    assert "personalized: 30 steps at 256 px" in said and "Load Personalized" in said
    add = AttLWBGenerator(GeneratorConfig.surface((4, 4, 4), 1, strategy="add"))
    save_generator(tmp_path / "add.safetensors", add)
    said = check(tmp_path / "add.safetensors", capsys)
    assert ": AddLWB generator" in said and "do not tell" not in said


def test_networks_of_the_losses_and_of_recovery(tmp_path, capsys):
    spin = Regressor(RegressorConfig(4, (1, 1, 1, 1), 8)).state_dict()
    cases = {
        "vgg.pth": (VGG19(4).state_dict(), "VGG-19 .*width 4 .officially 64.*perceptual loss"),
        "face.pth": (Sphere20a(4, 8).state_dict(), "Sphere20a.*of width 8 .*face-identity"),
        "D.pth": (PartDiscriminators(("body", "bg"), width=4).state_dict(),
                  "discriminators .*whole picture, body, background.*width 4, 6 input"),
        "spin.pt": ({"model": spin}, "SPIN .*width 4 .*4 bottlenecks, 8 hidden.*--method spin"),
    }  # fmt: skip
    for name, (weights, words) in cases.items():
        torch.save(weights, tmp_path / name)
        said = " ".join(check(tmp_path / name, capsys).splitlines())
        assert re.search(words, said), said


def test_bodies_and_motions(tmp_path, capsys):
    arrays = body_arrays()
    np.savez(tmp_path / "mine.npz", **arrays)
    tensors = {key: torch.from_numpy(a.astype(np.float32)) for key, a in arrays.items()}
    tensors["kintree_table"] = torch.tensor(arrays["kintree_table"].astype(np.int64))
    save_file(tensors, tmp_path / "mine.safetensors")
    (tmp_path / "mine.pkl").write_bytes(pickle.dumps(arrays))
    for name in ("mine.npz", "mine.safetensors", "mine.pkl"):
        said = check(tmp_path / name, capsys)
        assert "body model of the SMPL family, 'mine'" in said
        assert "40 vertices, 50 faces; read as 24 joints and 10 betas" in said
    save_params(tmp_path / "clip.npz", SmplParams(torch.zeros(3, 24, 3), fps=12))
    said = check(tmp_path / "clip.npz", capsys)
    assert "a motion" in said and "1 person(s), 3 frame(s) at 12 fps, without camera" in said
    save_params(tmp_path / "one.npz", SmplParams(torch.zeros(1, 24, 3)))
    assert "a body in one picture" in check(tmp_path / "one.npz", capsys)


class Hostile:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_what_a_file_is_not(tmp_path, capsys):
    vgg, generator = VGG19(4).state_dict(), official()
    nan = torch.full((4,), torch.nan)
    cases = {
        "sd.safetensors": ({"model.diffusion_model.x": nan}, "a diffusion model, .*not supported"),
        "gfla.pth": ({"flow_net.block0.weight": nan}, "Global-Flow .*not supported"),
        "other.pth": ({"backbone.stem": nan}, r"something else \(1 tensors: backbone.stem.*known"),
        "half.pth": ({k: v for k, v in vgg.items() if k != "features.2.bias"}, "does not fit VGG"),
        "half_G.pth": (dict(list(generator.items())[:-2]), "does not fit|parts missing"),
        "nan.pth": ({**vgg, "features.2.bias": nan}, "NaN or infinite"),
        "code.pth": (
            {"features.0.weight": Hostile(tmp_path / "made")},
            "damaged, incomplete or holds more",
        ),
    }
    for name, (weights, words) in cases.items():
        path = tmp_path / name
        save_file(weights, path) if path.suffix == ".safetensors" else torch.save(weights, path)
        refused(capsys, ["weights", "check", str(path)], words)
    assert not (tmp_path / "made").exists()

    (tmp_path / "text.txt").write_text("hello")
    (tmp_path / "empty.pth").touch()
    (tmp_path / "cut.pth").write_bytes((tmp_path / "half.pth").read_bytes()[:2000])
    np.savez(tmp_path / "arrays.npz", x=np.zeros(3))
    for name, words in {
        "text.txt": "no checkpoint.*known are",
        "empty.pth": "no checkpoint",
        "cut.pth": "cannot be read as weights|damaged",
        "arrays.npz": "arrays.npz: holds x",
        "absent.pth": "there is no such file",
        ".": "is a folder",
    }.items():
        refused(capsys, ["weights", "check", str(tmp_path / name)], words)


def test_damaged_weights_are_told_in_sentences(tmp_path):
    """Tensors lost, or of other shapes: nothing but an InputError, never another network."""
    rng = np.random.default_rng(0)
    states = [official(), official("add"), official("concat"), VGG19(4).state_dict(),
              Sphere20a(4, 8).state_dict(), PartDiscriminators(("bg",), width=4).state_dict(),
              Regressor(RegressorConfig(4, (1, 1, 1, 1), 8)).state_dict()]  # fmt: skip
    shapes = ((), (0,), (1,), (4, 0), (3, 4, 1), (4, 4, 3, 3), (100_000, 0, 3, 3))
    for state in states:
        keys = list(state)
        for _ in range(25):
            damaged = dict(state)
            for key in rng.choice(keys, rng.integers(1, 4), replace=False):
                how = rng.integers(len(shapes) + 1)
                if how == len(shapes) or shapes[how] == tuple(state[key].shape):
                    del damaged[str(key)]
                else:
                    damaged[str(key)] = torch.zeros(shapes[how])
            torch.save(damaged, tmp_path / "AddLWB.pth")
            with pytest.raises(InputError):
                recognise(tmp_path / "AddLWB.pth")
