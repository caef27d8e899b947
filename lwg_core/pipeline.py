"""The stages in a row: what the command line and the nodes call.

    recover -> make_source -> with_offsets -> (targets) -> compose -> background -> generate

A picture of any size and aspect enters; the network sees a square around the person. The square is
laid over the picture of the first source, so its background can be cut the same way, and what was
painted can be pasted back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from .background import background_hole, check_method, clip_background, fill_background
from .body.model import BodyModel
from .body.params import SmplParams
from .compositing import VideoBackground, place_background, result_size, same_aspect
from .errors import InputError
from .flow.compose import ComposeOptions
from .flow.framing import LARGEST_BODY, frame_person
from .flow.masks import estimate_mask
from .flow.offsets import with_offsets
from .flow.sequence import LazyFlow
from .flow.source import Source, Sources, check_sources, crop_source, resample
from .flow.transfer import worn_offsets
from .networks.generator import AttLWBGenerator
from .painting import check_generator, generate
from .pictures import LARGEST_SIDE
from .recovery.fit import FitResult, fit_keypoints
from .recovery.keypoints import Keypoints
from .render.camera import Camera
from .render.raster import rasterize, silhouette

__all__ = [
    "VideoBackground",
    "background_of_clip",
    "check_generator",
    "check_placement",
    "check_size",
    "compose",
    "generate",
    "make_source",
    "mesh_silhouette",
    "place_background",
    "recover",
    "result_size",
    "scaled_canvas",
    "source_background",
    "with_offsets",
]

SIZES = (64, 2048)  # px a side of the network's square
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


def compose(
    sources: Sources,
    target: SmplParams,
    body: BodyModel,
    size: int = 256,
    frame: str = "square",
    canvas: tuple[int, int] | None = None,
    options: ComposeOptions | None = None,
    clips: int = 1,
) -> LazyFlow:
    """Flow from every source to every target frame, on squares of ``size`` x ``size`` pixels.

    target: T frames with cameras of the first source's picture. size: a multiple of 8, 64-2048.
    frame: "square" - one square holds the person in all frames and is the result; "full" - it
        follows the person, and the result is the whole picture.
    canvas: (height, width) that the picture is resized to first; None = its own size.
    clips: ``target`` is that many clips of equal length, one after the other.
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
    if canvas is not None:
        target = replace(target, camera=resize_canvas(target.camera, canvas))
    framing = frame_person(target, body, worn_offsets(sources, body), frame, clips)
    return LazyFlow.build(
        tuple(crop_source(source, body, size) for source in sources),
        body,
        replace(target, camera=framing.look(target.camera, size)),
        (size, size),
        options,
        framing,
    )


def check_size(size: int) -> None:
    if size % 8 or not SIZES[0] <= size <= SIZES[1]:
        raise InputError(
            f"size {size} is not possible; use a multiple of 8 from {SIZES[0]} to {SIZES[1]}"
        )


def resize_canvas(camera: Camera, canvas: tuple[int, int]) -> Camera:
    """``camera`` on a picture of (height, width), which must have the same proportions."""
    height, width = camera.size
    if not SIZES[0] <= min(canvas) <= max(canvas) <= LARGEST_SIDE:
        raise InputError(
            f"a frame of {canvas[1]} x {canvas[0]} px is not possible; sides of {SIZES[0]} to "
            f"{LARGEST_SIDE} px are"
        )
    if not same_aspect(canvas, (height, width)):
        raise InputError(
            f"a frame of {canvas[1]} x {canvas[0]} px has other proportions than the picture, "
            f"{width} x {height} px"
        )
    return camera.resize(canvas)


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
    """The picture of ``source`` without its person, (3, H, W), at its own resolution.

    What the hands hold goes with the person. The hole is filled at no more than ``limit`` px a
    side; around it the picture's own pixels stay. generator, device: of the method "generator".
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
    filled = fill_background(image, known, method, seed, progress, generator, device)
    return filled if factor == 1 else fill_large(source.image, known, filled)


def background_of_clip(
    frames: Tensor,
    masks: Tensor,
    method: str = "patch",
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
    generator: AttLWBGenerator | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """The picture (3, H, W) behind the person of a clip whose camera stands still.

    frames: (T, 3, H, W) in [-1, 1]. masks: (T, 1, H, W), 1 = person. What no frame uncovers is
    filled as in ``source_background``.
    """
    check_method(method, generator)
    plate, known = clip_background(frames, masks)
    if known.all():
        return plate
    return fill_background(plate, known, method, seed, progress, generator, device)


def fill_large(image: Tensor, known: Tensor, filled: Tensor) -> Tensor:
    """``image`` (3, H, W) with its hole, found and filled on a smaller picture.

    known: (1, h, w) bool, False in the hole. filled: (3, h, w), the smaller picture, filled.
    """
    size = (image.shape[1], image.shape[2])
    # Half of a small pixel inside the hole's edge: what is kept must surely be background.
    share = F.interpolate(known[None].float(), size, mode="bilinear", align_corners=False)[0]
    keep = (2 * share - 1).clamp(0, 1)
    return torch.lerp(resample(filled, size).clamp(-1, 1), image, keep)


def scaled_canvas(size: tuple[int, int], longest_side: int) -> tuple[int, int]:
    """(height, width) of a picture of ``size`` whose longer side becomes ``longest_side`` px."""
    factor = longest_side / max(size)
    return max(round(size[0] * factor), 1), max(round(size[1] * factor), 1)


def mesh_silhouette(source: Source, body: BodyModel) -> Tensor:
    """(1, H, W) silhouette of the source's mesh."""
    vertices = body.vertices(source.params.pose, source.params.betas, source.offsets)
    points = source.params.camera.project(vertices)
    return silhouette(rasterize(points, body.faces, source.size))[0]
