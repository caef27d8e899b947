"""What the nodes that paint share: their inputs, and the frames as they come."""

from __future__ import annotations

from collections.abc import Iterator

import comfy.model_management
import torch
from comfy_api.latest import io

from ..lwg_core import pipeline
from ..lwg_core.compositing import Backdrop
from ..lwg_core.errors import InputError
from ..lwg_core.painting import bytes_needed
from .sockets import FlowType, GeneratorType, image_to_core

SAME = "same proportions"
FITS = {SAME: "same", "crop to cover": "cover"}
MOST_FRAMES = 1_000_000


def painting_inputs() -> list[io.Input]:
    """Generator, flow, background, and how to go about it; arguments of ``paint``."""
    return [
        GeneratorType.Input("generator", tooltip="From Load Generator or Personalize."),
        FlowType.Input("flow", tooltip="From Compose Flow."),
        io.Image.Input(
            "background",
            optional=True,
            tooltip="One picture, or one per frame, with the proportions of the first "
            "source's picture or of the result. Without one the images hold the person's "
            "straight colour, for compositing with the masks.",
        ),
        io.Int.Input(
            "chunk",
            default=0,
            min=0,
            max=64,
            advanced=True,
            tooltip="Frames computed at a time; 0 = as many as the free memory allows. The "
            "pictures do not depend on it.",
        ),
        io.Combo.Input(
            "background_fit",
            options=list(FITS),
            optional=True,
            advanced=True,
            tooltip="What to do with a background of other proportions: refuse it, or cut "
            "it to cover the frame.",
        ),
        io.Int.Input(
            "start_frame",
            default=0,
            min=0,
            max=MOST_FRAMES,
            optional=True,
            advanced=True,
            tooltip="First frame to paint, counted from 0.",
        ),
        io.Int.Input(
            "frames",
            default=0,
            min=0,
            max=MOST_FRAMES,
            optional=True,
            advanced=True,
            tooltip="How many frames to paint; 0 = all that are left.",
        ),
        io.Boolean.Input(
            "previous_frame",
            default=False,
            optional=True,
            advanced=True,
            tooltip="Feed the previous frame to the attention as one more source (the "
            "temporal variant): slower, frame by frame.",
        ),
    ]


def paint(
    generator, flow, chunk: int = 0, background=None, background_fit: str = SAME,
    start_frame: int = 0, frames: int = 0, previous_frame: bool = False,
) -> tuple[Iterator[tuple[torch.Tensor, torch.Tensor]], int]:  # fmt: skip
    """The painted frames, images and mattes as they come, and how many there will be."""
    stop = min(start_frame + frames, len(flow)) if frames else len(flow)
    if start_frame >= stop:
        raise InputError(
            f"start_frame is {start_frame}, but the flow has {len(flow)} frames, numbered from 0: "
            "no frame is left"
        )
    behind = None if background is None else backdrop(background, flow, FITS[background_fit])
    device = generator.load_device
    need = bytes_needed(generator.model, flow.size, (chunk or 1) + len(flow.prepared))
    comfy.model_management.load_models_gpu([generator], memory_required=need)
    free = comfy.model_management.get_free_memory(device)
    pieces = pipeline.generate(
        generator.model, flow, behind, chunk or None, device, start=start_frame, stop=stop,
        temporal=previous_frame, free=free,
    )  # fmt: skip
    return pieces, stop - start_frame


def backdrop(background: torch.Tensor, flow, fit: str) -> Backdrop:
    """IMAGE (1 or T, H, W, C) as ``pipeline.generate`` takes it, a clip placed piece by piece."""
    if len(background) not in (1, len(flow)):
        raise InputError(
            f"background must be 1 picture or {len(flow)}, one per frame; got {len(background)}"
        )

    def placed(start: int, stop: int) -> torch.Tensor:
        images = image_to_core(background[start:stop], "background")
        return pipeline.place_background(images, flow, fit)

    first = placed(0, 1)
    return first if len(background) == 1 else placed
