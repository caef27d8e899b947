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

TRANSFERS = ("flows", "texture")
BAND = 14  # the band outside the silhouette is a 14th of the short side wide


@dataclass(frozen=True)
class ComposeOptions:
    """What ``compose`` does beyond the geometry.

    visibility: what ``FlowChunk.flow`` holds: "visible" (depth-tested) or "official" (every
        projected face, hidden ones too, as the released code).
    extension: continue the flow over a band outside the silhouette.
    winner: one source per body part; otherwise all sources are averaged by their trust.
    fill: give unseen pixels the texture of their body part; otherwise 0.
    transfer: where sources give parts only (appearance transfer): "flows", the flow of a source is
        valid on its parts alone (the paper's T1, T2); "texture", only I_syn keeps to the parts and
        all sources flow over the whole body (the released code: the attention decides).
    """

    visibility: str = "visible"
    extension: bool = True
    winner: bool = True
    fill: bool = True
    transfer: str = "flows"

    def __post_init__(self) -> None:
        if self.visibility not in ("visible", "official"):
            raise InputError(f'visibility must be "visible" or "official"; got {self.visibility!r}')
        if self.transfer not in TRANSFERS:
            raise InputError(f"transfer must be {' or '.join(TRANSFERS)}; got {self.transfer!r}")


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
    offered = pixels.projected
    if options.transfer == "flows" and prepared.divided:
        offered = offered & (prepared.patterns[pixels.piece] > 0)
    chosen = offered & (pixels.seen > 0) if options.visibility == "visible" else offered
    return FlowChunk(
        flow=_field(pixels, chosen, shape),
        score=paint(pixels.score, pixels.index, shape).permute(0, 3, 1, 2),
        warped=warped,
        visibility=visibility,
        code=paint(surface.code, surface.index, shape).permute(0, 3, 1, 2),
        silhouette=mask[:, None].to(warped.dtype),
        coverage=coverage(projected, faces, size, cameras.near),
        head=head,
        part=paint(surface.part[:, None], surface.index, shape, -1)[..., 0],
        raster=raster,
        points=projected,
    )


def _field(pixels: FlowPixels, valid: Tensor, shape: tuple[int, int, int]) -> FlowField:
    """The flow of the list ``pixels`` where ``valid`` (M, S), as a dense field."""
    frames, height, width = shape
    area, sources = height * width, valid.shape[1]
    pairs = valid.reshape(-1).nonzero().squeeze(1)
    index = pixels.index.index_select(0, torch.div(pairs, sources, rounding_mode="floor"))
    frame = torch.div(index, area, rounding_mode="floor")
    place = index + (frame * (sources - 1) + pairs % sources) * area  # in (T, S, H, W)
    grid = pixels.grid.new_full((frames * sources * area, 2), SENTINEL)
    grid = grid.index_copy_(0, place, pixels.grid.reshape(-1, 2).index_select(0, pairs))
    dense = torch.zeros_like(grid[:, 0], dtype=torch.bool).index_fill_(0, place, True)
    shape = (frames, sources, height, width)
    return FlowField(grid.view(*shape, 2), dense.view(shape))
