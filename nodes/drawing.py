"""Bodies drawn for the user: over pictures or alone, with how sure each joint and frame is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..lwg_core.body.confidence import vertex_confidence
from ..lwg_core.body.model import BodyModel
from ..lwg_core.body.params import SmplParams
from ..lwg_core.errors import InputError
from ..lwg_core.render.camera import Camera
from ..lwg_core.render.shading import BACKGROUND, CLAY, overlay, shade
from .progress import reporter
from .sockets import image_from_core, mask_from_core

CANVAS = 512  # px, side of the picture of a motion that has no camera
DRAWN_AT_ONCE = 8  # frames
GUESSED = (0.86, 0.22, 0.12)  # colour of what was not seen
BAR = 0.015  # of the height: the strip of all frames at the bottom of a clip
GOOD, DOUBTFUL, NOW = (0.35, 0.72, 0.38), (0.86, 0.22, 0.12), (1.0, 1.0, 1.0)


def slices(frames: int) -> list[slice]:
    return [slice(i, i + DRAWN_AT_ONCE) for i in range(0, frames, DRAWN_AT_ONCE)]


def draw_over(images: Tensor | None, body: BodyModel, people: Sequence[SmplParams]) -> Tensor:
    """IMAGE of every frame with everybody drawn over pictures (1 or T, 3, H, W), or over grey.

    Whose camera is not that of the pictures is left out; if that is everybody, grey it is.
    """
    people = [seen_by_camera(params, body) for params in people]
    size = None if images is None else tuple(images.shape[2:])
    if size not in [params.camera.size for params in people]:
        size = people[0].camera.size
        grey = torch.tensor(BACKGROUND)[:, None, None] * 2 - 1
        images = grey.expand(3, *size)[None]
    people = [params for params in people if params.camera.size == size]
    drawn = []
    for some in slices(len(people[0])):
        part = images if len(images) == 1 else images[some]
        for params in people:
            shown = params.select(some)
            part = overlay(part, body, shown, colours=sure_colours(body, shown))
        drawn.append(image_from_core(part))
    return torch.cat(drawn)


def draw(images: Tensor | None, body: BodyModel, params: SmplParams) -> tuple[Tensor, Tensor]:
    """Bodies over pictures (1 or T, 3, H, W) or over nothing: IMAGE and MASK of T frames."""
    size = params.camera.size
    if images is not None and (len(images) not in (1, len(params)) or images.shape[2:] != size):
        raise InputError(
            f"image must be 1 or {len(params)} pictures of {size[1]} x {size[0]} pixels, as the "
            f"smpl's camera; got {len(images)} of {images.shape[3]} x {images.shape[2]}"
        )
    report = reporter()
    drawn, masks = [], []
    for some in slices(len(params)):
        part = params.select(some)
        points = body.vertices(part.pose, part.betas)
        behind = images if images is None or len(images) == 1 else images[some]
        image, mask = shade(
            part.camera.project(points), points, body.faces, size, sure_colours(body, part),
            behind, part.camera.near,
        )  # fmt: skip
        drawn.append(image_from_core(add_bar(image, params, some.start)))
        masks.append(mask_from_core(mask))
        report(min(some.stop, len(params)), len(params))
    return torch.cat(drawn), torch.cat(masks)


def sure_colours(body: BodyModel, params: SmplParams) -> Tensor:
    """(T, V, 3) in [-1, 1]: clay, red where nothing was seen and in frames without a body."""
    sure = vertex_confidence(body, params) * params.valid[:, None]
    clay, guessed = params.pose.new_tensor(CLAY), params.pose.new_tensor(GUESSED)
    return torch.lerp(guessed, clay, sure[..., None].clamp(0, 1)) * 2 - 1


def add_bar(images: Tensor, params: SmplParams, first: int) -> Tensor:
    """A strip at the bottom of frames ``first``... of a clip: green to red = how sure each frame
    is, white = the frame shown."""
    frames, width = len(params), images.shape[3]
    if frames == 1:
        return images
    height = max(2, round(BAR * images.shape[2]))
    sure = (params.confidence.mean(1) * params.valid)[:, None].clamp(0, 1)
    strip = torch.lerp(images.new_tensor(DOUBTFUL), images.new_tensor(GOOD), sure.to(images))
    column = torch.arange(width, device=images.device) * frames // width
    images = images.clone()
    images[:, :, -height:] = (strip[column].T * 2 - 1)[:, None]
    for i in range(len(images)):
        start = (first + i) * width // frames
        stop = max(start + 2, (first + i + 1) * width // frames)
        images[i, :, -height:, start:stop] = images.new_tensor(NOW)[:, None, None]
    return images


def seen_by_camera(params: SmplParams, body: BodyModel) -> SmplParams:
    """``params`` with a camera: its own, or one that looks at a motion from the front."""
    if params.betas is not None and params.body_model != body.id:
        raise InputError(
            f"smpl belongs to the body model '{params.body_model}', but the body model in use is "
            f"'{body.id}'; connect the one it was recovered with"
        )
    if params.camera is not None:
        return params
    joints = body.joints(params.pose, params.betas)[..., :2].flatten(0, 1)
    low, high = joints.amin(0) - 0.2, joints.amax(0) + 0.2  # metres of flesh around the joints
    scale = CANVAS / (high - low).amax()
    center = CANVAS / 2 - (low + high) / 2 * scale
    frames = len(params)
    camera = Camera(scale.expand(frames), center.expand(frames, 2), (CANVAS, CANVAS))
    return replace(params, camera=camera)
