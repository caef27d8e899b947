"""A colour for every vertex, seen or not, from all sources at once.

Texture that no source shows is taken from the same body part: colours spread over the mesh inside
each part group, lean on the mirrored vertex, and cross from part to part only where a whole part
was never seen. It is solved once per set of sources, so that it cannot flicker.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import coo_matrix, csr_matrix, diags
from scipy.sparse.linalg import splu
from torch import Tensor

from ..body.model import BodyModel
from .parts import GROUP_NAMES, group_of_part
from .trust import preference, sample_foreground

SAMPLING_SIDE = 256  # px: pixels as large as the mesh's faces, so that a vertex is not one speck
DATA_WEIGHT = 20.0
MIRROR_WEIGHT = 0.02
CROSSING_WEIGHT = 1e-4
MEAN_WEIGHT = 1e-7


def vertex_colors(
    body: BodyModel, parts: Tensor, foreground: Tensor, grid: Tensor, score: Tensor
) -> Tensor:
    """(V, 3) colours in [-1, 1].

    parts: (V,) int64 index into PART_NAMES. foreground: (S, 4, h, w) rgb * a and a.
    grid: (V, S, 2) where each vertex lies in each source. score: (V, S) trust in it, 0 = hidden.
    """
    groups = group_of_part(parts.device)[parts]
    samples, sure = sample_foreground(shrink(foreground, SAMPLING_SIDE), grid)
    trust = score * sure
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

    Minimises, over the edges ij of the mesh and the vertices i,

        sum_ij w_ij |x_i - x_j|^2  +  sum_i d_i |x_i - known_i|^2 + m_i |x_i - known_mirror(i)|^2

    with w weak across groups, m weak and only where the mirrored vertex is known and this one is
    not, and a last, tiny pull to the mean colour of the group, which decides for loose pieces that
    nothing else reaches (eyes). Solved directly on the CPU.
    """
    links = _links(body, groups)
    data = [(DATA_WEIGHT * trust, known)]
    if body.mirror is not None:
        other = MIRROR_WEIGHT * trust[body.mirror] * (1 - trust).clamp(min=0)
        data.append((other, known[body.mirror]))
    data.append((torch.full_like(trust, MEAN_WEIGHT), _group_means(groups, known, trust)))
    pull = sum(weight for weight, _ in data).cpu().double().numpy()
    wanted = sum(weight[:, None] * color for weight, color in data).cpu().double().numpy()
    degree = np.asarray(links.sum(1)).ravel()
    solved = splu((diags(degree + pull) - links).tocsc()).solve(wanted)
    return torch.from_numpy(solved).to(known).clamp(-1, 1)


def _group_means(groups: Tensor, known: Tensor, trust: Tensor) -> Tensor:
    """(V, 3) mean known colour of each vertex's group; of the whole body where none is known."""
    total = known.new_zeros(len(GROUP_NAMES)).index_add_(0, groups, trust)
    colors = known.new_zeros(len(GROUP_NAMES), 3).index_add_(0, groups, known * trust[:, None])
    means = colors / total.clamp(min=1e-6)[:, None]
    everywhere = colors.sum(0) / total.sum().clamp(min=1e-6)
    return torch.where(total[:, None] > 0, means, everywhere)[groups]


def _links(body: BodyModel, groups: Tensor) -> csr_matrix:
    """(V, V) symmetric float64 weights of the mesh's edges."""
    faces, vertices, groups = body.faces.cpu().numpy(), len(groups), groups.cpu().numpy()
    start, end = faces.flatten(), np.roll(faces, -1, 1).flatten()
    linked = coo_matrix((np.ones(len(start)), (start, end)), (vertices, vertices)).tocsr()
    edges = ((linked + linked.T) > 0).tocoo()
    weight = np.where(groups[edges.row] == groups[edges.col], 1.0, CROSSING_WEIGHT)
    return csr_matrix((weight, (edges.row, edges.col)), (vertices, vertices))
