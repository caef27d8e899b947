"""Shaded previews: a body lit well enough to judge its pose, alone or over a photograph.

Every vertex is lit in linear light (a lamp over the viewer's shoulder, a sky, a soft rim) and
pixels interpolate. What lies behind its surroundings is darkened a little (the depth buffer minus
its own blur, Luft et al. 2006), which keeps crossed limbs apart. Drawn at twice the size and
averaged down.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from ..body.model import PART_NAMES, BodyModel, vertex_normals
from ..body.params import SmplParams
from ..errors import InputError
from .raster import Raster, interpolate, rasterize, silhouette
from .spans import MAX_SIZE

CLAY = (0.78, 0.74, 0.70)
BACKGROUND = (0.16, 0.17, 0.19)
# Left and right differ in hue, neighbours in hue and in lightness.
PART_COLOURS = {
    "head": (0.93, 0.76, 0.35), "face": (0.96, 0.86, 0.62), "torso": (0.72, 0.73, 0.76),
    "left_arm": (0.35, 0.62, 0.90), "left_hand": (0.62, 0.80, 0.97),
    "right_arm": (0.91, 0.44, 0.36), "right_hand": (0.98, 0.70, 0.62),
    "left_leg": (0.22, 0.55, 0.62), "left_foot": (0.52, 0.78, 0.80),
    "right_leg": (0.71, 0.38, 0.62), "right_foot": (0.88, 0.66, 0.83),
}  # fmt: skip

_SUPERSAMPLE = 2
_PIXELS_AT_ONCE = 1 << 20


def part_colours(parts: Tensor) -> Tensor:
    """Part labels (V,) of a body model -> colours (V, 3) in [-1, 1] for ``shade``."""
    palette = torch.tensor([PART_COLOURS[name] for name in PART_NAMES], device=parts.device)
    return palette[parts.long()] * 2 - 1


def shade(
    vertices_px: Tensor,
    vertices_camera: Tensor,
    faces: Tensor,
    size: tuple[int, int],
    colours: Tensor | None = None,
    background: Tensor | None = None,
    near: float = float("-inf"),
) -> tuple[Tensor, Tensor]:
    """Draw lit meshes: image (N, 3, H, W) in [-1, 1] and mask (N, 1, H, W) in 0..1, antialiased.

    vertices_px: (N, V, 3) pixel x, pixel y, depth (``Camera.project``).
    vertices_camera: (N, V, 3) the same points in the camera frame (x right, y down, z forward).
    faces: (F, 3) int64, counter-clockwise seen from outside. size: (height, width).
    colours: (3,), (V, 3) or (N, V, 3) in [-1, 1]; None = grey clay.
    background: (N or 1, 3, H, W) in [-1, 1]; None = dark grey.
    near: as in ``rasterize``.
    """
    frames, (height, width) = len(vertices_px), size
    colour = vertices_px.new_zeros(frames, 3, height, width)
    alpha = vertices_px.new_zeros(frames, 1, height, width)
    reach = max(size) / 40
    step = max(1, _PIXELS_AT_ONCE // (height * width))
    for first in range(0, frames, step):
        some = slice(first, first + step)
        own = colours[some] if colours is not None and colours.ndim == 3 else colours
        left, top, right, bottom = _box(vertices_px[some], size)
        if left < right and top < bottom:
            moved = vertices_px[some] - vertices_px.new_tensor([left, top, 0])
            window = some, slice(None), slice(top, bottom), slice(left, right)
            colour[window], alpha[window] = _draw(
                moved, vertices_camera[some], faces, (bottom - top, right - left), own, near, reach
            )
    if background is None:
        background = colour.new_tensor(BACKGROUND)[:, None, None] * 2 - 1
    return colour + (1 - alpha) * background, alpha


def overlay(
    image: Tensor,
    body: BodyModel,
    params: SmplParams,
    offsets: Tensor | None = None,
    colours: Tensor | None = None,
    opacity: float = 0.75,
) -> Tensor:
    """Draw a body semi-transparently over pictures: (N, 3, H, W) in [-1, 1].

    image: (N or 1, 3, H, W). params: N frames with a camera of that image's size; frames that are
    not ``valid`` stay bare. offsets: (V,) metres. colours: as in ``shade``.
    """
    if params.camera is None:
        raise InputError("params: this is a motion without a camera; recover a body from a picture")
    if params.betas is not None and params.body_model != body.id:
        raise InputError(
            f'params: the betas belong to body model "{params.body_model}", not to "{body.id}"; '
            "load the body model that they were recovered with"
        )
    if len(image) not in (1, len(params)) or tuple(image.shape[2:]) != tuple(params.camera.size):
        raise InputError(
            f"image: {len(image)} pictures of {tuple(image.shape[2:])} pixels do not fit "
            f"{len(params)} poses with cameras of {tuple(params.camera.size)} pixels"
        )
    points = body.vertices(params.pose, params.betas, offsets)
    camera = params.camera
    shaded, _ = shade(
        camera.project(points), points, body.faces, camera.size, colours, image, camera.near
    )
    weight = opacity * params.valid.to(image.dtype)[:, None, None, None]
    return torch.lerp(image.expand_as(shaded), shaded, weight)


def _box(vertices_px: Tensor, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The pixels (left, top, right, bottom), ends excluded, that hold all finite points."""
    x, y = vertices_px[torch.isfinite(vertices_px).all(-1)][:, :2].unbind(-1)
    if not len(x):
        return 0, 0, 0, 0
    return (
        max(0, math.floor(x.min())),
        max(0, math.floor(y.min())),
        min(size[1], math.ceil(x.max())),
        min(size[0], math.ceil(y.max())),
    )


def _draw(
    vertices_px: Tensor,
    vertices_camera: Tensor,
    faces: Tensor,
    size: tuple[int, int],
    colours: Tensor | None,
    near: float,
    reach: float,
) -> tuple[Tensor, Tensor]:
    """Colours multiplied by coverage (N, 3, H, W), 0 = mid grey, and coverage (N, 1, H, W)."""
    sharp = _SUPERSAMPLE if max(size) * _SUPERSAMPLE <= MAX_SIZE else 1
    scale = vertices_px.new_tensor([sharp, sharp, 1.0])
    large = (size[0] * sharp, size[1] * sharp)
    raster = rasterize(vertices_px * scale, faces, large, cull=-1, near=near)
    if colours is None:
        colours = vertices_camera.new_tensor(CLAY) * 2 - 1
    linear = ((colours + 1) / 2).clamp(0, 1).square()  # gamma 2 instead of sRGB's 2.2: close, cheap
    light = _light(vertex_normals(vertices_camera, faces))
    lit = (linear.to(light) * light).clamp(0, 1).sqrt()
    shaded = rearrange(interpolate(raster, lit, faces), "n h w c -> n c h w")
    shaded = shaded * _nearness(raster, reach * sharp)
    mask = silhouette(raster)
    return F.avg_pool2d(shaded * 2 - mask, sharp), F.avg_pool2d(mask, sharp)


def _light(normals: Tensor) -> Tensor:
    """Light (N, V, 1) that unit normals (N, V, 3) send to the eye; 1 = as bright as the colour."""
    right, down, forward = normals.split(1, -1)
    facing = (-forward).clamp(0, 1)
    lamp = F.normalize(normals.new_tensor([-0.5, -0.6, -0.8]), dim=0)
    lit = (normals @ lamp)[..., None].clamp(min=0)
    sky = (1 - down) / 2
    rim = (1 - facing) ** 4 * sky
    return 0.05 + 0.15 * sky + 0.15 * facing + 0.72 * lit + 0.3 * rim


def _nearness(raster: Raster, reach: float) -> Tensor:
    """(N, 1, H, W) factor up to 1, less where the pixels within ``reach`` are nearer to the eye."""
    mask = silhouette(raster)
    depth = torch.where(mask > 0, raster.depth[:, None], 0.0)
    # The blur is wide, so it is made on a quarter of the size.
    blurred = F.avg_pool2d(torch.cat([depth, mask], 1), 4, ceil_mode=True)
    radius = round(reach / 4)
    for _ in range(2):
        blurred = F.avg_pool2d(blurred, 2 * radius + 1, 1, radius, count_include_pad=False)
    blurred = F.interpolate(blurred, size=raster.size, mode="bilinear", align_corners=False)
    average = blurred[:, :1] / blurred[:, 1:].clamp(min=1e-6)
    return 1 - 0.25 * ((depth - average) / 0.12).clamp(0, 1)
