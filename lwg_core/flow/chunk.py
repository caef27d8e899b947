"""A FlowChunk: some target frames composed from the sources, and what the network gets of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from ..render.raster import Raster
from .field import FlowField


@dataclass(frozen=True)
class FlowChunk:
    """T target frames of (H, W) pixels, composed from S sources.

    flow: what the network warps with.
    score: (T, S, H, W) trust in each source, visibility * facing^3, 0 = none.
    warped: (T, 3, H, W) I_syn in [-1, 1], 0 away from the person.
    visibility: (T, 1, H, W) in 0..1, how far ``warped`` shows source pixels (not filled texture).
    code: (T, 3, H, W) correspondence code, 0 outside the silhouette.
    silhouette: (T, 1, H, W) 1 on the mesh. coverage: (T, 1, H, W) in 0..1, the share of each pixel
        that the mesh covers.
    head: (T, 1, H, W) in 0..1, smooth: head and face as one source shows them.
    part: (T, H, W) int64 index into PART_NAMES, -1 outside the silhouette.
    raster: the target meshes. points: (T, V, 3) pixel x, y and depth in metres of their vertices.
    """

    flow: FlowField
    score: Tensor
    warped: Tensor
    visibility: Tensor
    code: Tensor
    silhouette: Tensor
    coverage: Tensor
    head: Tensor
    part: Tensor
    raster: Raster
    points: Tensor

    def __len__(self) -> int:
        return self.warped.shape[0]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.warped.shape[2], self.warped.shape[3]

    def select(self, index) -> FlowChunk:
        """Frames ``index`` (slice, list or LongTensor; must keep the frame axis)."""
        return _merge([self], lambda tensors: tensors[0][index])

    def to(self, device) -> FlowChunk:
        return _merge([self], lambda tensors: tensors[0].to(device))

    @staticmethod
    def cat(chunks: list[FlowChunk]) -> FlowChunk:
        """Chunks of the same sources and size, one after the other."""
        return _merge(chunks, torch.cat)


def _merge(values: list, change: Callable[[list[Tensor]], Tensor]):
    """Apply ``change`` to equal tensors of equal (nested) dataclasses."""
    if isinstance(values[0], Tensor):
        return change(values)
    parts = {
        field.name: _merge([getattr(value, field.name) for value in values], change)
        for field in fields(values[0])
    }
    return type(values[0])(**parts)


def network_inputs(chunk: FlowChunk) -> Tensor:
    """(T, 8, H, W) target stream: I_syn, code, coverage, visibility."""
    return torch.cat([chunk.warped, chunk.code, chunk.coverage, chunk.visibility], 1)
