"""Our losses against the official ones, on weights that a recipe rebuilds from key names."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lwg_core.networks.discriminator import resized_crops
from lwg_core.networks.sphere20a import FACE_SIZE, Sphere20a
from lwg_core.networks.vgg import VGG19
from lwg_core.training.losses import IdentityLoss, PerceptualLoss, total_variation
from lwg_core.training.losses.adversarial import TRUE, distance_to
from lwg_core.training.losses.perceptual import resized

FOLDER = Path(os.environ.get("LWG_PARITY_DIR", Path(__file__).parents[1] / "fixtures"))
TOLERANCE = 2e-5
FILES = sorted(FOLDER.glob("ipercore_losses*.npz"))
FILES = [pytest.param(path, id=path.stem) for path in FILES] or [
    pytest.param(None, marks=pytest.mark.skip(reason=f"no ipercore_losses*.npz in {FOLDER}"))
]


@pytest.fixture(scope="module", params=FILES)
def data(request) -> dict[str, Tensor]:
    with np.load(request.param, allow_pickle=False) as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}


def recipe(key: str, shape: torch.Size) -> Tensor:
    seed = zlib.crc32(key.encode()) & 0xFFFFFFFF
    r = np.random.RandomState(seed).standard_normal(tuple(shape)).astype(np.float32)
    if r.ndim >= 2:
        r = r * np.float32(1.2 / np.sqrt(np.prod(r.shape[1:])))
    elif key.endswith("weight"):
        r = np.float32(0.25) + np.float32(0.01) * r if "relu" in key else 1 + np.float32(0.1) * r
    else:
        r = np.float32(0.05) * r
    return torch.from_numpy(r.astype(np.float32))


def with_recipe_weights(make) -> nn.Module:
    with torch.device("meta"):
        model = make()
    weights = {key: recipe(key, value.shape) for key, value in model.state_dict().items()}
    model.load_state_dict(weights, assign=True)
    return model.eval().requires_grad_(False)


def close(ours: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(ours.reshape(-1), expected.reshape(-1), atol=TOLERANCE, rtol=0)


def test_perceptual(data):
    network = with_recipe_weights(VGG19)
    a, b = data["in|a"], data["in|b"]
    pairs = zip(network(resized(a)), network(resized(b)), strict=True)
    close(torch.stack([(x - y).abs().mean() for x, y in pairs]), data["out|vgg19_l1_per_slice"])
    close(PerceptualLoss(network)(a, b), data["out|vgg19_loss"])


def test_face_identity(data):
    network = with_recipe_weights(Sphere20a)
    a, b, heads = data["in|a"], data["in|b"], data["in|head_bbox"]
    close(network(resized_crops(a, heads, FACE_SIZE))[-1], data["out|face_embed512"])
    close(IdentityLoss(network)(a, b, heads), data["out|face_loss"])


def test_total_variation_and_least_squares(data):
    close(total_variation(data["in|a"]), data["out|tv"])
    scores = {"global": data["in|a"], "bg": data["in|b"]}
    close(distance_to(scores, TRUE), data["out|lsgan_target1"])
