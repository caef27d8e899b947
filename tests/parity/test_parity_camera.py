"""The official camera strategies and the stabilisation of the reference."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from lwg_core.flow.official_camera import (
    from_official,
    jump_frames,
    stabilize,
    swap_camera,
    to_official,
)
from lwg_core.render.camera import Camera

FOLDER = Path(os.environ.get("LWG_PARITY_DIR", Path(__file__).parents[1] / "fixtures"))
FILES = sorted(FOLDER.glob("ipercore_camera_smooth*.npz"))
pytestmark = [
    pytest.mark.skipif(not FILES, reason=f"no ipercore_camera_smooth*.npz in {FOLDER}"),
    pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem),
]


def arrays(path: Path) -> dict[str, torch.Tensor]:
    with np.load(path, allow_pickle=False) as data:
        return {key: torch.from_numpy(data[key]) for key in data}


@pytest.mark.parametrize("strategy", ["smooth", "source", "ref_txty", "copy"])
def test_strategies(path, strategy):
    data = arrays(path)
    source, reference, first = (data[f"in|{name}_cam"] for name in ("src", "ref", "first"))
    ours = swap_camera(source, reference, strategy, first)
    torch.testing.assert_close(ours, data[f"out|cam_{strategy}"], atol=1e-6, rtol=1e-6)


def test_stabilisation_and_its_jumps(path):
    data = arrays(path)
    camera, feet = data["in|stab_smpls"][:, :3], data["in|stab_foot_y_model"]
    torch.testing.assert_close(
        stabilize(camera, feet), data["out|stab_smpls"][:, :3], atol=1e-6, rtol=0
    )
    jumping = jump_frames(feet + camera[:, 2])
    assert torch.equal(jumping, data["out|stab_jump_mask"] > 0)


def test_the_way_to_official_cameras_and_back(path):
    """A portrait picture, whose square is as long as its height."""
    official = arrays(path)["in|src_cam"]
    like = Camera(torch.ones(1), torch.zeros(1, 2), (512, 384))
    camera = from_official(official, like)
    torch.testing.assert_close(to_official(camera), official, atol=1e-6, rtol=1e-5)
    point = torch.tensor([0.3, -0.4, 2.0])
    seen = camera.project(point.expand(len(official), 1, 3))[:, 0, :2]
    normalised = official[:, :1] * (point[:2] + official[:, 1:])
    torch.testing.assert_close(seen, torch.tensor([192.0, 256.0]) + 256 * normalised)
