"""Where the network's square lies in the picture, frame by frame.

The network sees a square of ``size`` pixels. Either it holds the person in all frames and is the
result itself, or it follows the person through a picture of any size and proportions, and what was
painted is pasted back.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..body.model import BodyModel
from ..body.params import SmplParams
from ..errors import InputError
from ..render.camera import Camera
from .window import person_boxes

FILL = 0.9  # of the square's side is taken by the person
LARGEST_BODY = 8  # pictures: a body beyond that is a wrong camera, not a close-up
SMALLEST_SIDE = 8  # px
CALM = 0.5  # seconds before and after a frame over which a following square is held steady
FRAMES = ("square", "full")


@dataclass(frozen=True)
class Framing:
    """T squares on a picture.

    left, top, side: (T,) int64, whole pixels of the picture; a square may reach beyond it.
    canvas: (height, width) of the picture. whole: the result is the picture, not the square.
    """

    left: Tensor
    top: Tensor
    side: Tensor
    canvas: tuple[int, int]
    whole: bool

    def __len__(self) -> int:
        return len(self.side)

    def square(self, frame: int) -> tuple[int, int, int]:
        """(left, top, side) of one frame."""
        return int(self.left[frame]), int(self.top[frame]), int(self.side[frame])

    def select(self, index) -> Framing:
        """Frames ``index`` (slice, list or LongTensor; must keep the frame axis)."""
        chosen = (part[index] for part in (self.left, self.top, self.side))
        return Framing(*chosen, self.canvas, self.whole)

    def look(self, camera: Camera, size: int) -> Camera:
        """``camera`` of the picture as seen on the squares, resized to ``size`` px a side."""
        factor = (size / self.side).to(camera.scale)
        corner = torch.stack([self.left, self.top], 1).to(camera.center)
        focal, principal = camera.focal, None
        if focal is not None:
            focal = focal * factor
            principal = (camera.principal_point - corner) * factor[:, None]
        center = (camera.center - corner) * factor[:, None]
        return Camera(camera.scale * factor, center, (size, size), focal, principal)


def frame_person(
    target: SmplParams,
    body: BodyModel,
    offsets: Tensor | None = None,
    frame: str = "square",
    clips: int = 1,
) -> Framing:
    """Squares around the person of ``target``.

    frame: "square" - one square for all frames, which holds the person in all of them and stays
        inside the picture as far as the person does, since beyond it there is no background;
        "full" - the square follows the person, and the result is the whole picture.
    clips: ``target`` is that many clips of equal length, one after the other; a square does not
        follow from one into the next.
    """
    if frame not in FRAMES:
        raise InputError(f"frame must be one of {', '.join(FRAMES)}; got {frame!r}")
    boxes = person_boxes(target, body, offsets)
    canvas = target.camera.size
    check_boxes(boxes, canvas)
    whole = frame == "full"
    if whole:
        reach = round(CALM * target.fps)
        followed = [follow(clip, reach) for clip in boxes.chunk(clips)]
        center, extent = (torch.cat(part) for part in zip(*followed, strict=True))
    else:
        low, high = boxes[:, :2].amin(0), boxes[:, 2:].amax(0)
        center = ((low + high) / 2).expand(len(boxes), 2)
        extent = (high - low).amax().expand(len(boxes))
    side = (extent / FILL).round().clamp(min=SMALLEST_SIDE)
    start = center - side[:, None] / 2
    if not whole:
        room = boxes.new_tensor([canvas[1], canvas[0]]) - side[:, None]
        inside = start.clamp(min=room.clamp(max=0)).minimum(room.clamp(min=0))
        start = inside.maximum(high - side[:, None]).minimum(low)
    left, top = start.round().long().cpu().unbind(1)
    return Framing(left, top, side.long().cpu(), canvas, whole)


def check_boxes(boxes: Tensor, canvas: tuple[int, int]) -> None:
    """Raise an InputError unless the person, (T, 4) px boxes, is in the picture at a fair size."""
    height, width = canvas
    extent = boxes[:, 2:] - boxes[:, :2]
    if not (extent <= LARGEST_BODY * max(canvas)).all():  # NaN: behind the viewer
        raise InputError(
            "the motion's camera takes the person far out of the picture or behind the viewer; "
            "use the camera strategy 'source'"
        )
    inside = (boxes[:, :2] < boxes.new_tensor([width, height])).all(1) & (boxes[:, 2:] > 0).all(1)
    if not inside.any():
        raise InputError(
            "the person is outside the picture in every frame; use the camera strategy 'source', "
            "or a view that keeps the person inside"
        )


def follow(boxes: Tensor, reach: int) -> tuple[Tensor, Tensor]:
    """Centres (T, 2) and sides (T,) of squares that hold the boxes (T, 4) and move calmly.

    reach: frames before and after one over which it is smoothed.
    """
    center = smooth((boxes[:, :2] + boxes[:, 2:]) / 2, reach)
    extent = 2 * torch.maximum(center - boxes[:, :2], boxes[:, 2:] - center).amax(1)
    # The mean of maxima that all cover a frame is never below that frame's own value.
    widest = F.max_pool1d(extent[None], 2 * reach + 1, 1, reach)[0]
    return center, smooth(widest[:, None], reach)[:, 0]


def smooth(values: Tensor, reach: int) -> Tensor:
    """(T, C) means over up to ``reach`` frames on both sides, equally many: a steady walk stays."""
    frames = torch.arange(len(values), device=values.device)
    near = torch.minimum(frames, len(values) - 1 - frames).clamp(max=reach)
    sums = F.pad(values.double().cumsum(0), (0, 0, 1, 0))
    mean = (sums[frames + near + 1] - sums[frames - near]) / (2 * near + 1)[:, None]
    return mean.to(values)
