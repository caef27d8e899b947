"""Offsets of the mesh along its rest normals, so that hair, sleeves and trousers lie on it.

A fitted mesh is naked: on photographs it covers about three quarters of the person. Where its
outline is seen, the person's mask says how far hair or cloth stands off; everything between is
filled in smoothly over the surface. The offsets are per vertex and belong to the rest pose, so they
travel with the person into every pose.

Two steps:
1. ``observe_outline``: each vertex on the mesh's outline walks along the picture of its own normal,
   and its offset is the way from the mesh's edge to the mask's edge. Both edges are met on the same
   ray, so that a mask which fits the naked mesh observes zero.
2. ``solve_offsets``: one sparse least-squares problem over the mesh with a membrane and a
   thin-plate term (Laplacian and bi-Laplacian), the body's two sides coupled, outliers reweighted.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import cv2
import numpy as np
import scipy.sparse as sparse
import torch
import torch.nn.functional as F
from scipy.sparse.linalg import splu
from torch import Tensor

from ..body.confidence import vertex_trust
from ..body.model import PART_NAMES, BodyModel
from ..errors import InputError
from ..render.raster import rasterize
from .field import normalize_pixels
from .parts import part_labels
from .people import warn_of_different_people
from .source import Source, Sources, check_sources

logger = logging.getLogger(__name__)

LOW, HIGH = -0.03, 0.14  # metres, what an offset may be
WALK_IN, WALK_OUT, STEP = 0.05, 0.22, 0.002  # metres along a ray
IN_PLANE = 0.9  # of a normal's length must lie in the picture: those vertices make the outline
NEAR_EDGE = 0.024  # metres between a vertex of the outline and the outline as drawn
OWN_SURFACE, SPREAD = 0.06, 1.2  # metres, and per metre walked: how far "the same surface" reaches
DRAWN = 640  # px, the longer side of the window in which the mesh is drawn
PROBE = 0.01  # metres, for the derivative of a vertex's picture by its offset

MEMBRANE, PLATE = 0.3, 3.0  # against one observation each
COUPLING = 0.5  # of a vertex to its mirror image
OUTLIER = 0.02  # metres off the smooth surface, where an observation starts to lose its say
ROUNDS = 3
ANCHOR = 1e-3  # pull to zero everywhere, so that the system is regular
# Hands and faces carry no cloth, feet little: (pull to zero, lowest, highest offset in metres).
_BARE = {"hand": (2.0, -0.004, 0.006), "face": (2.0, -0.006, 0.008), "foot": (0.1, -0.015, 0.04)}
_BLEND = 8  # rounds in which those limits fade into their surroundings


@dataclass(frozen=True)
class Outline:
    """What one picture tells about K vertices: index (K,) int64, offset (K,) metres."""

    index: Tensor
    offset: Tensor


def solve_offsets(body: BodyModel, sources: Sources, share: float = 1.0) -> Tensor:
    """Offsets (V,) in metres along ``body.rest_normals()`` from the masks of all sources jointly.

    Sources without a mask are passed over; at least one must have one. ``Source.offsets`` are not
    read. share: 0..1, how much of the offsets to return. Result in [-0.03, 0.14] * share.
    """
    check_sources(sources, body)
    masked = [source for source in sources if source.mask is not None]
    if not masked:
        raise InputError(
            "sources have no mask, so no offsets can be solved; give at least one of them a mask "
            "that is 1 on the person"
        )
    if not 0 <= share <= 1:
        raise InputError(f"share of the offsets must lie in 0..1; got {share}")
    outlines = [observe_outline(body, source) for source in masked]
    seen = sum(len(outline.index) for outline in outlines)
    logger.debug("offsets: %d outline vertices in %d sources", seen, len(masked))
    if seen == 0:
        logger.warning("no outline of the body meets the edge of a mask; offsets are zero")
        return body.v_template.new_zeros(len(body.v_template))
    index = torch.cat([outline.index for outline in outlines]).cpu().numpy()
    offset = torch.cat([outline.offset for outline in outlines]).cpu().double().numpy()
    solved = _solve(body, index, offset)
    return share * torch.from_numpy(solved).to(body.v_template)


def with_offsets(sources: Sources, body: BodyModel) -> Sources:
    """Hair and clothes onto the mesh: offsets solved jointly from all masks of a person."""
    check_sources(sources, body)
    warn_of_different_people(sources, body)
    solved = {}
    for person in dict.fromkeys(source.person for source in sources):
        own = tuple(source for source in sources if source.person == person)
        solved[person] = solve_offsets(body, own)
    return tuple(replace(source, offsets=solved[source.person]) for source in sources)


def observe_outline(body: BodyModel, source: Source) -> Outline:
    """Offsets of the vertices on the outline of one source's mesh, where its mask shows them.

    Parts that were not seen in the source observe nothing: their outline is a guess.
    """
    camera, pose, betas = source.params.camera, source.params.pose, source.params.betas
    naked = body.vertices(pose, betas)
    probe = body.v_template.new_full((len(body.v_template),), PROBE)
    projected = camera.project(naked)[0]
    start = projected[:, :2]
    direction = (camera.project(body.vertices(pose, betas, probe))[0, :, :2] - start) / PROBE

    corner, factor, size = _window(projected, camera.scale[0].item(), source.size)
    drawn = torch.cat([(start - corner) * factor, projected[:, 2:]], 1)
    faces = rasterize(drawn[None], body.faces, size).face_index[0]

    local = camera.scale if camera.focal is None else camera.focal / projected[:, 2]
    seen = vertex_trust(body, source.params)[0] > 0.5
    candidates = (seen & (direction.norm(dim=1) > IN_PLANE * local)).nonzero()[:, 0]
    walk = torch.arange(-WALK_IN, WALK_OUT, STEP, device=start.device, dtype=start.dtype)
    ray = start[candidates, None] + walk[:, None] * direction[candidates, None]  # (K, N, 2) px
    on_mesh = _sample((faces >= 0).to(start)[None], (ray - corner) * factor)
    zero = round(WALK_IN / STEP)
    below = zero - round(NEAR_EDGE / STEP / 2)  # just under the surface
    mesh_edge, leaves = _edge(on_mesh, torch.full_like(candidates, below), inward=0)
    leaves &= (mesh_edge - zero).abs() < NEAR_EDGE / STEP

    candidates, ray, mesh_edge = candidates[leaves], ray[leaves], mesh_edge[leaves]
    on_mask = _sample(source.mask.to(start), ray)
    at_mesh = mesh_edge.round().long()
    mask_edge, found = _edge(on_mask, at_mesh, inward=round(-LOW / STEP) + 2)

    steps = torch.arange(len(walk), device=start.device)
    reached = steps <= torch.maximum(mask_edge, mesh_edge)[:, None]
    beyond = (steps >= mesh_edge[:, None]) * (steps - mesh_edge[:, None]) * STEP
    owner = _owner(faces, body, (ray - corner) * factor)
    apart = (owner - body.v_template[candidates][:, None]).norm(dim=-1)
    foreign = (apart > OWN_SURFACE + SPREAD * beyond) & reached & (steps >= at_mesh[:, None] - 1)
    height, width = source.size
    edge = ray.new_tensor([width - 1.0, height - 1.0])
    outside = ((ray < 1) | (ray > edge)).any(-1) & reached & (steps >= below)
    kept = found & ~foreign.any(1) & ~outside.any(1)
    return Outline(candidates[kept], ((mask_edge - mesh_edge) * STEP)[kept])


def _window(
    projected: Tensor, scale: float, size: tuple[int, int]
) -> tuple[Tensor, float, tuple[int, int]]:
    """Corner (2,) px, magnification and (height, width) of the window that holds mesh and rays."""
    margin = (WALK_OUT + 0.02) * scale
    limit = projected.new_tensor([size[1], size[0]])
    low = (projected[:, :2].amin(0) - margin).clamp(min=0).minimum(limit - 1).floor()
    high = (projected[:, :2].amax(0) + margin).minimum(limit).maximum(low + 1).ceil()
    factor = DRAWN / (high - low).max().item()
    width, height = ((high - low) * factor).ceil().long().tolist()
    return low, factor, (height, width)


def _sample(plane: Tensor, points: Tensor) -> Tensor:
    """(K, N) values of a plane (1, H, W) at pixel positions (K, N, 2); 0 outside."""
    grid = normalize_pixels(points, (plane.shape[1], plane.shape[2]))
    return F.grid_sample(plane[None], grid[None], align_corners=False)[0, 0]


def _edge(values: Tensor, start: Tensor, inward: int) -> tuple[Tensor, Tensor]:
    """Where rays leave a shape: (K,) in steps, and whether they do.

    values: (K, N) coverage along the rays, 0.5 = the edge. start: (K,) step to look from. A ray
    that starts inside walks outwards until it leaves; one that starts outside walks at most
    ``inward`` steps back until it is inside.
    """
    inside = values >= 0.5
    steps = torch.arange(values.shape[1], device=values.device)
    from_start = steps - start[:, None]
    starts_inside = inside.gather(1, start[:, None])[:, 0]
    leaving = ~inside & (from_start > 0)
    coming = inside & (from_start < 0) & (from_start >= -inward)
    first_out = leaving.to(torch.uint8).argmax(1)
    last_in = values.shape[1] - 1 - coming.flip(1).to(torch.uint8).argmax(1)
    found = torch.where(starts_inside, leaving.any(1), coming.any(1))
    outer = torch.where(starts_inside, first_out, last_in + 1).clamp(1, values.shape[1] - 1)
    before = values.gather(1, outer[:, None] - 1)[:, 0]
    after = values.gather(1, outer[:, None])[:, 0]
    share = ((before - 0.5) / (before - after).clamp_min(1e-6)).clamp(0, 1)
    return outer - 1 + share, found


def _owner(face_index: Tensor, body: BodyModel, points: Tensor) -> Tensor:
    """(K, N, 3) rest position of the face whose drawn pixel is nearest to points (K, N, 2) px."""
    drawn = (face_index >= 0).cpu().numpy()
    _, label = cv2.distanceTransformWithLabels(
        (~drawn).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    # Every drawn pixel carries its own label: a table from label to pixel.
    pixel_of = np.zeros(label.max() + 1, np.int64)
    pixel_of[label[drawn]] = np.flatnonzero(drawn)
    nearest = torch.from_numpy(pixel_of[label]).to(face_index.device)
    height, width = face_index.shape
    x, y = points.floor().long().unbind(-1)
    pixel = nearest[y.clamp(0, height - 1), x.clamp(0, width - 1)]
    middles = body.v_template[body.faces].mean(1)
    return middles[face_index.flatten()[pixel].long()]


def _solve(body: BodyModel, index: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """(V,) metres: the smooth field through observations ``offset`` (K,) at vertices ``index``."""
    count = len(body.v_template)
    laplacian = _laplacian(body)
    pull, low, high = _bare_parts(body, laplacian)
    system = MEMBRANE * laplacian + PLATE * (laplacian.T @ laplacian) + sparse.diags(pull)
    if body.mirror is not None:
        mirror = body.mirror.cpu().numpy()
        swap = sparse.csr_matrix((np.ones(count), (np.arange(count), mirror)), (count, count))
        difference = sparse.identity(count) - swap
        system = system + COUPLING * (difference.T @ difference)
    weight = np.ones(len(index))
    solved = np.zeros(count)
    for _ in range(ROUNDS):
        seen = np.bincount(index, weight, count)
        wanted = np.bincount(index, weight * offset, count)
        solved = splu((system + sparse.diags(seen)).tocsc()).solve(wanted)
        # Geman-McClure: a bag or a neighbour's arm fades out, a whole skirt does not.
        weight = 1 / (1 + ((offset - solved[index]) / OUTLIER) ** 2) ** 2
    return np.clip(solved, low, high)


def _laplacian(body: BodyModel) -> sparse.csr_matrix:
    """(V, V) uniform graph Laplacian, degree on the diagonal."""
    faces, count = body.faces.cpu().numpy(), len(body.v_template)
    start, end = faces.ravel(), np.roll(faces, -1, 1).ravel()
    ones = np.ones(2 * len(start))
    rows, columns = np.concatenate([start, end]), np.concatenate([end, start])
    edges = sparse.csr_matrix((ones, (rows, columns)), (count, count))
    edges.data[:] = 1
    return (sparse.diags(np.asarray(edges.sum(1)).ravel()) - edges).tocsr()


def _bare_parts(
    body: BodyModel, laplacian: sparse.csr_matrix
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pull to zero, lowest and highest offset of each vertex, (V,) each."""
    labels = part_labels(body).cpu().numpy()
    limits = np.tile(np.array([ANCHOR, LOW, HIGH]), (len(labels), 1))
    for name, values in _BARE.items():
        parts = [i for i, part in enumerate(PART_NAMES) if part.endswith(name)]
        limits[np.isin(labels, parts)] = values
    degree = laplacian.diagonal()[:, None].clip(1)
    for _ in range(_BLEND):
        limits = limits - 0.5 * (laplacian @ limits) / degree
    return limits[:, 0], limits[:, 1], limits[:, 2]
