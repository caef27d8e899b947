"""The official flow composition, given its own face maps: what every generator input is made of."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from lwg_core.flow.official import (
    OfficialTables,
    draw,
    draw_uv,
    official_inputs,
    project,
    silhouettes,
    visible_triangles,
)
from lwg_core.render.raster import Raster

FOLDER = Path(os.environ.get("LWG_PARITY_DIR", "tests/fixtures"))
FILES = sorted(FOLDER.glob("ipercore_flow*.npz"))
OUTPAD_KERNELS = (9, 13, 25, 51)  # training, 512 px scaled to 128 and 256 px, deployment
TOLERANCE = 1e-5

needs_file = pytest.mark.skipif(
    not FILES,
    reason=f"no ipercore_flow*.npz in {FOLDER}: it is SMPL-derived and not part of this repository",
)


@pytest.fixture(scope="module", params=FILES, ids=lambda path: path.stem)
def composed(request):
    """The file's arrays, their tables and rasters, and our inputs from them."""
    with np.load(request.param, allow_pickle=False) as file:
        data = {key: torch.from_numpy(file[key]) for key in file.files}
    tables = OfficialTables(
        faces=data["in|smpl_faces"].long(),
        uv_faces=data["in|obj_faces"].long(),
        face_code=data["in|map_fn"],
        uv_corners=data["in|f_uvs2img"],
        uv_triangles=data["in|f_img2uvs"],
        neighbors=data["in|face_k_nearest"].long(),
    )

    def raster(prefix: str) -> Raster:
        face_index, barycentric = data[f"{prefix}fim"], data[f"{prefix}wim"]
        return Raster(face_index, barycentric, torch.zeros_like(barycentric[..., 0]))

    rasters = [raster(prefix) for prefix in ("src|", "src|obj_", "ref|", "uv|")]
    masks = data["in|src_masks_bg1"]
    kernel = next(
        kernel
        for kernel in OUTPAD_KERNELS
        if torch.equal(silhouettes(masks, rasters[0], kernel)[1], data["src|outpad_sil"])
    )
    vertices = project(data["in|src_verts"], data["in|src_cam"])
    inputs = official_inputs(
        tables, data["in|src_img"][0], masks, vertices, *rasters, outpad_kernel=kernel
    )
    return data, tables, rasters, vertices, inputs


def _close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=TOLERANCE, rtol=0)


@needs_file
def test_projection(composed):
    data, tables, _, vertices, _ = composed
    _close(vertices[:, tables.faces][..., :2], data["src|f2pts"])
    _close(vertices[:, tables.uv_faces][..., :2], data["src|obj_f2pts"])


@needs_file
def test_flow(composed):
    data, *_, inputs = composed
    _close(inputs.flow, data["out|Tst"].reshape(inputs.flow.shape))


@needs_file
def test_correspondence_maps(composed):
    data, *_, inputs = composed
    _close(inputs.source[:, 3:], data["src|cond"])
    _close(inputs.target[:, 3:], data["ref|cond"])


@needs_file
def test_silhouettes(composed):
    data, _, rasters, *_ = composed
    confident, _ = silhouettes(data["in|src_masks_bg1"], rasters[0])
    assert torch.equal(confident, data["src|confidant_sil"])


@needs_file
def test_background_input(composed):
    data, *_, inputs = composed
    _close(inputs.background, data["out|input_G_bg"][0])


@needs_file
def test_visible_triangles(composed):
    data, tables, rasters, vertices, _ = composed
    shown = visible_triangles(rasters[1], vertices[:, tables.uv_faces][..., :2], tables.neighbors)
    _close(shown, data["src|only_vis_obj_f2pts"])


@needs_file
def test_morphed_sources(composed):
    data, *_, inputs = composed
    _close(inputs.source, data["out|input_G_src"][0])


@needs_file
def test_texture_rendered_on_the_target(composed):
    data, *_, inputs = composed
    _close(inputs.target, data["out|input_G_tsf"][0])


@needs_file
def test_own_face_maps_agree(composed):
    data, tables, rasters, vertices, _ = composed
    size = rasters[0].size
    target = project(data["in|ref_verts"], data["in|ref_cam"])
    drawn = (
        draw(vertices, tables.faces, size),
        draw(vertices, tables.uv_faces, size),
        draw(target, tables.faces, size),
        draw_uv(tables, rasters[3].size),
    )
    for ours, theirs in zip(drawn, rasters, strict=True):
        different = (ours.face_index != theirs.face_index).sum()
        assert different <= 1e-3 * (theirs.face_index >= 0).sum()
