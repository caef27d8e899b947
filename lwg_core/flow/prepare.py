"""What is computed once per set of sources, before any target pose is known."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from ..body.confidence import vertex_trust
from ..body.model import BodyModel, vertex_normals
from ..errors import InputError
from ..render.raster import Raster, coverage, interpolate, rasterize
from .field import normalize_pixels
from .parts import part_labels
from .source import Sources, check_sources, crop_source, source_vertices
from .texture import vertex_colors
from .transfer import feeding, warn_of_unseen_parts
from .visibility import depth_map, facing, visible

ALPHA_GROWTH = 0.02  # of the person's height: how far a mask is guessed beyond the naked mesh
ERODED = 256  # a matte is eroded by a 256th of the picture's short side


@dataclass(frozen=True)
class PreparedSources:
    """S sources of (h, w) pixels and their meshes, on one device.

    body: the body model. sources: the sources themselves, cropped if they had to be.
    image: (S, 3, h, w) in [-1, 1]. alpha: (S, 1, h, w) in 0..1, 1 = person.
    foreground: (S, 4, h, w) rgb * a and a, where a is alpha eroded by a 256th of the short side:
        the rim of a mask shows the background.
    points: (V, S, 6) per vertex: x, y in [-1, 1], depth in metres, facing (cosine), and the
        image-plane part of its unit normal (x right, y down).
    trust: (V, S) in 0..1, 0 = that part of the person was not seen in the source: where its mesh
        lies is a guess, so nothing is drawn of it there and no texture taken.
    reach: (S,) source coordinates in [-1, 1] per metre, along the picture's width.
    depth: (S, h', w') metres, inf on the background; finer than the sources.
    silhouette: (S, 1, h, w) 0 or 1, coverage: (S, 1, h, w) in 0..1, the share of each pixel that
        the mesh covers, and code: (S, 3, h, w) correspondence code, of the meshes.
    parts: (V,) int64 index into PART_NAMES. vertex_code: (V, 3).
    patterns: (P, S) 0 or 1, the distinct sets of sources that feed a vertex; all 1 where no source
        claims parts. A source's mesh hides what it hides, whatever it feeds. pieces: (V,) int64,
        the pattern of each vertex.
    vertex_colors: (V, 3) in [-1, 1], every vertex coloured, seen or not.
    raster: the meshes at (h, w).
    """

    body: BodyModel
    sources: Sources
    image: Tensor
    alpha: Tensor
    foreground: Tensor
    points: Tensor
    trust: Tensor
    reach: Tensor
    depth: Tensor
    silhouette: Tensor
    coverage: Tensor
    code: Tensor
    parts: Tensor
    patterns: Tensor
    pieces: Tensor
    vertex_code: Tensor
    vertex_colors: Tensor
    raster: Raster

    def __len__(self) -> int:
        return self.image.shape[0]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the sources."""
        return self.image.shape[2], self.image.shape[3]

    @property
    def divided(self) -> bool:
        """Whether any source does not feed the whole body."""
        return not bool(self.patterns.all())

    @property
    def device(self) -> torch.device:
        return self.image.device

    def to(self, device) -> PreparedSources:
        """The same on another device; itself if it is already there."""
        if torch.device(device) == self.device:
            return self
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        moved = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in moved.items()}
        raster = Raster(*(getattr(self.raster, f.name).to(device) for f in fields(Raster)))
        sources = tuple(source.to(device) for source in self.sources)
        return PreparedSources(
            **{**moved, "raster": raster, "sources": sources, "body": self.body.to(device)}
        )


def prepare_sources(sources: Sources, body: BodyModel, device=None) -> PreparedSources:
    """Project the sources' meshes and draw what their visibility, code and colours need.

    Sources of one size are taken as they are. Sources of different sizes are first cropped
    (``crop_source``) to squares of the largest short side among them, since a network sees them
    as one batch.
    """
    check_sources(sources, body)
    device = sources[0].image.device if device is None else torch.device(device)
    body = body.to(device)
    sources = tuple(source.to(device) for source in sources)
    if len({source.size for source in sources}) > 1:
        side = max(min(source.size) for source in sources)
        sources = tuple(crop_source(source, body, side) for source in sources)
    size = sources[0].size
    faces = body.faces

    vertices = torch.cat([source_vertices(source, body) for source in sources])
    cameras = [source.params.camera for source in sources]
    projected = torch.cat([c.project(v[None]) for c, v in zip(cameras, vertices, strict=True)])
    if not torch.isfinite(projected).all():
        raise InputError("source body does not project to finite pixels; check its camera")
    normals = vertex_normals(vertices, faces)
    cosine = torch.cat(
        [
            facing(vertices[i : i + 1], normals[i : i + 1], camera)
            for i, camera in enumerate(cameras)
        ]
    )
    points = torch.cat(
        [
            normalize_pixels(projected[..., :2], size),
            projected[..., 2:],
            cosine[..., None],
            normals[..., :2],
        ],
        -1,
    )
    points = rearrange(points, "s v c -> v s c").contiguous()
    trust = torch.cat([vertex_trust(body, source.params) for source in sources])
    drawn = projected.masked_fill((trust == 0)[..., None], torch.nan)  # such faces are dropped
    depth = depth_map(drawn, faces, size)
    raster = rasterize(drawn, faces, size)
    silhouette = (raster.face_index >= 0)[:, None].to(projected.dtype)
    vertex_code = body.correspondence_code()
    code = rearrange(interpolate(raster, vertex_code, faces), "s h w c -> s c h w")

    image = torch.stack([source.image for source in sources])
    guessed = grow(silhouette)
    alpha = torch.stack(
        [guess if s.mask is None else s.mask for s, guess in zip(sources, guessed, strict=True)]
    )
    eroded = erode(alpha, min(size) / ERODED)
    foreground = torch.cat([image * eroded, eroded], 1)
    trust = trust.T.contiguous()
    shown = visible(depth, points[..., :2], points[..., 2], points[..., 3]) * trust
    parts = part_labels(body)
    found = feeding(sources, body)
    patterns = found.patterns.to(shown.dtype)
    score = shown * points[..., 3].clamp(min=0) ** 3
    score = score * patterns[found.pieces]
    warn_of_unseen_parts(sources, body, found, score)
    return PreparedSources(
        body=body,
        sources=sources,
        image=image,
        alpha=alpha,
        foreground=foreground,
        points=points,
        trust=trust,
        reach=torch.cat([camera.scale for camera in cameras]) * 2 / size[1],
        depth=depth,
        silhouette=silhouette,
        coverage=coverage(drawn, faces, size),
        code=code,
        parts=parts,
        patterns=patterns,
        pieces=found.pieces,
        vertex_code=vertex_code,
        vertex_colors=vertex_colors(body, parts, found.pieces, foreground, points[..., :2], score),
        raster=raster,
    )


def grow(silhouettes: Tensor) -> Tensor:
    """Silhouettes (S, 1, h, w) dilated by ALPHA_GROWTH of each one's height, in pixels."""
    heights = (silhouettes.amax((1, 3)) > 0).sum(1)
    grown = []
    for silhouette, height in zip(silhouettes, heights.tolist(), strict=True):
        pixels = max(round(ALPHA_GROWTH * height), 1)
        window = 2 * pixels + 1
        rows = F.max_pool2d(silhouette, (window, 1), 1, (pixels, 0))
        grown.append(F.max_pool2d(rows, (1, window), 1, (0, pixels)))
    return torch.stack(grown)


def erode(alpha: Tensor, radius: float) -> Tensor:
    """(S, 1, h, w) soft mattes eroded by ``radius`` px; a fraction of a pixel is a mix."""
    whole = int(radius)
    for _ in range(whole):
        alpha = -F.max_pool2d(-alpha, 3, 1, 1)
    return torch.lerp(alpha, -F.max_pool2d(-alpha, 3, 1, 1), radius - whole)


def source_inputs(prepared: PreparedSources) -> Tensor:
    """(S, 8, h, w) source stream: rgb * alpha, code, coverage by the mesh, alpha."""
    masked = prepared.image * prepared.alpha
    return torch.cat([masked, prepared.code, prepared.coverage, prepared.alpha], 1)
