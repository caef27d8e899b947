"""A colour for every vertex, seen or not, from all sources at once.

Texture that no source shows is taken from the same body part: colours spread over the mesh inside
each part group, lean on the mirrored vertex, and cross from part to part only where a whole part
was never seen. What other sources feed is another part: a jacket does not bleed into trousers of
someone else. It is solved once per set of sources, so that it cannot flicker.
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
FOREIGN_WEIGHT = 1e-5  # to a part that other sources feed
MEAN_WEIGHT = 1e-7


def vertex_colors(
    body: BodyModel, parts: Tensor, pieces: Tensor, foreground: Tensor, grid: Tensor, score: Tensor
) -> Tensor:
    """(V, 3) colours in [-1, 1].

    parts: (V,) int64 index into PART_NAMES. pieces: (V,) int64, which set of sources feeds it.
    foreground: (S, 4, h, w) rgb * a and a. grid: (V, S, 2) where each vertex lies in each source.
    score: (V, S) trust in it, 0 = hidden or not fed.
    """
    groups = group_of_part(parts.device)[parts]
    labels = groups + len(GROUP_NAMES) * pieces
    samples, sure = sample_foreground(shrink(foreground, SAMPLING_SIDE), grid)
    trust = score * sure
    chosen = preference(trust, labels, groups, len(GROUP_NAMES) * (int(pieces.max()) + 1))
    best = (trust * chosen).amax(1, keepdim=True)
    weight = torch.where((best > 1e-3) & (chosen < 0.5), trust * 1e-2, trust)
    total = weight.sum(1, keepdim=True)
    known = (weight[..., None] * samples).sum(1) / total.clamp(min=1e-6)
    return spread(body, labels, known, trust.sum(1).clamp(max=1))


def shrink(foreground: Tensor, side: int) -> Tensor:
    """(S, 4, h, w) averaged down so that its long side is at most ``side`` pixels."""
    height, width = foreground.shape[2:]
    factor = max(height, width) / side
    if factor <= 1:
        return foreground
    return F.interpolate(foreground, (round(height / factor), round(width / factor)), mode="area")


def spread(body: BodyModel, labels: Tensor, known: Tensor, trust: Tensor) -> Tensor:
    """Colours (V, 3) that keep ``known`` (V, 3) where ``trust`` (V,) and are smooth elsewhere.

    labels: (V,) int64, index into GROUP_NAMES + 6 * the number of what feeds the vertex.

    Minimises, over the edges ij of the mesh and the vertices i,

        sum_ij w_ij |x_i - x_j|^2  +  sum_i d_i |x_i - known_i|^2 + m_i |x_i - known_mirror(i)|^2

    with w weak across labels, m weak and only where the mirrored vertex is known and this one is
    not, and a last, tiny pull to the mean colour of the label, which decides for loose pieces that
    nothing else reaches (eyes). Solved directly on the CPU.
    """
    links = _links(body, labels)
    data = [(DATA_WEIGHT * trust, known)]
    if body.mirror is not None:
        other = MIRROR_WEIGHT * trust[body.mirror] * (1 - trust).clamp(min=0)
        other = other * (_piece(labels) == _piece(labels[body.mirror]))
        data.append((other, known[body.mirror]))
    data.append((torch.full_like(trust, MEAN_WEIGHT), _label_means(labels, known, trust)))
    pull = sum(weight for weight, _ in data).cpu().double().numpy()
    wanted = sum(weight[:, None] * color for weight, color in data).cpu().double().numpy()
    degree = np.asarray(links.sum(1)).ravel()
    solved = splu((diags(degree + pull) - links).tocsc()).solve(wanted)
    return torch.from_numpy(solved).to(known).clamp(-1, 1)


def _piece(labels):
    return labels // len(GROUP_NAMES)


def _label_means(labels: Tensor, known: Tensor, trust: Tensor) -> Tensor:
    """(V, 3) mean known colour of each vertex's label; of the whole body where none is known."""
    count = int(labels.max()) + 1
    total = known.new_zeros(count).index_add_(0, labels, trust)
    colors = known.new_zeros(count, 3).index_add_(0, labels, known * trust[:, None])
    means = colors / total.clamp(min=1e-6)[:, None]
    everywhere = colors.sum(0) / total.sum().clamp(min=1e-6)
    return torch.where(total[:, None] > 0, means, everywhere)[labels]


def _links(body: BodyModel, labels: Tensor) -> csr_matrix:
    """(V, V) symmetric float64 weights of the mesh's edges."""
    faces, vertices, labels = body.faces.cpu().numpy(), len(labels), labels.cpu().numpy()
    start, end = faces.flatten(), np.roll(faces, -1, 1).flatten()
    linked = coo_matrix((np.ones(len(start)), (start, end)), (vertices, vertices)).tocsr()
    edges = ((linked + linked.T) > 0).tocoo()
    one, other = labels[edges.row], labels[edges.col]
    across = np.where(_piece(one) == _piece(other), CROSSING_WEIGHT, FOREIGN_WEIGHT)
    weight = np.where(one == other, 1.0, across)
    return csr_matrix((weight, (edges.row, edges.col)), (vertices, vertices))
