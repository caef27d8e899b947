"""Real results of SAM 3D Body: our body laid onto them, their cameras untouched."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from lwg_core.body.open_body import open_body
from lwg_core.recovery.payloads import import_mhr
from lwg_core.recovery.surface_fit import Surfaces, surface_distance

FOLDER = Path(os.environ.get("LWG_PARITY_DIR", "tests/fixtures"))
FILES = sorted(FOLDER.glob("mhr_person*.npz"))
MEAN_DISTANCE = 0.012  # metres


@pytest.mark.skipif(not FILES, reason=f"no mhr_person*.npz in {FOLDER}: not in this repository")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_real_payload_imports_close_to_its_surface(path, capsys):
    body = open_body()
    with np.load(path, allow_pickle=False) as file:
        payload = {key: file[key] for key in file.files}
    import_mhr(payload, body)  # what is cached on the body is not the payload's cost
    begin = time.process_time()
    (params,) = import_mhr(payload, body)
    milliseconds = (time.process_time() - begin) * 1e3
    theirs = torch.from_numpy(payload["pred_vertices"] + payload["pred_cam_t"])[None]
    ours = body.vertices(params.pose, params.betas) + params.camera.translation[:, None]
    distance = float(surface_distance(ours, Surfaces(theirs)))
    back = float(surface_distance(theirs, Surfaces(ours)))
    with capsys.disabled():
        print(
            f"\n{path.stem}: {distance * 1e3:.1f} mm to its surface, {back * 1e3:.1f} mm back, "
            f"{milliseconds:.0f} ms CPU"
        )
    assert distance <= MEAN_DISTANCE and back <= MEAN_DISTANCE
    assert params.valid.all() and params.betas.abs().max() < 3
    moved = torch.from_numpy(payload["pred_keypoints_3d"] + payload["pred_cam_t"])
    pixels = moved[:, :2] / moved[:, 2:] * params.camera.focal + params.camera.principal_point
    assert (pixels - torch.from_numpy(payload["pred_keypoints_2d"])).abs().max() < 0.01
