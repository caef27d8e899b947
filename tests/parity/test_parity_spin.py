"""Our SPIN regressor and its crop against the official ones, on weights rebuilt from key names."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from lwg_core.body.rotations import matrix_to_axis_angle
from lwg_core.recovery.regressor.crop import Windows, crop, windows
from lwg_core.recovery.regressor.network import Regressor, official_rotations

FOLDER = Path(os.environ.get("LWG_PARITY_DIR", Path(__file__).parents[1] / "fixtures"))
TOLERANCE = 2e-5
CROP_TOLERANCE = 1.01 / 255  # the official crop is rounded to whole grey levels
STARTS = {
    "init_pose": [1.0, 0, 0, 1, 0, 0] * 24,
    "init_shape": [0.0] * 10,
    "init_cam": [0.9, 0, 0],
}


def arrays(path: Path) -> dict[str, Tensor]:
    with np.load(path, allow_pickle=False) as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}


def files(start: str, but: str = "*") -> list:
    """The fixtures whose names begin so, as parameters of a test."""
    found = sorted(path for path in FOLDER.glob(f"{start}*.npz") if but not in path.stem)
    missing = pytest.param(None, marks=pytest.mark.skip(reason=f"no {start}*.npz in {FOLDER}"))
    return [pytest.param(path, id=path.stem) for path in found] or [missing]


def recipe(key: str, value: Tensor) -> Tensor:
    if key in STARTS:
        return torch.tensor([STARTS[key]])
    if not value.is_floating_point():
        return torch.zeros(value.shape, dtype=value.dtype)
    seed = zlib.crc32(key.encode()) & 0xFFFFFFFF
    r = np.random.RandomState(seed).standard_normal(tuple(value.shape)).astype(np.float32)
    if key.endswith("running_var"):
        r = 0.75 + 0.5 * np.abs(r)
    elif key.endswith("running_mean"):
        r = 0.1 * r
    elif r.ndim >= 2:
        r = r * np.float32(1.2 / np.sqrt(np.prod(r.shape[1:])))
    elif key.endswith("weight"):
        r = 1 + np.float32(0.1) * r
    else:
        r = np.float32(0.05) * r
    if key.startswith("dec") and key.endswith(".weight"):
        r = r * np.float32(0.02)
    if key.endswith(".bn3.weight"):
        r = r * np.float32(0.3)
    return torch.from_numpy(r.astype(np.float32))


@pytest.fixture(scope="module")
def regressor() -> Regressor:
    with torch.device("meta"):
        model = Regressor()
    weights = {key: recipe(key, value) for key, value in model.state_dict().items()}
    assert len(weights) == 331
    model.load_state_dict(weights, assign=True)
    return model.eval()


@pytest.mark.parametrize("path", files("ipercore_spin", but="crop"))
@torch.no_grad()
def test_network(path, regressor):
    data = arrays(path)
    features = regressor.features(data["in|image"])
    torch.testing.assert_close(features, data["mid|feat2048"], atol=TOLERANCE, rtol=0)
    for iterations in (1, 3):
        expected = data[f"out|preds85_iter{iterations}"]
        ours = regressor.regress(features, iterations).official()
        torch.testing.assert_close(ours, expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("path", files("ipercore_spin_crop"))
def test_crop(path):
    data = arrays(path)
    image = data["in|image_bgr"].flip(-1).permute(2, 0, 1)[None].float() / 127.5 - 1
    where = windows(data["in|box_xyxy"][None], tuple(image.shape[2:]), official=True)
    # The official start counts from a border of half a crop, and names the crop's middle.
    assert (where.start[0] + 2 * 112).tolist() == data["out|start_pt"].tolist()
    ours = crop(image, where)[0]
    torch.testing.assert_close(ours, data["out|proc_rgb01"], atol=CROP_TOLERANCE, rtol=0)


@pytest.mark.parametrize("path", files("ipercore_camera_smooth"))
def test_crop_camera(path):
    data = arrays(path)
    camera, scale, start = (data[f"in|hmr_{name}"] for name in ("cam", "scale", "start_pt"))
    where = Windows(scale.expand(-1, 2), start - 2 * 112, (512, 512))
    ours, true = where.camera(camera)
    assert true.all()
    expected = data["out|cam_orig"]  # pixels per metre, and metres
    torch.testing.assert_close(ours.scale, expected[:, 0], atol=1e-4, rtol=0)
    torch.testing.assert_close(ours.center, expected[:, :1] * expected[:, 1:], atol=1e-3, rtol=0)


@pytest.mark.parametrize("path", files("ipercore_losses"))
def test_six_numbers_to_rotations(path):
    data = arrays(path)
    matrices = official_rotations(data["rot|in6d"])
    torch.testing.assert_close(matrices, data["rot|rotmat"], atol=TOLERANCE, rtol=0)
    ours = matrix_to_axis_angle(matrices)
    torch.testing.assert_close(ours, data["rot|aa"], atol=TOLERANCE, rtol=0)
