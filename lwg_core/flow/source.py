"""Sources: one picture of one person each, and the square crop that a network sees."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from ..body.confidence import vertex_trust
from ..body.params import SmplParams
from ..errors import InputError
from .parts import check_parts

if TYPE_CHECKING:
    from ..body.model import BodyModel

MIN_SIDE = 64
MAX_SOURCES = 8


@dataclass(frozen=True)
class Source:
    """One picture of one person.

    image: (3, H, W) in [-1, 1], RGB.
    params: the person in it, one frame, with betas and a camera of this picture's size.
    mask: (1, H, W) in 0..1, 1 = person; None = unknown.
    offsets: (V,) metres along the rest normals (hair, clothes); None = the naked body.
    parts: names of ``parts.PART_GROUPS`` that this source gives; None = whatever nobody else
        claims.
    person: whose picture it is; 0 = the wearer, whose shape, head, camera and background stay.
    """

    image: Tensor
    params: SmplParams
    mask: Tensor | None = None
    offsets: Tensor | None = None
    parts: tuple[str, ...] | None = None
    person: int = 0

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[0] != 3:
            raise InputError(f"source image must be (3, H, W) RGB; got {tuple(self.image.shape)}")
        height, width = self.size
        if min(height, width) < MIN_SIDE:
            raise InputError(
                f"source image is {width} x {height} px; it must be at least {MIN_SIDE} px on "
                "its short side"
            )
        if self.mask is not None:
            if self.mask.shape != (1, height, width):
                got = " x ".join(str(n) for n in reversed(self.mask.shape[-2:]))
                raise InputError(
                    f"source mask is {got} px; it must have the size of its picture, "
                    f"{width} x {height} px"
                )
            if not (self.mask > 0.5).any():
                raise InputError(
                    "source mask is empty: no pixel is above 0.5; give a mask that is 1 on the "
                    "person, or none"
                )
        if len(self.params) != 1:
            raise InputError(
                f"source body has {len(self.params)} frames; a source takes exactly one: "
                "select the frame of the picture"
            )
        if self.params.camera is None:
            raise InputError(
                "source body has no camera, so it cannot be laid over the picture; recover the "
                "body from this picture"
            )
        if self.params.camera.size != self.size:
            got_height, got_width = self.params.camera.size
            raise InputError(
                f"source body was recovered on a {got_width} x {got_height} px picture, but the "
                f"source image is {width} x {height} px; recover it from this very picture"
            )
        if self.params.betas is None:
            raise InputError(
                "source body has no betas (body shape); a motion cannot be a source, recover the "
                "body from the picture"
            )
        if self.offsets is not None and self.offsets.ndim != 1:
            raise InputError(f"source offsets must be (V,); got {tuple(self.offsets.shape)}")
        if self.parts is not None:
            check_parts(self.parts)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.image.shape[1], self.image.shape[2]

    def to(self, device) -> Source:
        return replace(
            self,
            image=self.image.to(device),
            params=self.params.to(device),
            mask=None if self.mask is None else self.mask.to(device),
            offsets=None if self.offsets is None else self.offsets.to(device),
        )


Sources = tuple[Source, ...]


def check_sources(sources: Sources, body: BodyModel) -> None:
    """Raise an InputError unless these are 1-8 sources of this body model, all of them seen."""
    if not 1 <= len(sources) <= MAX_SOURCES:
        raise InputError(f"{len(sources)} sources given; 1 to {MAX_SOURCES} are possible")
    for number, source in enumerate(sources, 1):
        if source.params.body_model != body.id:
            raise InputError(
                f"source {number} was recovered with the body model "
                f"'{source.params.body_model}', but the body model in use is '{body.id}'; betas "
                "do not travel between body models: recover it with this one"
            )
        vertices = body.v_template.shape[0]
        if source.offsets is not None and source.offsets.shape[0] != vertices:
            raise InputError(
                f"source {number} has offsets for {source.offsets.shape[0]} vertices, but the "
                f"body model '{body.id}' has {vertices}"
            )
        if not vertex_trust(body, source.params).any():
            raise InputError(
                f"source {number} shows no part of the body: every joint has confidence 0; recover "
                "the body from a picture that shows the person"
            )


def source_vertices(source: Source, body: BodyModel) -> Tensor:
    """(1, V, 3) camera-frame vertices of the source's (offset) mesh, metres."""
    return body.vertices(source.params.pose, source.params.betas, source.offsets)


@dataclass(frozen=True)
class CropWindow:
    """A square of a picture: corner (left, top) and side, whole pixels; may reach beyond it."""

    left: int
    top: int
    side: int


def crop_window(source: Source, body: BodyModel, fill: float = 0.88) -> CropWindow:
    """The square round the person: mesh box and mask box together take ``fill`` of its side."""
    height, width = source.size
    points = source.params.camera.project(source_vertices(source, body))[0, :, :2]
    limit = points.new_tensor([width, height])
    low = points.amin(0).clamp(min=0)
    high = torch.minimum(points.amax(0), limit)
    if source.mask is not None:
        ys, xs = (source.mask[0] > 0.5).nonzero(as_tuple=True)
        low = torch.minimum(low, torch.stack([xs.min(), ys.min()]).to(low))
        high = torch.maximum(high, torch.stack([xs.max(), ys.max()]).to(high) + 1)
    if (high - low < 1).any():
        raise InputError(
            "source body lies outside its picture; recover the body from this very picture"
        )
    side = max(round(float((high - low).amax()) / fill), 8)
    left, top = ((low + high - side) / 2).round().long().tolist()
    return CropWindow(left, top, side)


def crop_source(
    source: Source, body: BodyModel, size: int, window: CropWindow | None = None
) -> Source:
    """The source on ``window`` (default: ``crop_window``), resampled to size x size pixels.

    Beyond the picture the image repeats its edge and the mask is 0.
    """
    window = window or crop_window(source, body)
    image = crop_picture(source.image, window, (size, size)).clamp(-1, 1)
    mask = source.mask
    if mask is not None:
        mask = crop_picture(mask, window, (size, size), repeat=False).clamp(0, 1)
    camera = source.params.camera.crop(window.left, window.top, (window.side, window.side))
    params = replace(source.params, camera=camera.resize((size, size)))
    return replace(source, image=image, params=params, mask=mask)


def crop_picture(
    picture: Tensor, window: CropWindow, size: tuple[int, int], repeat: bool = True
) -> Tensor:
    """(C, H, W) -> (C, *size): ``window`` of a picture, resampled.

    Beyond the picture its edge is repeated, or there is 0.
    """
    height, width = picture.shape[1:]
    rows = torch.arange(window.top, window.top + window.side, device=picture.device)
    columns = torch.arange(window.left, window.left + window.side, device=picture.device)
    row, column = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    cut = picture[:, row[:, None], column]
    if not repeat:
        cut = cut * ((rows == row)[:, None] & (columns == column))
    return resample(cut, size)


def resample(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """(C, h, w) -> (C, *size): area-like when shrinking (antialiased), smooth when growing."""
    if picture.shape[1:] == size:
        return picture
    return F.interpolate(picture[None], size, mode="bicubic", antialias=True, align_corners=False)[
        0
    ]
