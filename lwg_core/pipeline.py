"""The stages in a row: what the command line and the nodes call.

    recover -> make_source -> with_offsets -> (targets) -> compose -> background -> generate

A picture of any size and aspect enters; the network sees a square window around the person. That
window is laid over the picture of the first source, so its background can be cut the same way.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from .background import background_hole, check_method, fill_background
from .body.model import BodyModel
from .body.params import SmplParams
from .errors import InputError
from .flow.chunk import FlowChunk
from .flow.compose import BAND, network_inputs, source_inputs
from .flow.masks import estimate_mask
from .flow.offsets import solve_offsets
from .flow.sequence import FlowSequence, LazyFlow
from .flow.source import CropWindow, Source, Sources, check_sources, crop_picture, crop_source
from .flow.window import Window, crop, crop_grid, padded_window, person_box
from .networks.bank import SourceBank
from .networks.generator import AttLWBGenerator
from .recovery.fit import FitResult, fit_keypoints
from .recovery.keypoints import Keypoints
from .render.raster import rasterize, silhouette

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
WINDOW_FILL = 0.9
DECODED_MARGIN = 0.12  # of the person's longer side: context for the network
LARGEST_BODY = 8  # pictures: a body beyond that is a wrong camera, not a close-up
SMALLEST_BODY = 16  # px
HANDS = (22, 23)  # joints


def recover(image: Tensor, keypoints: Keypoints, body: BodyModel) -> FitResult:
    """Body of the person whose keypoints were found in ``image`` (3, H, W)."""
    return fit_keypoints(keypoints, body, (image.shape[1], image.shape[2]))


def make_source(
    image: Tensor, params: SmplParams, body: BodyModel, mask: Tensor | None = None
) -> Source:
    """A source; without a mask (1, H, W) one is estimated from the fitted body (GrabCut)."""
    source = Source(image, params, mask)
    check_sources((source,), body)
    if not params.valid.all():
        raise InputError(
            "the body of this source is not to be trusted: its recovery failed (see its report); "
            "use a picture that shows the whole person, or mend the keypoints"
        )
    check_placement(source, body)
    if mask is None:
        source = replace(source, mask=estimate_mask(image, body, params).mask)
    return source


def check_placement(source: Source, body: BodyModel) -> None:
    """Raise an InputError unless the body lies in its picture, at a size that can be true."""
    camera = source.params.camera
    points = camera.project(body.vertices(source.params.pose, source.params.betas))[0]
    low, high = points[:, :2].amin(0), points[:, :2].amax(0)
    side = float((high - low).amax())
    limit = points.new_tensor([source.size[1], source.size[0]])
    if not (
        torch.isfinite(points).all()
        and points[:, 2].min() > camera.near
        and (low < limit).all()
        and (high > 0).all()
        and SMALLEST_BODY <= side <= LARGEST_BODY * max(source.size)
    ):
        raise InputError(
            "source body does not lie in its picture, or is many times smaller or larger than it; "
            "recover the body from this very picture"
        )


def with_offsets(sources: Sources, body: BodyModel) -> Sources:
    """Hair and clothes onto the mesh: offsets solved jointly from all masks, shared by all."""
    offsets = solve_offsets(body, sources)
    return tuple(replace(source, offsets=offsets) for source in sources)


def target_window(target: SmplParams, body: BodyModel, offsets: Tensor | None) -> CropWindow:
    """The square of the target's picture that holds the person in every frame.

    It stays inside the picture as far as the person does: beyond it there is no background.
    """
    left, top, right, bottom = person_box(target, body, offsets)
    extent = max(right - left, bottom - top)
    height, width = target.camera.size
    if not extent <= LARGEST_BODY * max(height, width):  # False for NaN, too
        raise InputError(
            "the motion's camera takes the person far out of the picture or behind the viewer; "
            "use the camera strategy 'source'"
        )
    side = max(8, round(extent / WINDOW_FILL))
    return CropWindow(_place(left, right, side, width), _place(top, bottom, side, height), side)


def _place(low: float, high: float, side: int, limit: int) -> int:
    """Start of a span of ``side`` around low..high, moved into 0..limit as far as it holds it."""
    start = (low + high - side) / 2
    start = min(max(start, min(limit - side, 0)), max(limit - side, 0))
    return round(min(max(start, high - side), low))


def compose(sources: Sources, target: SmplParams, body: BodyModel, size: int = 256) -> LazyFlow:
    """Flow from every source to every target frame, on a ``size`` x ``size`` window.

    target: T frames with cameras of the first source's picture. size: a multiple of 8, 64-1024.
    """
    check_size(size)
    check_sources(sources, body)
    if target.camera is None:
        raise InputError("the target has no camera; make it with Imitate Motion first")
    if target.betas is None:
        target = replace(target, betas=sources[0].params.betas, body_model=body.id)
    elif target.body_model != body.id:
        raise InputError(
            f"the target belongs to the body model '{target.body_model}', but the sources to "
            f"'{body.id}'; make it with Imitate Motion from these sources"
        )
    window = target_window(target, body, sources[0].offsets)
    camera = target.camera.crop(window.left, window.top, (window.side, window.side))
    return LazyFlow.build(
        tuple(crop_source(source, body, size) for source in sources),
        body,
        replace(target, camera=camera.resize((size, size))),
        (size, size),
        window=window,
        canvas=target.camera.size,
    )


def check_size(size: int) -> None:
    if size % 8 or not 64 <= size <= 1024:
        raise InputError(f"size {size} is not possible; use a multiple of 8 from 64 to 1024")


def check_generator(generator: AttLWBGenerator) -> None:
    """Raise an InputError unless the generator takes what ``compose`` makes."""
    if generator.config.inputs != "surface":
        raise InputError(
            "official generator weights need inputs made from an SMPL body and the official "
            "mapper files, which this version does not make; use the built-in generator or one "
            "trained from it"
        )


def source_background(
    source: Source,
    body: BodyModel,
    method: str = "patch",
    limit: int = 768,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
    generator: AttLWBGenerator | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """The picture of ``source`` without its person, (3, H, W), at most ``limit`` px a side.

    What the hands hold goes with the person. generator, device: of the method "generator".
    """
    check_method(method, generator)
    check_sources((source,), body)
    height, width = source.size
    factor = min(1.0, limit / max(height, width))
    size = (round(height * factor), round(width * factor))
    mask = source.mask if source.mask is not None else mesh_silhouette(source, body)
    image = F.interpolate(source.image[None], size, mode="area")[0]
    mask = F.interpolate(mask[None], size, mode="area")[0]
    joints = body.joints(source.params.pose, source.params.betas)
    hands = source.params.camera.project(joints)[0, HANDS, :2] * factor
    known = background_hole(mask, image, hands)
    return fill_background(image, known, method, seed, progress, generator, device)


def mesh_silhouette(source: Source, body: BodyModel) -> Tensor:
    """(1, H, W) silhouette of the source's mesh."""
    vertices = body.vertices(source.params.pose, source.params.betas, source.offsets)
    points = source.params.camera.project(vertices)
    return silhouette(rasterize(points, body.faces, source.size))[0]


def place_background(background: Tensor, flow: FlowSequence) -> Tensor:
    """Cut a background (N, 3, H, W) to the flow's window -> (N, 3, *flow.size).

    A picture with the aspect of the first source's picture is cut like it; any other covers the
    window, centred.
    """
    height, width = background.shape[-2:]
    side = min(height, width)
    left, top, canvas_width = (width - side) / 2, (height - side) / 2, width
    if flow.window is not None and flow.canvas is not None:
        rows, columns = flow.canvas
        if abs(height / width * columns / rows - 1) < 0.02:
            left, top, side = flow.window.left, flow.window.top, flow.window.side
            canvas_width = columns
    # A window may be many times larger than what is asked for: shrink first, then cut.
    factor = width / canvas_width
    shrink = min(1.0, 2 * max(flow.size) / (side * factor))
    if shrink < 1:
        shrunk = (max(1, round(height * shrink)), max(1, round(width * shrink)))
        background = F.interpolate(background, shrunk, mode="area")
        factor *= shrink
    left, top, side = round(left * factor), round(top * factor), max(1, round(side * factor))
    # Beyond its edges the picture is mirrored: repeated edges would be streaks.
    height, width = background.shape[-2:]
    before_x, after_x = (min(max(n, 0), width - 1) for n in (-left, left + side - width))
    before_y, after_y = (min(max(n, 0), height - 1) for n in (-top, top + side - height))
    background = F.pad(background, (before_x, after_x, before_y, after_y), mode="reflect")
    window = CropWindow(left + before_x, top + before_y, side)
    return torch.stack([crop_picture(picture, window, flow.size) for picture in background])


@torch.no_grad()
def generate(
    generator: AttLWBGenerator,
    flow: FlowSequence,
    background: Tensor,
    chunk: int = 4,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Frames of the person over the background, ``chunk`` at a time, in constant memory.

    background: (1 or T, 3, H, W) at the flow's size. Yields images (t, 3, H, W) in [-1, 1] and
    mattes (t, 1, H, W), 1 = person, on the CPU. A frame does not depend on ``chunk``.
    """
    check_generator(generator)
    if len(background) not in (1, len(flow)):
        raise InputError(
            f"background must be 1 picture or {len(flow)}, one per frame; got {len(background)}"
        )
    window = clip_window(flow, generator.config.multiple)
    inputs = source_inputs(flow.prepared).to(device)
    bank = generator.encode(inputs)
    if isinstance(flow, LazyFlow):  # moved once, not for every chunk
        flow = replace(flow, prepared=flow.prepared.to(inputs.device))
    for start in range(0, len(flow), chunk):
        part = flow.chunk(start, min(start + chunk, len(flow)), inputs.device)
        stop = start + len(part.flow)
        behind = background if len(background) == 1 else background[start:stop]
        colour, mask = decode_window(generator, bank, part, window)
        # The face is copied where one source shows it: the network paints small faces as blobs.
        colour = part.head * part.warped + (1 - part.head) * colour
        person = 1 - mask
        image = person * colour + mask * behind.to(colour)
        yield image.clamp(-1, 1).cpu(), person.cpu()
        if progress is not None:
            progress(stop, len(flow))


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
    generator: AttLWBGenerator, bank: SourceBank, part: FlowChunk, window: Window
) -> tuple[Tensor, Tensor]:
    """Colour (T, 3, H, W) and mask (T, 1, H, W), 1 = background, decoded inside ``window``."""
    inputs, grid = network_inputs(part), part.flow.to_official()
    colour, mask = generator.decode(bank, crop(inputs, window), crop_grid(grid, window))
    top, left, height, width = window
    full_colour = part.warped.clone()
    full_mask = torch.ones_like(part.silhouette)
    full_colour[..., top : top + height, left : left + width] = colour
    full_mask[..., top : top + height, left : left + width] = mask
    return full_colour, full_mask
