"""The band round the target's silhouette: hair and clothes stand off the mesh, so flow must too."""

from __future__ import annotations

import torch
from torch import Tensor


def nearest_inside(mask: Tensor, reach: int) -> tuple[Tensor, Tensor]:
    """Pixels outside ``mask`` (T, H, W) bool and within ``reach`` px of it, with their nearest one.

    Returns flat indices into (T, H, W), both (Q,) int64: the pixels, and for each the nearest pixel
    of the mask (Euclidean, exact). Separable: the nearest along rows, then the best of 2 reach + 1
    rows; squared distance and position share one integer so that a plain minimum carries both.
    """
    height, width = mask.shape[1:]
    top, bottom = _extent(mask.any(0).any(1), reach)
    left, right = _extent(mask.any(0).any(0), reach)
    cut = mask[:, top:bottom, left:right]
    rows, columns = cut.shape[1:]
    span = 2 * reach + 3
    kinds = span * span
    dtype = torch.int32 if reach <= 100 else torch.int64
    x = torch.arange(columns, device=mask.device, dtype=dtype)
    far = columns + reach + 1
    before = torch.where(cut, x, -far).cummax(-1).values
    after = torch.where(cut, x, 2 * far).flip(-1).cummin(-1).values.flip(-1)
    step = torch.where(x - before <= after - x, before - x, after - x)
    none = torch.iinfo(dtype).max // 2
    keys = torch.where(step.abs() <= reach, step**2 * kinds + step + reach + 1, none)
    padded = torch.nn.functional.pad(keys, (0, 0, reach, reach), value=none)
    best = keys + (reach + 1) * span
    for rise in range(-reach, reach + 1):
        shifted = padded[:, reach + rise : reach + rise + rows]
        torch.minimum(best, shifted + (rise**2 * kinds + (rise + reach + 1) * span), out=best)
    squared = torch.div(best, kinds, rounding_mode="floor")
    frame, row, column = ((squared > 0) & (squared <= reach * reach)).nonzero(as_tuple=True)
    code = best[frame, row, column].long() % kinds
    pixels = (frame * height + row + top) * width + column + left
    rise = torch.div(code, span, rounding_mode="floor") - reach - 1
    return pixels, pixels + rise * width + code % span - reach - 1


def _extent(occupied: Tensor, reach: int) -> tuple[int, int]:
    """First and one past the last True of (N,) bool, ``reach`` further out, inside 0..N."""
    found = occupied.nonzero().flatten().tolist() or [0]
    return max(found[0] - reach, 0), min(found[-1] + 1 + reach, len(occupied))


def shell_offset(
    offset: Tensor, target_normal: Tensor, source_normal: Tensor
) -> tuple[Tensor, Tensor]:
    """Where a step off the target's outline leads in the sources: (Q, S, 2), and how much of its
    length is left there: (Q, S) in 0..1.

    offset: (Q, 2) step from the outline, any unit of length, image axes. target_normal: (Q, 2) and
    source_normal: (Q, S, 2) image-plane parts of the surface normals there.

    What stands off the body is moved with it: the step turns and shortens as the normal does
    (complex division), so a sleeve below a hanging arm is still below it when the arm is raised.
    With equal normals the step is kept.
    """
    inverse = target_normal / (target_normal**2).sum(-1, keepdim=True).clamp(min=1e-6)
    turn_x = (source_normal * inverse[:, None]).sum(-1)
    turn_y = (
        source_normal[..., 1] * inverse[:, None, 0] - source_normal[..., 0] * inverse[:, None, 1]
    )
    length = torch.hypot(turn_x, turn_y)
    kept = length.clamp(max=1)
    shrink = kept / length.clamp(min=1e-12)
    x, y = (offset[:, None, axis] * shrink for axis in (0, 1))
    return torch.stack([turn_x * x - turn_y * y, turn_y * x + turn_x * y], -1), kept


def inward(pixels: Tensor, step: Tensor, depth: float, size: tuple[int, int]) -> Tensor:
    """Flat indices (Q,) of the pixels ``depth`` px behind ``pixels`` (Q,), against ``step`` (Q, 2).

    size: (height, width). Stays inside the frame.
    """
    height, width = size
    direction = torch.nn.functional.normalize(step.float(), dim=-1)
    back = (direction * depth).round().long()
    column = (pixels % width - back[:, 0]).clamp(0, width - 1)
    line = torch.div(pixels, width, rounding_mode="floor")
    row = line % height
    return (
        pixels + ((row - back[:, 1]).clamp(0, height - 1) - row) * width + column - pixels % width
    )
