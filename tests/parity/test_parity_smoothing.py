"""The official smoothing of a reference sequence: Butterworth of order 5 over 6D poses and cameras.

Its cut-offs are 300 (pose) and 100 (camera) of 2208, or 400 and 150.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from lwg_core.body.params import SmplParams
from lwg_core.body.rotations import axis_angle_to_matrix
from lwg_core.recovery.smoothing import CAMERA_CUTOFF, POSE_CUTOFF, low_pass, smooth_params
from lwg_core.render.camera import Camera

FOLDER = Path(os.environ.get("LWG_PARITY_DIR", Path(__file__).parents[1] / "fixtures"))
FILES = sorted(FOLDER.glob("ipercore_camera_smooth*.npz"))


@pytest.mark.skipif(not FILES, reason=f"no ipercore_camera_smooth*.npz in {FOLDER}")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("pose_cut, camera_cut", [(300, 100), (400, 150)])
def test_butterworth(path, pose_cut, camera_cut):
    data = np.load(path, allow_pickle=False)
    given, official = (
        torch.from_numpy(data[key]).double()
        for key in ("in|smooth_smpls", f"out|smooth_smpls_pose{pose_cut}_cam{camera_cut}")
    )
    cameras = low_pass(given[:, :3].numpy(), camera_cut / 2208)
    assert np.abs(cameras - official[:, :3].numpy()).max() < 1e-10
    # Strength divides the cut-offs: 300 of 2208 at strength 1.
    params = SmplParams(given[:, 3:75].unflatten(1, (24, 3)))
    ours = smooth_params(params, "butterworth", POSE_CUTOFF / (pose_cut / 2208)).pose
    turned = (axis_angle_to_matrix(p.reshape(-1, 24, 3)) for p in (ours, official[:, 3:75]))
    assert (next(turned) - next(turned)).abs().max() < 1e-10


@pytest.mark.skipif(not FILES, reason=f"no ipercore_camera_smooth*.npz in {FOLDER}")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_cameras_in_pixels(path):
    """The official (s, tx, ty) as a camera of a square image is filtered alike."""
    data = np.load(path, allow_pickle=False)
    given, official = (
        torch.from_numpy(data[key]).double()[:, :3]
        for key in ("in|smooth_smpls", "out|smooth_smpls_pose300_cam100")
    )
    assert CAMERA_CUTOFF == 100 / 2208
    half, above = 256.0, 100.0  # random numbers, lifted above zero; the filter keeps constants
    scale = (given[:, 0] + above) * half
    camera = Camera(scale, half + scale[:, None] * given[:, 1:], (512, 512))
    params = SmplParams(torch.zeros(len(given), 24, 3).double(), camera=camera)
    ours = smooth_params(params, "butterworth").camera
    assert (ours.scale / half - above - official[:, 0]).abs().max() < 1e-6
    assert ((ours.center - half) / ours.scale[:, None] - official[:, 1:]).abs().max() < 1e-6
