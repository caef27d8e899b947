"""A colour for every vertex, seen or not, from all sources at once.

Texture that no source shows is taken from the same body part: colours spread over the mesh inside
each part group, lean on the mirrored vertex, and cross from part to part only where a whole part
was never seen. It is solved once per set of sources, so that it cannot flicker.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import coo_matrix, diags
from scipy.sparse.linalg import splu
from torch import Tensor

from ..body.model import BodyModel
from .parts import GROUP_NAMES, group_of_part
from .trust import preference, sample_foreground

SAMPLING_SIDE = 256  # px: pixels as large as the mesh's faces, so that a vertex is not one speck
DATA_WEIGHT = 20.0
MIRROR_WEIGHT = 0.1
CROSSING_WEIGHT = 1e-4


def vertex_colors(
    body: BodyModel, parts: Tensor, foreground: Tensor, grid: Tensor, score: Tensor
) -> Tensor:
    """(V, 3) colours in [-1, 1].

    parts: (V,) int64 index into PART_NAMES. foreground: (S, 4, h, w) rgb * a and a.
    grid: (V, S, 2) where each vertex lies in each source. score: (V, S) trust in it, 0 = hidden.
    """
    groups = group_of_part(parts.device)[parts]
    samples, trust = sample_foreground(shrink(foreground, SAMPLING_SIDE), grid, score)
    chosen = preference(trust, groups, groups, len(GROUP_NAMES))
    best = (trust * chosen).amax(1, keepdim=True)
    weight = torch.where((best > 1e-3) & (chosen < 0.5), trust * 1e-2, trust)
    total = weight.sum(1, keepdim=True)
    known = (weight[..., None] * samples).sum(1) / total.clamp(min=1e-6)
    return spread(body, groups, known, trust.sum(1).clamp(max=1))


def shrink(foreground: Tensor, side: int) -> Tensor:
    """(S, 4, h, w) averaged down so that its long side is at most ``side`` pixels."""
    height, width = foreground.shape[2:]
    factor = max(height, width) / side
    if factor <= 1:
        return foreground
    return F.interpolate(foreground, (round(height / factor), round(width / factor)), mode="area")


def spread(body: BodyModel, groups: Tensor, known: Tensor, trust: Tensor) -> Tensor:
    """Colours (V, 3) that keep ``known`` (V, 3) where ``trust`` (V,) and are smooth elsewhere.

    Minimises sum_i d_i |x_i - known_i|^2 + sum over edges w_ij |x_i - x_j|^2, with edges of the
    mesh (weak across groups) and weak edges between mirrored vertices. Solved directly on the CPU.
    """
    start, end, weight = _edges(body, groups)
    vertices = len(known)
    links = coo_matrix((weight, (start, end)), (vertices, vertices))
    links = links + links.T
    data = DATA_WEIGHT * trust.double().cpu().numpy()
    degree = np.asarray(links.sum(1)).ravel()
    # A mesh that no source shows has no data at all: the last term keeps it solvable (grey).
    system = (diags(degree + data + 1e-9) - links).tocsc()
    colors = splu(system).solve(data[:, None] * known.double().cpu().numpy())
    return torch.from_numpy(colors).to(known).clamp(-1, 1)


def _edges(body: BodyModel, groups: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Start (E,), end (E,) and weight (E,) float64 of mesh edges and mirror links."""
    faces, vertices, groups = body.faces.cpu().numpy(), len(groups), groups.cpu().numpy()
    pairs = np.concatenate([faces, np.roll(faces, -1, 1)], 1).reshape(-1, 2, 3)
    keys = np.unique(pairs.min(1) * vertices + pairs.max(1))
    start, end = np.divmod(keys, vertices)
    weight = np.where(groups[start] == groups[end], 1.0, CROSSING_WEIGHT)
    if body.mirror is not None:
        mirror = body.mirror.cpu().numpy()
        own = np.flatnonzero(np.arange(vertices) < mirror)
        start, end = np.concatenate([start, own]), np.concatenate([end, mirror[own]])
        weight = np.concatenate([weight, np.full(len(own), MIRROR_WEIGHT)])
    return start, end, weight
