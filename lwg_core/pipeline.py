"""The stages in a row: what the command line and the nodes call.

    recover -> make_source -> with_offsets -> (targets) -> compose -> background -> generate

A picture of any size and aspect enters; the network sees a square window around the person. That
window is laid over the picture of the first source, so its background can be cut the same way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from .background import background_hole, fill_background
from .body.model import BodyModel
from .body.params import SmplParams
from .errors import InputError
from .flow.compose import network_inputs, source_inputs
from .flow.masks import estimate_mask
from .flow.offsets import solve_offsets
from .flow.sequence import FlowSequence, LazyFlow
from .flow.source import CropWindow, Source, Sources, crop_picture, crop_source
from .flow.window import crop, crop_grid, person_window
from .networks.generator import AttLWBGenerator
from .recovery.fit import FitResult, fit_keypoints
from .recovery.keypoints import Keypoints
from .render.raster import rasterize, silhouette

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
WINDOW_FILL = 0.9
_CHUNK = 32


def recover(image: Tensor, keypoints: Keypoints, body: BodyModel) -> FitResult:
    """Body of the person whose keypoints were found in ``image`` (3, H, W)."""
    return fit_keypoints(keypoints, body, (image.shape[1], image.shape[2]))


def make_source(
    image: Tensor, params: SmplParams, body: BodyModel, mask: Tensor | None = None
) -> Source:
    """A source; without a mask (1, H, W) one is estimated from the fitted body (GrabCut)."""
    source = Source(image, params, mask)
    if mask is None:
        source = replace(source, mask=estimate_mask(image, body, params).mask)
    return source


def with_offsets(sources: Sources, body: BodyModel) -> Sources:
    """Hair and clothes onto the mesh: offsets solved jointly from all masks, shared by all."""
    offsets = solve_offsets(body, sources)
    return tuple(replace(source, offsets=offsets) for source in sources)


def target_window(target: SmplParams, body: BodyModel, offsets: Tensor | None) -> CropWindow:
    """The square of the target's picture that holds the person in every frame.

    It stays inside the picture as far as the person does: beyond it there is no background.
    """
    low, high = [], []
    for start in range(0, len(target), _CHUNK):
        part = target.select(slice(start, start + _CHUNK))
        points = part.camera.project(body.vertices(part.pose, part.betas, offsets))[..., :2]
        low.append(points.flatten(0, 1).amin(0))
        high.append(points.flatten(0, 1).amax(0))
    corner, opposite = torch.stack(low).amin(0), torch.stack(high).amax(0)
    side = max(8, round(float((opposite - corner).max()) / WINDOW_FILL))
    height, width = target.camera.size
    left, top = (
        _place(float(low_edge), float(high_edge), side, limit)
        for low_edge, high_edge, limit in zip(corner, opposite, (width, height), strict=True)
    )
    return CropWindow(left, top, side)


def _place(low: float, high: float, side: int, limit: int) -> int:
    """Start of a span of ``side`` around low..high, moved into 0..limit while it still holds it."""
    start = (low + high - side) / 2
    if side <= limit:
        start = min(max(start, 0), limit - side)
    return round(min(max(start, high - side), low))


def compose(sources: Sources, target: SmplParams, body: BodyModel, size: int = 256) -> LazyFlow:
    """Flow from every source to every target frame, on a ``size`` x ``size`` window.

    target: T frames with cameras of the first source's picture. size: a multiple of 8, 64-1024.
    """
    if size % 8 or not 64 <= size <= 1024:
        raise InputError(f"size {size} is not possible; use a multiple of 8 from 64 to 1024")
    if target.camera is None:
        raise InputError("the target has no camera; make it with Imitate Motion first")
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


def source_background(
    source: Source,
    body: BodyModel,
    method: str = "patch",
    limit: int = 768,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Tensor:
    """The picture of ``source`` without its person, (3, H, W), at most ``limit`` px a side."""
    height, width = source.size
    factor = min(1.0, limit / max(height, width))
    size = (round(height * factor), round(width * factor))
    mask = source.mask if source.mask is not None else mesh_silhouette(source, body)
    image = F.interpolate(source.image[None], size, mode="area")[0]
    mask = F.interpolate(mask[None], size, mode="area")[0]
    known = background_hole(mask, image)
    return fill_background(image, known, method, seed=seed, progress=progress)


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
    if flow.window is not None and flow.canvas is not None:
        rows, columns = flow.canvas
        if abs(height / width * columns / rows - 1) < 0.02:
            factor = width / columns
            w = flow.window
            window = CropWindow(
                round(w.left * factor), round(w.top * factor), max(1, round(w.side * factor))
            )
            cut = [crop_picture(picture, window, flow.size) for picture in background]
            return torch.stack(cut)
    side = min(height, width)
    window = CropWindow((width - side) // 2, (height - side) // 2, side)
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
    mattes (t, 1, H, W), 1 = person, on the CPU.
    """
    bank = generator.encode(source_inputs(flow.prepared).to(device))
    for start in range(0, len(flow), chunk):
        part = flow.chunk(start, min(start + chunk, len(flow)), device)
        stop = start + len(part.flow)
        behind = background if len(background) == 1 else background[start:stop]
        colour, mask = decode_window(generator, bank, part)
        # The face is copied where one source shows it: the network paints small faces as blobs.
        colour = part.head * part.warped + (1 - part.head) * colour
        person = 1 - mask
        image = person * colour + mask * behind.to(colour)
        yield image.clamp(-1, 1).cpu(), person.cpu()
        if progress is not None:
            progress(stop, len(flow))


def decode_window(generator: AttLWBGenerator, bank, part) -> tuple[Tensor, Tensor]:
    """Decode only the window around the person; elsewhere the mask is background."""
    inputs = network_inputs(part)
    window = person_window(torch.maximum(part.silhouette, part.visibility), margin=0.12)
    colour, mask = generator.decode(
        bank, crop(inputs, window), crop_grid(part.flow.to_official(), window)
    )
    top, left, height, width = window
    full_colour = part.warped.clone()
    full_mask = torch.ones_like(part.silhouette)
    full_colour[..., top : top + height, left : left + width] = colour
    full_mask[..., top : top + height, left : left + width] = mask
    return full_colour, full_mask
