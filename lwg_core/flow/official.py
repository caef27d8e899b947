"""The inputs that the official Liquid Warping GAN weights were trained with.

Only for the SMPL topology and only at the door of the official generators: our own weights take
the inputs of ``compose``. The quirks are theirs and are kept: every projected face counts, occluded
ones too; the correspondence map is one value per face; background pixels of the flow are -2; kernel
sizes are pixels, whatever the picture's size. Masks here are official: 1 = background.

The tables come from the user's SMPL assets (``OfficialTables``); none is part of this project.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..render.raster import Raster, rasterize
from .field import SENTINEL, FlowField
from .official_texture import merge_textures, morph_image, sample_map

CONFIDENT_KERNEL = 3
BACKGROUND_KERNEL = 11
OUTPAD_KERNEL = 51


@dataclass(frozen=True)
class OfficialTables:
    """Per-face tables of the SMPL mesh, F faces.

    faces: (F, 3) int64, consistently wound: the faces of ``mapper_uv``.
    uv_faces: (F, 3) int64, the same triangles as listed in ``mapper_fim_enc``; some are wound the
        other way, so that none is turned away in the UV map.
    face_code: (F + 1, 3) UV position and background flag of each face; last row = background.
    uv_corners: (F, 3, 2) UV coordinates in [-1, 1] of the corners of ``faces``.
    uv_triangles: (F, 3, 3) the corners of ``uv_faces`` in the UV map: x, y in [-1, 1], depth.
    neighbors: (F, K) int64 nearest faces of each face, itself among them.
    """

    faces: Tensor
    uv_faces: Tensor
    face_code: Tensor
    uv_corners: Tensor
    uv_triangles: Tensor
    neighbors: Tensor


@dataclass(frozen=True)
class OfficialInputs:
    """What the official generators take, for S sources and T targets.

    background: (1, 4, H, W) rgb * m and m. source: (S, 6, H, W) morphed rgb, face code.
    target: (T, 6, H, W) rgb of the merged texture, face code. flow: (T, S, H, W, 2), -2 = invalid.
    """

    background: Tensor
    source: Tensor
    target: Tensor
    flow: Tensor


def project(vertices: Tensor, camera: Tensor) -> Tensor:
    """Vertices (N, V, 3) by cameras (N, 3) = s, tx, ty: s * (x + tx), s * (y + ty), z."""
    planar = camera[:, None, :1] * (vertices[..., :2] + camera[:, None, 1:])
    return torch.cat([planar, vertices[..., 2:]], -1)


def draw(projected: Tensor, faces: Tensor, size: tuple[int, int]) -> Raster:
    """Raster of vertices (N, V, 3) in [-1, 1] (y down); faces turned away are not drawn."""
    scale = projected.new_tensor([size[1] / 2, size[0] / 2, 1.0])
    shift = projected.new_tensor([size[1] / 2, size[0] / 2, 0.0])
    return rasterize(projected * scale + shift, faces, size, cull=-1)


def draw_uv(tables: OfficialTables, size: tuple[int, int]) -> Raster:
    """Raster (N = 1) of the UV map."""
    corners = tables.uv_triangles.reshape(1, -1, 3)
    faces = torch.arange(corners.shape[1], device=corners.device).view(-1, 3)
    return draw(corners, faces, size)


def transform(raster: Raster, triangles: Tensor) -> FlowField:
    """T of Algorithm 1: flow (T, S, H, W) of target rasters into triangles (S, F, 3, 2).

    A triangle with SENTINEL corners is invisible.
    """
    grid = sample_map(raster, triangles)
    covered = (raster.face_index >= 0)[:, None].expand(grid.shape[:4])
    return FlowField(torch.where(covered[..., None], grid, SENTINEL), covered)


def face_code(raster: Raster, tables: OfficialTables) -> Tensor:
    """(N, 3, H, W) official correspondence map: the code of the face that owns the pixel."""
    return tables.face_code[raster.face_index.long()].permute(0, 3, 1, 2)  # -1 = last row


def erode(mask: Tensor, kernel: int) -> Tensor:
    """(N, 1, H, W) 0/1: 1 where the whole kernel is exactly 1; beyond the picture counts as 1."""
    return (-F.max_pool2d(-F.pad(mask, (kernel // 2,) * 4, value=1.0), kernel, 1) >= 1).to(mask)


def dilate(mask: Tensor, kernel: int) -> Tensor:
    """(N, 1, H, W) 0/1: 1 where any pixel of the kernel is above 0."""
    return (F.max_pool2d(mask, kernel, 1, kernel // 2) > 0).to(mask)


def silhouettes(
    background_mask: Tensor, raster: Raster, outpad_kernel: int = OUTPAD_KERNEL
) -> tuple[Tensor, Tensor]:
    """Confident and out-padded silhouettes (S, 1, H, W) of mattes (S, 1, H, W), 1 = background."""
    person = 1 - background_mask
    rendered = (raster.face_index >= 0)[:, None].to(person)
    return erode(person, CONFIDENT_KERNEL), dilate(
        ((person + rendered) > 0).to(person), outpad_kernel
    )


def background_input(
    image: Tensor, background_mask: Tensor, kernel: int = BACKGROUND_KERNEL
) -> Tensor:
    """(N, 4, H, W) input of the background network: image (N, 3, H, W) on sure background."""
    known = erode(background_mask, kernel)
    return torch.cat([image * known, known], 1)


def visible_triangles(raster: Raster, triangles: Tensor, neighbors: Tensor) -> Tensor:
    """Triangles (S, F, 3, 2) with SENTINEL for the faces that no pixel of S rasters shows.

    The neighbours of a face that owns a pixel count as shown.
    """
    sources, faces = triangles.shape[:2]
    shown = torch.zeros(sources, faces + 1, dtype=torch.bool, device=triangles.device)
    owners = raster.face_index.flatten(1).long() % (faces + 1)  # background = last, dropped
    shown.scatter_(1, owners, True)
    source, face = shown[:, :faces].nonzero(as_tuple=True)
    spread = torch.zeros_like(shown[:, :faces])
    spread[source[:, None], neighbors[face]] = True
    return torch.where(spread[..., None, None], triangles, SENTINEL)


def official_inputs(
    tables: OfficialTables,
    image: Tensor,
    background_mask: Tensor,
    source_vertices: Tensor,
    source_raster: Raster,
    source_uv_raster: Raster,
    target_raster: Raster,
    uv_raster: Raster,
    outpad_kernel: int = OUTPAD_KERNEL,
) -> OfficialInputs:
    """All inputs of the official AttLWB generators. Source 0 is the primary one.

    image: (S, 3, H, W) in [-1, 1]. background_mask: (S, 1, H, W), 1 = background.
    source_vertices: (S, V, 3) projected to [-1, 1]. source_raster, source_uv_raster: the sources
    drawn with ``faces`` and with ``uv_faces``. target_raster: T targets drawn with ``faces``.
    uv_raster: from ``draw_uv``.
    """
    triangles = source_vertices[:, tables.faces][..., :2]
    uv_triangles = source_vertices[:, tables.uv_faces][..., :2]
    confident, outpad = silhouettes(background_mask, source_raster, outpad_kernel)
    morphed = torch.stack(
        [morph_image(*parts) for parts in zip(image, confident, outpad, strict=True)]
    )
    shown = visible_triangles(source_uv_raster, uv_triangles, tables.neighbors)
    texture = merge_textures(
        morphed, sample_map(uv_raster, uv_triangles)[0], sample_map(uv_raster, shown)[0]
    )
    into_texture = sample_map(target_raster, tables.uv_corners[None])[:, 0]
    rendered = F.grid_sample(
        texture.expand(len(into_texture), -1, -1, -1), into_texture, align_corners=False
    )
    return OfficialInputs(
        background=background_input(image[:1], background_mask[:1]),
        source=torch.cat([morphed, face_code(source_raster, tables)], 1),
        target=torch.cat([rendered, face_code(target_raster, tables)], 1),
        flow=transform(target_raster, triangles).to_official(),
    )
