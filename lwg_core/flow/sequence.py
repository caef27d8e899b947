"""A clip's worth of flow behind one protocol: evaluated when asked for, or held as tensors.

The lazy form keeps poses and cameras only, so its memory does not grow with the clip.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from ..body.model import BodyModel
from ..body.params import SmplParams
from ..errors import InputError
from .chunk import FlowChunk
from .compose import ComposeOptions, compose
from .framing import Framing
from .prepare import PreparedSources, prepare_sources
from .source import Sources
from .transfer import worn_offsets
from .window import person_box

SIDES = (64, 8192)


class FlowSequence(Protocol):
    """Composed flow of ``len(flow)`` frames.

    prepared: the sources. size: (height, width) of the targets. fps: frames per second.
    framing: where the targets lie in the picture that their cameras came from; None = they are that
    picture.
    """

    @property
    def prepared(self) -> PreparedSources: ...

    @property
    def size(self) -> tuple[int, int]: ...

    @property
    def fps(self) -> float: ...

    @property
    def framing(self) -> Framing | None: ...

    def __len__(self) -> int: ...

    def person_box(self) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) in pixels of the person over all frames."""
        ...

    def chunk(self, start: int, stop: int, device=None) -> FlowChunk:
        """Frames start..stop-1 on ``device`` (default: the sequence's own)."""
        ...


@dataclass(frozen=True)
class LazyFlow:
    """Flow of target bodies, composed chunk by chunk. Use ``build``, which checks.

    target: T frames with betas and with cameras of ``size``. offsets: (V,) metres along the rest
    normals, of the source person, worn in every pose.
    """

    prepared: PreparedSources
    target: SmplParams
    size: tuple[int, int]
    offsets: Tensor | None = None
    options: ComposeOptions = ComposeOptions()
    framing: Framing | None = None

    @classmethod
    def build(
        cls,
        sources: Sources | PreparedSources,
        body: BodyModel,
        target: SmplParams,
        size: tuple[int, int],
        options: ComposeOptions | None = None,
        framing: Framing | None = None,
        device=None,
    ) -> LazyFlow:
        """Check ``target`` against the sources and prepare them.

        target: T frames with cameras. Without betas it takes those of the first source; its own
        must belong to ``body``. Clothes and hair (offsets) are those that the sources say the
        person wears.
        """
        target = check_target(target, body, size)
        if not isinstance(sources, PreparedSources):
            sources = prepare_sources(sources, body, device)
        if target.betas is None:
            first = sources.sources[0].params
            target = replace(target, betas=first.betas, body_model=body.id)
        target = target.to(sources.device)
        offsets = worn_offsets(sources.sources, body)
        return cls(sources, target, size, offsets, options or ComposeOptions(), framing)

    @property
    def fps(self) -> float:
        return self.target.fps

    def __len__(self) -> int:
        return len(self.target)

    def person_box(self) -> tuple[float, float, float, float]:
        return person_box(self.target, self.prepared.body, self.offsets)

    def chunk(self, start: int, stop: int, device=None) -> FlowChunk:
        _check_range(start, stop, len(self))
        prepared = self.prepared if device is None else self.prepared.to(device)
        target = self.target.select(slice(start, stop)).to(prepared.device)
        offsets = None if self.offsets is None else self.offsets.to(prepared.device)
        vertices = prepared.body.vertices(target.pose, target.betas, offsets)
        return compose(prepared, vertices, target.camera, self.size, self.options)


@dataclass(frozen=True)
class MaterialisedFlow:
    """Flow held as tensors: ``frames`` of a whole clip, to look at or to change.

    box: (left, top, right, bottom) in pixels of the person over all frames, as ``person_box`` of
    the sequence that the tensors came from.
    """

    prepared: PreparedSources
    frames: FlowChunk
    box: tuple[float, float, float, float]
    fps: float = 30.0
    framing: Framing | None = None

    @property
    def size(self) -> tuple[int, int]:
        return self.frames.size

    def __len__(self) -> int:
        return len(self.frames)

    def person_box(self) -> tuple[float, float, float, float]:
        return self.box

    def chunk(self, start: int, stop: int, device=None) -> FlowChunk:
        _check_range(start, stop, len(self))
        part = self.frames.select(slice(start, stop))
        return part if device is None else part.to(device)


def materialise(
    flow: FlowSequence,
    chunk: int = 8,
    keep: torch.device | str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> MaterialisedFlow:
    """Evaluate a whole sequence, ``chunk`` frames at a time, and hold the tensors on ``keep``."""
    pieces = []
    for start in range(0, len(flow), chunk):
        stop = min(start + chunk, len(flow))
        pieces.append(flow.chunk(start, stop).to(keep))
        if progress is not None:
            progress(stop, len(flow))
    return MaterialisedFlow(
        flow.prepared, FlowChunk.cat(pieces), flow.person_box(), flow.fps, flow.framing
    )


def check_target(target: SmplParams, body: BodyModel, size: tuple[int, int]) -> SmplParams:
    """``target`` with cameras of ``size``, or an InputError that says what is wrong with it."""
    if target.camera is None:
        raise InputError(
            "target body has no camera; a motion becomes a target when a camera is chosen for it "
            "(Imitate Motion)"
        )
    if target.betas is not None and target.body_model != body.id:
        raise InputError(
            f"target body has betas of the body model '{target.body_model}', but the sources use "
            f"'{body.id}'; betas do not travel between body models: leave them out, poses travel"
        )
    if not SIDES[0] <= min(size) <= max(size) <= SIDES[1]:
        raise InputError(
            f"target size {size[1]} x {size[0]} px is not possible; sides of {SIDES[0]} to "
            f"{SIDES[1]} px are"
        )
    if target.camera.size == tuple(size):
        return target
    return replace(target, camera=target.camera.resize(tuple(size)))


def _check_range(start: int, stop: int, length: int) -> None:
    if not 0 <= start < stop <= length:
        raise InputError(f"frames {start}..{stop} asked of a flow of {length} frames")
