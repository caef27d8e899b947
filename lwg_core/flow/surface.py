"""The target pixels that get a flow, as one list over all frames: the mesh's own and a band around.

About an eighth of a frame is person, so lists of pixels cost an eighth of dense maps.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..networks.pairs import sample
from ..render.raster import Raster
from .extension import inward, nearest_inside, shell_offset
from .prepare import PreparedSources
from .visibility import MIN_FACING, cells, visible

NEARBY = 0.12  # of the code, about 0.1 m on the rest body: what counts as the same surface
BAND_TRUST = 0.9
CLOTH = 0.03  # m
STRETCH = 0.2  # texture shown down to 5 times narrower than the target needs it is still texture


@dataclass(frozen=True)
class FlowPixels:
    """M target pixels and where they come from in S sources.

    index: (M,) flat index into (T, H, W). grid: (M, S, 2) source coordinates in [-1, 1].
    projected: (M, S) bool, whether ``grid`` means anything.
    seen: (M, S) in 0..1, how visible the point is there, 0 = not at all.
    score: (M, S) how well a source shows the point, to choose between sources: seen * facing^3.
    clear: (M, S) in 0..1, how far the source has this pixel's texture at all: not stretched (seen
        at a much flatter angle than the target sees it) and not hidden.
    part: (M,) int64 index into PART_NAMES. color: (M, 3) of the vertices, in [-1, 1].
    piece: (M,) int64 row of ``PreparedSources.patterns``. score and clear are 0 in sources that do
        not feed it; grid, projected and seen are of all sources.
    on_mesh: (M,) bool, False in the band around the silhouette.
    """

    index: Tensor
    grid: Tensor
    projected: Tensor
    seen: Tensor
    score: Tensor
    clear: Tensor
    part: Tensor
    color: Tensor
    piece: Tensor
    on_mesh: Tensor


@dataclass(frozen=True)
class SurfacePixels(FlowPixels):
    """The pixels that see the mesh.

    code: (M, 3). cosine: (M, S) facing in each source, 1 = head on, below 0 = turned away.
    source_normal: (M, S, 2) image-plane part of the normal in each source.
    corners: (M, 3) int64 vertices of the face. weights: (M, 3) its barycentric coordinates.
    """

    code: Tensor
    cosine: Tensor
    source_normal: Tensor
    corners: Tensor
    weights: Tensor


def blend(attributes: Tensor, corners: Tensor, weights: Tensor) -> Tensor:
    """(P, C) per-vertex attributes (V, C) at corners (P, 3) mixed by weights (P, 3)."""
    return sample(attributes, corners, weights)


def paint(values: Tensor, index: Tensor, shape: tuple[int, ...], background=0.0) -> Tensor:
    """(T, H, W, C): values (M, C) at flat pixels ``index``, ``background`` elsewhere."""
    frames, height, width = shape
    canvas = values.new_full((frames * height * width, values.shape[1]), background)
    return canvas.index_copy(0, index, values).unflatten(0, (frames, height, width))


def piece_of(prepared: PreparedSources, corners: Tensor, weights: Tensor) -> Tensor:
    """(P,) int64 row of ``patterns``: the one with most of the weight at corners (P, 3).

    So a seam runs straight across the faces that it divides.
    """
    count = len(prepared.patterns)
    if count == 1:
        return torch.zeros_like(corners[:, 0])
    shares = F.one_hot(prepared.pieces, count).to(weights.dtype)
    return blend(shares, corners, weights).argmax(1)


def see_surface(prepared: PreparedSources, raster: Raster, cosine: Tensor) -> SurfacePixels:
    """Which surface point each covered pixel sees, and where the sources show that point.

    cosine: (T, V) of the target vertices, as from ``visibility.facing``.
    """
    index = (raster.face_index.flatten() >= 0).nonzero().squeeze(1)
    face = raster.face_index.flatten().index_select(0, index)
    corners = prepared.body.faces.index_select(0, face)
    weights = raster.barycentric.view(-1, 3).index_select(0, index)
    points = blend(prepared.points.flatten(1), corners, weights).unflatten(1, (len(prepared), 6))
    grid, source_cosine = points[..., :2], points[..., 3]
    facing = source_cosine.clamp(min=MIN_FACING)
    trust = blend(prepared.trust, corners, weights).clamp(max=1)
    seen = visible(prepared.depth, grid, points[..., 2], source_cosine) * trust
    frame = torch.div(index, raster.face_index[0].numel(), rounding_mode="floor")
    vertex = corners + (frame * cosine.shape[1])[:, None]
    stretch = facing / blend(cosine.reshape(-1, 1), vertex, weights).clamp(min=MIN_FACING)
    main = corners.gather(1, weights.argmax(1, keepdim=True)).squeeze(1)
    score, clear = seen * facing**3, torch.minimum(seen, (stretch / STRETCH) ** 3)
    piece = piece_of(prepared, corners, weights)
    if prepared.divided:
        fed = prepared.patterns[piece]
        score, clear = score * fed, clear * fed
    return SurfacePixels(
        index=index,
        grid=grid,
        projected=trust > 0,
        seen=seen,
        score=score,
        clear=clear,
        part=prepared.parts[main],
        color=blend(prepared.vertex_colors, corners, weights),
        piece=piece,
        on_mesh=torch.ones_like(index, dtype=torch.bool),
        code=blend(prepared.vertex_code, corners, weights),
        cosine=source_cosine,
        source_normal=points[..., 4:],
        corners=corners,
        weights=weights,
    )


def extend(
    surface: SurfacePixels,
    prepared: PreparedSources,
    mask: Tensor,
    normals: Tensor,
    scale: Tensor,
    reach: int,
) -> FlowPixels:
    """``surface`` and a band of ``reach`` pixels outside the silhouette.

    mask: (T, H, W) bool silhouette. normals: (T, V, 3) of the target meshes, camera frame.
    scale: (T,) target pixels per metre.

    A band pixel continues the flow of its nearest silhouette pixel. It is kept where it reaches
    source pixels off the mesh, or of the same piece of surface: a band that lands on another limb
    would paint that limb. Score and clear are what the source can tell: where it shows the outline
    too, whether something stands off there; where it looks at that surface from the front, nothing.
    """
    height, width = mask.shape[1:]
    rows = torch.arange(len(surface.index), device=mask.device)
    row_of = torch.full((mask.numel(),), -1, device=mask.device).index_copy(0, surface.index, rows)
    outside, nearest = nearest_inside(mask, reach)
    inner = row_of.index_select(0, nearest)

    def take(values: Tensor, index: Tensor = inner) -> Tensor:
        return values.index_select(0, index)  # a third of the time of values[index] on a CPU

    frame = torch.div(nearest, height * width, rounding_mode="floor")
    step = torch.stack(
        [
            outside % width - nearest % width,
            torch.div(outside, width, rounding_mode="floor")
            - torch.div(nearest, width, rounding_mode="floor"),
        ],
        -1,
    )
    corners = take(surface.corners) + (frame * normals.shape[1])[:, None]
    normal = blend(normals[..., :2].reshape(-1, 2), corners, take(surface.weights))
    metres = step / take(scale, frame)[:, None]
    moved, kept = shell_offset(metres, normal, take(surface.source_normal))
    source_height, source_width = prepared.size
    aspect = moved.new_tensor([1.0, source_width / source_height])
    grid = take(surface.grid) + moved * prepared.reach[:, None] * aspect

    projected = take(surface.projected) & (grid.abs() <= 1).all(-1)
    reached = cells(grid, prepared.size).reshape(-1)
    off_mesh = take(prepared.raster.face_index.reshape(-1), reached).view_as(projected) < 0
    landed = (projected & ~off_mesh).reshape(-1).nonzero().squeeze(1)
    there = take(prepared.code.permute(0, 2, 3, 1).reshape(-1, 3), take(reached, landed))
    here = take(surface.code, take(inner, torch.div(landed, len(prepared), rounding_mode="floor")))
    near = (there - here).square().sum(-1) < NEARBY**2
    projected = projected.reshape(-1).index_copy(0, landed, near).view_as(projected)
    # An outline is seen at a grazing angle, where visibility is noise: trust the surface behind it.
    part, piece = take(surface.part), take(surface.piece)
    seen, score, clear = take(surface.seen), take(surface.score), take(surface.clear)
    for depth in (1, 2):
        behind = inward(nearest, step, depth * max(reach / 9, 1), (height, width))
        other = take(row_of, behind)
        same, other = other >= 0, other.clamp(min=0)
        same &= (take(surface.part, other) == part) & (take(surface.piece, other) == piece)
        same = same[:, None]
        seen = torch.maximum(seen, take(surface.seen, other) * same)
        score = torch.maximum(score, take(surface.score, other) * same)
        clear = torch.maximum(clear, take(surface.clear, other) * same)
    # Before the mesh itself nothing can be told but that cloth is about as thick as on the outline.
    close = (1 - moved.norm(dim=-1) / CLOTH).clamp(min=0) * (take(surface.cosine) > 0)
    told = projected * torch.where(off_mesh, 1.0, close) * ((kept - 0.5) / 0.5).clamp(min=0)
    return FlowPixels(
        index=torch.cat([surface.index, outside]),
        grid=torch.cat([surface.grid, grid]),
        projected=torch.cat([surface.projected, projected]),
        seen=torch.cat([surface.seen, seen * projected]),
        score=torch.cat([surface.score, score * told * BAND_TRUST]),
        clear=torch.cat([surface.clear, clear * told]),
        part=torch.cat([surface.part, part]),
        color=torch.cat([surface.color, take(surface.color)]),
        piece=torch.cat([surface.piece, piece]),
        on_mesh=torch.cat([surface.on_mesh, torch.zeros_like(outside, dtype=torch.bool)]),
    )
