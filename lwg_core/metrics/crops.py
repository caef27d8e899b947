"""What of a picture is the person, the head and the face, told by the projected body."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..body.model import PART_NAMES, BodyModel
from ..body.params import SmplParams
from ..flow.parts import part_labels, part_vertices
from ..flow.source import resample
from ..render.raster import rasterize
from .pictures import person_region

BODY_MARGIN = 0.05  # of the box, on every side
FACE_MARGIN = 0.2
HEAD_MARGIN = 0.15
FACE_SHOWN = 0.35  # of its box: a face seen from the side still fills half of it
SMALLEST_FACE = 10  # px, side of its box
HEAD = tuple(PART_NAMES.index(name) for name in ("head", "face"))


@dataclass(frozen=True)
class BodyViews:
    """Where T bodies are in their pictures.

    body, head, face: (T, 4) boxes left, top, right, bottom in px, margins included; head and face
    are square. shown: (T,) bool, whether the face is turned to the viewer, uncovered and large
    enough. head_region: (T, 1, H, W) 0 or 1, the visible head dilated by a few px.
    """

    body: Tensor
    head: Tensor
    face: Tensor
    shown: Tensor
    head_region: Tensor


def body_views(params: SmplParams, body: BodyModel, offsets: Tensor | None = None) -> BodyViews:
    """Boxes and regions of the bodies of ``params`` in the pictures of its camera."""
    points = params.camera.project(body.vertices(params.pose, params.betas, offsets))
    size = params.camera.size
    raster = rasterize(points, body.faces, size, near=params.camera.near)
    labels = torch.cat([part_labels(body)[body.faces[:, 0]], torch.tensor([-1])])
    part = labels[raster.face_index.long()]  # -1, nothing, is the last one
    head_pixels = torch.isin(part, torch.tensor(HEAD))
    is_head = part_vertices(body, ("head",)) & torch.isin(part_labels(body), torch.tensor(HEAD))
    is_face = part_labels(body) == HEAD[1]
    face_pixels = part == HEAD[1]
    if not is_face.any():  # a body without labels of its own
        is_face, face_pixels = is_head, head_pixels
    tight = box_of(points[:, is_face])
    sides = tight[:, 2:] - tight[:, :2]
    share = face_pixels.sum((1, 2)) / sides.prod(1)
    return BodyViews(
        body=within(grow(box_of(points), BODY_MARGIN), size),
        head=grow(square(box_of(points[:, is_head])), HEAD_MARGIN),
        face=grow(square(tight), FACE_MARGIN),
        shown=(share > FACE_SHOWN) & (sides.amax(1) >= SMALLEST_FACE),
        head_region=person_region(head_pixels[:, None].float()),
    )


def box_of(points: Tensor) -> Tensor:
    """(T, 4) box of projected points (T, N, 3)."""
    return torch.cat([points[..., :2].amin(1), points[..., :2].amax(1)], 1)


def grow(boxes: Tensor, margin: float) -> Tensor:
    """Boxes (T, 4) with a share of their sides added on each side."""
    more = (boxes[:, 2:] - boxes[:, :2]) * margin
    return torch.cat([boxes[:, :2] - more, boxes[:, 2:] + more], 1)


def square(boxes: Tensor) -> Tensor:
    """The squares (T, 4) round the middles of boxes, as large as their longer sides."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).amax(1, keepdim=True) / 2
    return torch.cat([middle - half, middle + half], 1)


def within(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes (T, 4) cut at the edges of a picture of (height, width)."""
    limit = boxes.new_tensor([size[1], size[0], size[1], size[0]])
    return boxes.clamp(min=0).minimum(limit)


def cut(pictures: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """The boxes (T, 4) of pictures (T, 3, H, W), resampled to (T, 3, *size).

    Beyond its edge a picture repeats it. The aspect is not kept: networks that recognise people are
    trained on boxes stretched to their input.
    """
    height, width = pictures.shape[2:]
    found = []
    for picture, box in zip(pictures, boxes, strict=True):
        left, top, right, bottom = box.round().long().tolist()
        rows = torch.arange(top, max(bottom, top + 1)).clamp(0, height - 1)
        columns = torch.arange(left, max(right, left + 1)).clamp(0, width - 1)
        found.append(resample(picture[:, rows[:, None], columns], size).clamp(-1, 1))
    return torch.stack(found)
