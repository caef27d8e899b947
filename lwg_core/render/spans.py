"""A z-buffer in plain torch: triangles -> rows -> spans -> pixels.

Scan conversion without a loop over triangles. Each stage expands the one before it with
``repeat_interleave``: every triangle that may touch a pixel centre becomes its pixel rows, every
row becomes the span between its left and its right edge, every span becomes its pixels. Only pixels
that are really covered are ever made, and the nearest of them wins by one ``scatter_reduce`` with
``amin`` over int64 keys whose upper half orders the depth and whose lower half is the face.

Coverage is exact. Vertices snap to 1/4096 px, so edge equations are integers of at most 2**53,
which float64 holds without rounding, and the one division per edge and row cannot cross an integer
(a fraction is at least 2**-38, the spacing of doubles below 2**14 at most 2**-39). A pixel belongs
to a triangle when its centre lies inside, on a left edge or on a top edge; so triangles that share
an edge neither overlap nor leave a gap, whatever their winding and wherever the image cuts them.

The work needs float64 and an int64 ``amin``. Devices other than CPU and CUDA (MPS has neither) send
their vertices to the CPU and get the face map back. On the CPU the many short loops run on one
thread: to share loops of some microseconds costs more than it gives, on a busy machine a hundred
times more.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from ..threads import one_thread

SUBPIXELS = 4096
GUARD_BAND = 8190  # px from the middle of the image; keeps every edge equation within 2**53
MAX_SIZE = 8192  # px a side, half the band's width: corners well outside the image still draw
_ROW = 2.0**27  # packs a snapped point as y * _ROW + x: sorts by y, exact in float64
_EMPTY = torch.iinfo(torch.int64).max  # its lower 32 bits read -1, the background's face


@dataclass(frozen=True)
class _Triangles:
    """K triangles that may cover a pixel, each with the pixel box that it may cover. All (K,).

    rows: int64 height of the box. width: float64 columns of the box.
    pixel: int64 flat address of the box's first pixel in the (N*H*W,) image.
    face: int64 index into the mesh's faces.
    bend: float64 first row (from the top of the box) on which the lower short edge bounds.
    long, short: three float64 each; the edge crosses row r of the box at its column
        (e[0] + e[1] * r) / e[2]. ``short`` holds 2K: the upper short edges, then the lower ones.
    depth: three float64: depth at the box's first pixel, its step per column, its step per row.
    """

    rows: Tensor
    width: Tensor
    pixel: Tensor
    face: Tensor
    bend: Tensor
    long: tuple[Tensor, ...]
    short: tuple[Tensor, ...]
    depth: tuple[Tensor, ...]


@torch.no_grad()
def nearest_faces(
    vertices: Tensor,
    faces: Tensor,
    size: tuple[int, int],
    cull: int = 0,
    near: float = float("-inf"),
    max_items: int | None = None,
) -> Tensor:
    """The nearest face of every pixel: (N, H, W) int32, -1 where there is none.

    vertices: (N, V, 3) pixel x, pixel y, depth. faces: (F, 3) int64. ``cull`` and ``near`` as in
    ``raster.rasterize``. ``max_items`` bounds how many triangles, rows or pixels are in flight (the
    result does not depend on it); the default suits the cache of a CPU or the width of a GPU.
    """
    device = vertices.device
    exact = device if device.type in ("cpu", "cuda") else torch.device("cpu")
    if max_items is None:
        max_items = 1 << 16 if exact.type == "cpu" else 1 << 20
    points, corners = vertices.to(exact).double(), faces.to(exact)
    frames, (height, width) = len(points), size
    keys = torch.full((frames, height * width), _EMPTY, dtype=torch.int64, device=exact)
    group = max(1, max_items // max(1, len(corners)))
    with one_thread(exact):
        for first in range(0, frames, group):
            some = slice(first, first + group)
            triangles = _set_up(points[some], corners, size, cull, near)
            for pixel, key in _covered_pixels(triangles, width, max_items):
                keys[some].view(-1).scatter_reduce_(0, pixel, key, "amin")
    lower_half = 0 if sys.byteorder == "little" else 1
    face = keys.view(torch.int32)[:, lower_half::2]
    return face.reshape(frames, height, width).to(device)


def _set_up(
    points: Tensor, faces: Tensor, size: tuple[int, int], cull: int, near: float
) -> _Triangles:
    """Snap (N, V, 3) points, drop the triangles that cover nothing, write the others' equations."""
    frames, count, _ = points.shape
    height, width = size
    mid_column, mid_row = width // 2, height // 2
    x, y, z = points.permute(2, 0, 1).reshape(3, -1).unbind(0)
    # Integers from here on, in 1/4096 px from the centre of the middle pixel.
    x = torch.round((x - (mid_column + 0.5)) * SUBPIXELS)
    y = torch.round((y - (mid_row + 0.5)) * SUBPIXELS)
    limit = GUARD_BAND * SUBPIXELS
    usable = (x.abs() <= limit) & (y.abs() <= limit) & (z > near) & (z.abs() < float("inf"))
    # A triangle can only cover the columns from the first pixel at or right of its leftmost corner
    # to before the first one at or right of its rightmost corner; rows alike.
    column = (torch.ceil(x / SUBPIXELS) + mid_column).clamp_(0, width)
    row = (torch.ceil(y / SUBPIXELS) + mid_row).clamp_(0, height)
    column.masked_fill_(~usable, float("nan"))  # spreads to min and max and compares false

    corners = faces.t().contiguous()
    if frames > 1:
        first = torch.arange(0, frames * count, count, device=points.device)
        corners = (corners[:, None] + first[:, None]).view(3, -1)
    left, right = _range(column, corners)
    top, bottom = _range(row, corners)
    kept = ((left < right) & (top < bottom)).nonzero().squeeze(1)
    left, right, top, bottom = (v.index_select(0, kept) for v in (left, right, top, bottom))
    corners = corners.index_select(1, kept)
    (x0, x1, x2), (y0, y1, y2), (z0, z1, z2) = (
        [v.index_select(0, corner) for corner in corners] for v in (x, y, z)
    )
    area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
    facing = (area != 0) if cull == 0 else (area * cull > 0)
    # The box's first pixel, like the corners: in 1/4096 px from the middle pixel.
    origin = (left - mid_column) * SUBPIXELS, (top - mid_row) * SUBPIXELS

    per_column = ((z1 - z0) * (y2 - y0) - (z2 - z0) * (y1 - y0)) / area
    per_row = ((z2 - z0) * (x1 - x0) - (z1 - z0) * (x2 - x0)) / area
    depth = z0 + per_column * (origin[0] - x0) + per_row * (origin[1] - y0)

    # One long edge from the highest to the lowest corner, two short ones that meet at the middle.
    p0, p1, p2 = y0 * _ROW + x0, y1 * _ROW + x1, y2 * _ROW + x2
    highest = torch.minimum(torch.minimum(p0, p1), p2)
    lowest = torch.maximum(torch.maximum(p0, p1), p2)
    middle = (p0 - highest) + (p1 - lowest) + p2
    high, mid, low = _unpack(highest), _unpack(middle), _unpack(lowest)
    upper, lower = _edge(high, mid, origin), _edge(mid, low, origin)
    frame = torch.div(kept, len(faces), rounding_mode="floor")
    return _Triangles(
        rows=((bottom - top) * facing).long(),
        width=right - left,
        pixel=frame * (height * width) + (top * width + left).long(),
        face=kept - frame * len(faces),
        bend=torch.ceil((mid[1] - origin[1]) / SUBPIXELS),
        long=_edge(high, low, origin),
        short=tuple(torch.cat(terms) for terms in zip(upper, lower, strict=True)),
        depth=(depth, per_column * SUBPIXELS, per_row * SUBPIXELS),
    )


def _range(value: Tensor, corners: Tensor) -> tuple[Tensor, Tensor]:
    """Smallest and largest of a per-point value over the corners (3, K) of each triangle."""
    a, b, c = (value.index_select(0, corner) for corner in corners)
    return torch.minimum(torch.minimum(a, b), c), torch.maximum(torch.maximum(a, b), c)


def _unpack(packed: Tensor) -> tuple[Tensor, Tensor]:
    y = torch.round(packed / _ROW)
    return packed - y * _ROW, y


def _edge(upper, lower, origin) -> tuple[Tensor, Tensor, Tensor]:
    """The equation of the edge between two points (x, y); see ``_Triangles.long``."""
    dx, dy = lower[0] - upper[0], lower[1] - upper[1]
    at_first_row = (upper[0] - origin[0]) * dy + (origin[1] - upper[1]) * dx
    return at_first_row, dx * SUBPIXELS, dy * SUBPIXELS


def _covered_pixels(
    t: _Triangles, image_width: int, max_items: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Flat addresses (M,) and depth|face keys (M,) of all covered pixels, in chunks."""

    def take(terms, index):
        return (term.index_select(0, index) for term in terms)

    for triangle, row in _expand(t.rows, max_items):
        r = row.double()
        pixel, face, width, bend = take((t.pixel, t.face, t.width, t.bend), triangle)
        edge = torch.add(triangle, r >= bend, alpha=len(t.rows))
        (a, a_step, a_scale), (b, b_step, b_scale) = take(t.long, triangle), take(t.short, edge)
        a = torch.ceil(torch.addcmul(a, a_step, r) / a_scale)
        b = torch.ceil(torch.addcmul(b, b_step, r) / b_scale)
        # [start, end): a pixel on the left edge is in, one on the right edge is not.
        start = torch.minimum(a, b).clamp_(min=0)
        length = (torch.minimum(torch.maximum(a, b), width) - start).clamp_(min=0)
        z, per_column, per_row = take(t.depth, triangle)
        z = torch.addcmul(torch.addcmul(z, per_column, start), per_row, r)
        pixel = torch.add(pixel, row, alpha=image_width) + start.long()
        for span, step in _expand(length.long(), max_items):
            first_pixel, first_z, z_step, drawn = take((pixel, z, per_column, face), span)
            depth = torch.addcmul(first_z, z_step, step.double())
            yield first_pixel + step, (_ordered_bits(depth) << 32) | drawn


def _ordered_bits(depth: Tensor) -> Tensor:
    """int64 that sorts like float32(depth): IEEE bits, the magnitude flipped when negative."""
    bits = depth.float().view(torch.int32)
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)).long()


def _expand(counts: Tensor, max_items: int) -> Iterator[tuple[Tensor, Tensor]]:
    """counts (K,) -> owner (M,) repeating each index counts[k] times, position (M,) inside it.

    In chunks of whole owners that hold about ``max_items`` items.
    """
    if not len(counts):
        return
    ends = counts.cumsum(0)
    total = int(ends[-1])
    cuts = {0, len(counts)}
    if total > max_items:
        steps = torch.arange(max_items, total, max_items, device=counts.device)
        cuts.update(torch.searchsorted(ends, steps).tolist())
    for a, b in pairwise(sorted(cuts)):
        before = int(ends[a - 1]) if a else 0
        items = (int(ends[b - 1]) if b < len(counts) else total) - before
        some = torch.arange(a, b, device=counts.device)
        owner = torch.repeat_interleave(some, counts[a:b], output_size=items)
        starts = ends - counts - before
        yield owner, torch.arange(items, device=counts.device) - starts.index_select(0, owner)
