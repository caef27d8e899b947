"""The last stage: the generator paints every frame of a flow, in constant memory.

How many frames at a time follows from the free memory; when it runs out nevertheless, half as many
are tried. A frame does not depend on the others it is computed with.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from .compositing import Backdrop, behind, check_backdrop, finish
from .errors import InputError
from .flow.chunk import FlowChunk
from .flow.compose import BAND, network_inputs, source_inputs
from .flow.sequence import FlowSequence, LazyFlow
from .flow.temporal import Past, past_flow, past_inputs
from .flow.window import Window, crop, crop_grid, padded_window
from .networks.bank import SourceBank
from .networks.generator import AttLWBGenerator

log = logging.getLogger(__name__)

Progress = Callable[..., None]
DECODED_MARGIN = 0.12  # of the person's longer side: context for the network
BYTES_PER_CHANNEL = 48  # of the first stage, per pixel and picture: twice the measured peak
FLOW_BYTES = 800  # per pixel, frame and source: twice the measured peak of the composition
MOST_PIXELS_ON_CPU = 4 * 256 * 256  # at a time: more makes a CPU slower, not faster
MOST_ON_GPU = 16
SHARE = 0.5  # of the free memory may be used
WARM_UP = 4  # frames after which a frame no longer shows where its clip began
UNKNOWN_MEMORY = 2 << 30  # bytes taken for free where the system does not say


def check_generator(generator: AttLWBGenerator) -> None:
    """Raise an InputError unless the generator takes what ``compose`` makes."""
    if generator.config.inputs != "surface":
        raise InputError(
            "official generator weights need inputs made from an SMPL body and the official "
            "mapper files, which this version does not make; use the built-in generator or one "
            "trained from it"
        )


@torch.no_grad()
def generate(
    generator: AttLWBGenerator,
    flow: FlowSequence,
    background: Backdrop,
    chunk: int | None = None,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
    start: int = 0,
    stop: int | None = None,
    temporal: bool = False,
    free: int | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Frames start..stop-1 of the person over the background, as they come.

    background: (1 or T, 3, *result_size(flow)) from ``place_background``, a function (start, stop)
        -> such frames (``VideoBackground``), or None: the person's straight colour, for alpha.
    chunk: frames at a time; None = as many as ``free`` bytes allow (None = the device's own
        figure). temporal: the previous frame is one more source (frame by frame, then).
    progress: called with (frames done, frames in all, the last frame (3, H, W)).
    Yields images (t, 3, H, W) in [-1, 1] and mattes (t, 1, H, W), 1 = person, on the CPU.
    """
    check_generator(generator)
    check_backdrop(background, flow)
    stop = len(flow) if stop is None else stop
    if not 0 <= start < stop <= len(flow):
        raise InputError(
            f"no frame is left: frames {start} to {stop - 1} were asked of a clip of {len(flow)}, "
            "numbered from 0"
        )
    window = clip_window(flow, generator.config.multiple)
    inputs = source_inputs(flow.prepared).to(device)
    bank = encode(generator, inputs)
    if isinstance(flow, LazyFlow):  # moved once, not for every chunk
        flow = replace(flow, prepared=flow.prepared.to(inputs.device))
    if temporal:
        chunk = 1
    chunk = chunk or chunk_frames(generator, flow, inputs.device, free)
    past, at = None, start
    if temporal:  # painted for the sake of the frames behind them alone
        for frame in range(max(start - WARM_UP, 0), start):
            past = Past(*paint_frames(generator, bank, flow, window, frame, frame + 1, past))
    while at < stop:
        end = min(at + chunk, stop)
        try:
            part, colour, matte = paint_frames(generator, bank, flow, window, at, end, past)
            backdrop = behind(background, at, end)
            framing = None if flow.framing is None else flow.framing.select(slice(at, end))
            images, mattes = (x.cpu() for x in finish(colour, matte, backdrop, framing))
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            images = None
        if images is None:  # outside the except clause: the error holds on to what filled memory
            part = colour = matte = None
            chunk = smaller(end - at, flow)
            continue
        if temporal:
            past = Past(part, colour, matte)
        yield images, mattes
        if progress is not None:
            progress(end - start, stop - start, images[-1])
        at = end


def encode(generator: AttLWBGenerator, inputs: Tensor) -> SourceBank:
    """The sources (S, C, H, W) as a bank; InputError if they do not fit into memory."""
    try:
        return generator.encode(inputs)
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        raise InputError(
            f"there is not enough memory for {len(inputs)} sources of {inputs.shape[3]} x "
            f"{inputs.shape[2]} px; choose a smaller size, or fewer sources"
        ) from error


def paint_frames(
    generator: AttLWBGenerator,
    bank: SourceBank,
    flow: FlowSequence,
    window: Window,
    start: int,
    stop: int,
    past: Past | None = None,
) -> tuple[FlowChunk, Tensor, Tensor]:
    """Flow, colour (T, 3, H, W) and matte (T, 1, H, W), 1 = person, of frames start..stop-1."""
    part = flow.chunk(start, stop, bank.features[0].device)
    faces = flow.prepared.body.faces.to(part.warped.device)
    colour, mask = decode_window(generator, bank, part, window, past, faces)
    # The face is copied where one source shows it: the network paints small faces as blobs.
    return part, part.head * part.warped + (1 - part.head) * colour, 1 - mask


def clip_window(flow: FlowSequence, multiple: int = 8) -> Window:
    """The part of the frame that the person needs over the whole clip, for ``decode_window``.

    multiple: its sides are divisible by it.

    One for all frames: the network's normalisation sees the whole window, so a window that follows
    the person would change the picture a little from chunk to chunk.
    """
    left, top, right, bottom = flow.person_box()
    if not math.isfinite(left + top + right + bottom):
        raise InputError("the target body does not lie in its picture in any frame")
    box = (math.floor(top), math.floor(left), math.ceil(bottom), math.ceil(right))
    margin = round(DECODED_MARGIN * max(box[2] - box[0], box[3] - box[1]))
    return padded_window(box, max(margin, min(flow.size) // BAND + 1), flow.size, multiple)


def decode_window(
    generator: AttLWBGenerator,
    bank: SourceBank,
    part: FlowChunk,
    window: Window,
    past: Past | None = None,
    faces: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Colour (T, 3, H, W) and mask (T, 1, H, W), 1 = background, decoded inside ``window``."""
    inputs, grid = network_inputs(part), part.flow.to_official()
    if past is not None:  # the attention's temporal inputs (paper sec. 3.3, Eq. 8)
        bank = bank.join(generator.encode(past_inputs(past)))
        grid = torch.cat([grid, past_flow(part, past, faces)], 1)
    colour, mask = generator.decode(bank, crop(inputs, window), crop_grid(grid, window))
    top, left, height, width = window
    full_colour = part.warped.clone()
    full_mask = torch.ones_like(part.silhouette)
    full_colour[..., top : top + height, left : left + width] = colour
    full_mask[..., top : top + height, left : left + width] = mask
    return full_colour, full_mask


def bytes_needed(generator: AttLWBGenerator, size: tuple[int, int], pictures: int) -> int:
    """Bytes that running ``pictures`` pictures of (height, width) pixels takes."""
    return BYTES_PER_CHANNEL * generator.config.widths[0] * size[0] * size[1] * pictures


def chunk_frames(
    generator: AttLWBGenerator,
    flow: FlowSequence,
    device: torch.device,
    free: int | None = None,
) -> int:
    """How many frames fit into ``free`` bytes of memory at a time (None = ask the device)."""
    free = free_memory(device) if free is None else free
    pixels = flow.size[0] * flow.size[1]
    frame = bytes_needed(generator, flow.size, 1) + FLOW_BYTES * pixels * len(flow.prepared)
    if flow.framing is not None and flow.framing.whole:
        frame += 4 * 16 * flow.framing.canvas[0] * flow.framing.canvas[1]
    most = max(MOST_PIXELS_ON_CPU // pixels, 1) if device.type == "cpu" else MOST_ON_GPU
    return min(max(int(SHARE * free / frame), 1), most)


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device, as far as the system tells."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows and macOS do not have it
        return UNKNOWN_MEMORY


def out_of_memory(error: RuntimeError) -> bool:
    """Does PyTorch say that memory ran out? Only CUDA has a class of its own for it."""
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return True
    text = str(error).lower()
    return "out of memory" in text or "can't allocate memory" in text


def smaller(chunk: int, flow: FlowSequence) -> int:
    """The next chunk to try when ``chunk`` frames did not fit into memory."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if chunk == 1:
        raise InputError(
            f"there is not enough memory for one frame of {flow.size[1]} x {flow.size[0]} px; "
            "choose a smaller size, or fewer sources"
        )
    log.warning("out of memory with %d frames at a time; going on with %d", chunk, chunk // 2)
    return chunk // 2
