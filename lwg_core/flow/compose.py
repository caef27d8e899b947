"""Flow composition (Liu et al., "Liquid Warping GAN with Attention", Algorithm 1).

For every target pixel that sees the mesh: which surface point it sees, where that point lies in
each source, whether it is visible there, and the picture I_syn that the sources then give. All
frames are composed at once and no frame depends on another, so a clip may be cut anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..body.model import vertex_normals
from ..errors import InputError
from ..render.camera import Camera
from ..render.raster import coverage, rasterize
from .chunk import FlowChunk, network_inputs
from .field import SENTINEL, FlowField
from .prepare import PreparedSources, prepare_sources, source_inputs
from .surface import FlowPixels, extend, paint, see_surface
from .synthesis import synthesize
from .visibility import facing

__all__ = [
    "ComposeOptions",
    "FlowChunk",
    "PreparedSources",
    "compose",
    "network_inputs",
    "prepare_sources",
    "source_inputs",
]

BAND = 14  # the band outside the silhouette is a 14th of the short side wide


@dataclass(frozen=True)
class ComposeOptions:
    """What ``compose`` does beyond the geometry.

    visibility: what ``FlowChunk.flow`` holds: "visible" (depth-tested) or "official" (every
        projected face, hidden ones too, as the released code).
    extension: continue the flow over a band outside the silhouette.
    winner: one source per body part; otherwise all sources are averaged by their trust.
    fill: give unseen pixels the texture of their body part; otherwise 0.
    """

    visibility: str = "visible"
    extension: bool = True
    winner: bool = True
    fill: bool = True

    def __post_init__(self) -> None:
        if self.visibility not in ("visible", "official"):
            raise InputError(f'visibility must be "visible" or "official"; got {self.visibility!r}')


def compose(
    prepared: PreparedSources,
    vertices: Tensor,
    cameras: Camera,
    size: tuple[int, int],
    options: ComposeOptions | None = None,
) -> FlowChunk:
    """Compose T target frames.

    vertices: (T, V, 3) target meshes in the camera frame, metres. cameras: of the T frames.
    size: (height, width) of the targets; cameras of another size are scaled to it.
    """
    options = options or ComposeOptions()
    size = (int(size[0]), int(size[1]))
    if len(cameras) != len(vertices):
        raise InputError(f"{len(vertices)} target meshes but {len(cameras)} cameras")
    if cameras.size != size:
        cameras = cameras.resize(size)
    faces = prepared.body.faces
    projected = cameras.project(vertices)
    raster = rasterize(projected, faces, size, near=cameras.near)
    mask = raster.face_index >= 0
    normals = vertex_normals(vertices, faces)
    surface = see_surface(prepared, raster, facing(vertices, normals, cameras))
    pixels = surface
    if options.extension:
        reach = max(round(min(size) / BAND), 1)
        pixels = extend(surface, prepared, mask, normals, cameras.scale, reach)

    shape = (len(vertices), *size)
    warped, visibility, head = synthesize(prepared, pixels, shape, options.winner, options.fill)
    chosen = pixels.seen > 0 if options.visibility == "visible" else pixels.projected
    return FlowChunk(
        flow=_field(pixels, chosen, shape),
        all_flow=_field(pixels, pixels.projected, shape),
        score=paint(pixels.score, pixels.index, shape).permute(0, 3, 1, 2),
        warped=warped,
        visibility=visibility,
        code=paint(surface.code, surface.index, shape).permute(0, 3, 1, 2),
        silhouette=mask[:, None].to(warped.dtype),
        coverage=coverage(projected, faces, size, cameras.near),
        head=head,
        part=paint(surface.part[:, None], surface.index, shape, -1)[..., 0],
        raster=raster,
    )


def _field(pixels: FlowPixels, valid: Tensor, shape: tuple[int, int, int]) -> FlowField:
    """The flow of the list ``pixels`` where ``valid`` (M, S), as a dense field."""
    grid = torch.where(valid[..., None], pixels.grid, SENTINEL)
    grid = paint(grid.flatten(1), pixels.index, shape, SENTINEL).unflatten(3, (-1, 2))
    dense = paint(valid, pixels.index, shape, False)
    return FlowField(
        grid.permute(0, 3, 1, 2, 4).contiguous(), dense.permute(0, 3, 1, 2).contiguous()
    )
