"""The generator on ComfyUI's layers, run by a ComfyUI checkout's own interpreter."""

from __future__ import annotations

import os
import subprocess
import warnings
from pathlib import Path

import pytest

COMFYUI = Path(os.environ.get("COMFYUI_PATH", Path.home() / "ComfyUI"))
PYTHONS = (COMFYUI / ".venv" / "bin" / "python", COMFYUI / ".venv" / "Scripts" / "python.exe")
REPOSITORY = Path(__file__).resolve().parents[2]

SCRIPT = """
import sys
from comfy.cli_args import args
args.cpu = True
import comfy.ops, torch
from lwg_core.networks.generator import AttLWBGenerator, GeneratorConfig
from lwg_core.weights import load_generator, save_generator

torch.set_num_threads(1)
torch.manual_seed(0)
inputs = (
    torch.rand(1, 1, 4, 32, 32),
    torch.rand(1, 2, 6, 32, 32) * 2 - 1,
    torch.rand(1, 2, 6, 32, 32) * 2 - 1,
    torch.rand(1, 2, 2, 32, 32, 2) * 2.2 - 1.1,
)
def run(operations, dtype=torch.float32):
    model = load_generator(sys.argv[1], operations).to(dtype)
    plain = (torch.nn.Conv2d, torch.nn.ConvTranspose2d)
    layers = [module for module in model.modules() if isinstance(module, plain)]
    kinds = (operations.Conv2d, operations.ConvTranspose2d)
    assert len(layers) > 20 and all(isinstance(layer, kinds) for layer in layers)
    with torch.inference_mode():
        return model.forward_official(*inputs)

for strategy in ("attention", "softgate-mean", "add", "concat"):
    config = GeneratorConfig(
        strategy=strategy, widths=(8, 12, 16), res_blocks=2, spade_hidden=8, copy_gate=True,
        background_widths=(4, 8, 8, 12), background_res_blocks=1,
    )
    save_generator(sys.argv[1], AttLWBGenerator.from_scratch(config), dtype=torch.float32)
    expected = run(torch.nn)
    for operations, dtype, tolerance in [
        (comfy.ops.disable_weight_init, torch.float32, 1e-6),
        (comfy.ops.manual_cast, torch.float32, 1e-6),
        (comfy.ops.manual_cast, torch.float16, 5e-3),
        (comfy.ops.manual_cast, torch.bfloat16, 4e-2),
    ]:
        results = run(operations, dtype)
        for name, value in expected.items():
            error = (results[name] - value).abs().max().item()
            assert results[name].dtype == torch.float32, (name, dtype)
            assert error < tolerance, (strategy, operations.__name__, dtype, name, error)
print("parity holds")
"""


def test_generator_on_comfy_ops(tmp_path):
    python = next((python for python in PYTHONS if python.exists()), None)
    if python is None:
        warnings.warn(f"comfy.ops NOT TESTED: no ComfyUI with a .venv at {COMFYUI}", stacklevel=1)
        pytest.skip("no ComfyUI checkout (COMFYUI_PATH)")
    result = subprocess.run(
        [str(python), "-c", SCRIPT, str(tmp_path / "generator.safetensors")],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(COMFYUI), str(REPOSITORY)]),
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0 and "parity holds" in result.stdout, result.stderr[-3000:]
