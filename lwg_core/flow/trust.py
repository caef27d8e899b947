"""How far each source is to be trusted at a point, and which one is preferred for a body part."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .parts import HEAD_GROUP

FIRST_BONUS = 1.1  # the first source wins ties, so that near-equal sources do not alternate
SOFTNESS = 0.1  # the loser fades over this ratio of summed trust: a change of winner is no jump
SURE_ALPHA = 0.6  # a warped alpha below this is not trusted at all


def sample_foreground(foreground: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
    """Colours (P, S, 3) at grid (P, S, 2), and how surely each is the person's: (P, S) in 0..1.

    foreground: (S, 4, h, w) rgb * a and a. Sure falls to 0 as a falls from 1 to SURE_ALPHA: below,
    the mesh lies on something that is not the person.
    """
    if not len(grid):  # grid_sample takes no empty grid
        return grid.new_zeros(0, len(foreground), 3), grid.new_zeros(0, len(foreground))
    picked = F.grid_sample(foreground, grid.permute(1, 0, 2)[:, None], align_corners=False)
    picked = picked[:, :, 0].permute(2, 0, 1)
    alpha = picked[..., 3]
    sure = ((alpha - SURE_ALPHA) / (1 - SURE_ALPHA)).clamp(0, 1)
    return picked[..., :3] / alpha.clamp(min=0.25)[..., None], sure


def preference(trust: Tensor, cell: Tensor, groups: Tensor, cells: int) -> Tensor:
    """How much each source is preferred at P points: (P, S) in 0..1, 1 = winner of its cell.

    trust: (P, S) >= 0. cell: (P,) int64 in 0..cells-1, the (frame and) part within which sources
    compete by their summed trust. groups: (P,) int64 index into GROUP_NAMES.
    """
    sources = trust.shape[1]
    if sources == 1:
        return torch.ones_like(trust)
    sums = trust.new_zeros(cells, sources).index_add_(0, cell, trust)
    sums = sums * F.pad(sums.new_tensor([FIRST_BONUS]), (0, sources - 1), value=1.0)
    ratio = sums / sums.amax(1, keepdim=True).clamp(min=1e-9)
    preferred = ((ratio - 1) / SOFTNESS + 1).clamp(0, 1)
    one = F.one_hot(sums.argmax(1), sources).to(trust.dtype)
    return torch.where((groups == HEAD_GROUP)[:, None], one[cell], preferred[cell])
