"""The face maps of the official renderer, drawn again.

It draws a weak-perspective body xy = s * (X + t) in [-1, 1] coordinates with y down, and only the
faces that turn to the viewer. Its z-buffer works on a depth shifted by 2.732 and interpolated
perspective-correctly, so a few pixels where two surfaces nearly touch may differ.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from lwg_core.render.raster import rasterize, silhouette

FOLDER = Path(os.environ.get("LWG_PARITY_DIR", Path(__file__).parents[1] / "fixtures"))
FILES = sorted(FOLDER.glob("ipercore_flow_*.npz"))


@pytest.mark.skipif(not FILES, reason=f"no ipercore_flow_*.npz in {FOLDER} (LWG_PARITY_DIR)")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("view", ["ref", "src"])
def test_face_maps(path, view):
    data = np.load(path, allow_pickle=False)
    faces = torch.from_numpy(data["in|smpl_faces"]).long()
    vertices, camera, face_map, weights = (
        torch.from_numpy(data[key])
        for key in (f"in|{view}_verts", f"in|{view}_cam", f"{view}|fim", f"{view}|wim")
    )
    size = face_map.shape[1:]
    half = vertices.new_tensor([size[1] / 2, size[0] / 2])
    pixels = (camera[:, None, :1] * (vertices[..., :2] + camera[:, None, 1:]) + 1) * half
    raster = rasterize(torch.cat([pixels, vertices[..., 2:]], -1), faces, tuple(size), cull=-1)

    assert torch.equal(silhouette(raster)[:, 0] > 0, face_map >= 0)
    equal = raster.face_index == face_map
    assert equal.float().mean() > 0.999
    # Its weights come from 3x3 inverses in float32, far from exact on slivers.
    error = (raster.barycentric - weights).abs().amax(-1)[equal & (face_map >= 0)]
    assert error.median() < 3e-4 and error.quantile(0.999) < 0.05
