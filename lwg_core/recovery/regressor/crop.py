"""Where the regressor looks, and the way back: boxes, square crops, cameras.

The official preprocessing scales the picture so that the longer side of the person's box becomes
200 pixels and cuts 224 x 224 around the box's middle, on whole pixels, black beyond the picture.
With c the middle and f = 200 / side, the network's camera (s, tx, ty) of the crop is, in pixels of
the picture,

    scale = 112 s / f = 112 s side / 200        center = round(c f) / f + scale (tx, ty)

which needs no square picture. Two things differ from the official code: the scaled picture need not
have whole sides, which squeezes one axis by up to a pixel, and reducing averages over what a pixel
covers, as in the networks' training. ``windows(..., official=True)`` is the code as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...errors import InputError
from ...render.camera import Camera
from ..keypoints import Keypoints

CROP = 224  # px, side of what the network sees
PERSON = 200  # px, longer side of the person's box in the crop
# A detector's points end short of scalp and toes; SPIN lets them span 224 / 1.2 px.
KEYPOINT_MARGIN = 1.2 * PERSON / CROP
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's
SMALLEST_BOX = 8.0  # px
LARGEST_BOX = 8.0  # pictures
LEAST_SCALE = 0.05  # s of a person 10 px tall in the crop: nothing that the network has seen


@dataclass(frozen=True)
class Windows:
    """The crops of T pictures.

    factor: (T, 2) pixels of the scaled picture per pixel of the picture, x and y.
    start: (T, 2) x and y of the crop's corner in the scaled picture, whole, may be negative.
    size: (height, width) of the pictures.
    antialias: reduce by averaging.
    """

    factor: Tensor
    start: Tensor
    size: tuple[int, int]
    antialias: bool = True

    def __len__(self) -> int:
        return len(self.factor)

    def select(self, index: Tensor) -> Windows:
        return replace(self, factor=self.factor[index], start=self.start[index])

    def camera(self, camera: Tensor) -> tuple[Camera, Tensor]:
        """The network's cameras (T, 3) as weak-perspective cameras of the pictures.

        Also returns (T,) bool: whether s says a size that can be true (it is raised if not).
        """
        true = camera[:, 0] > LEAST_SCALE
        factor, start = self.factor.to(camera), self.start.to(camera)
        scale = CROP / 2 * camera[:, 0].clamp_min(LEAST_SCALE) / factor.prod(1).sqrt()
        middle = (start + CROP / 2) / factor
        return Camera(scale, middle + scale[:, None] * camera[:, 1:], self.size), true


def windows(boxes: Tensor, size: tuple[int, int], official: bool = False) -> Windows:
    """The crops of boxes (T, 4) left, top, right, bottom px in pictures of (height, width)."""
    if boxes.ndim != 2 or boxes.shape[1] != 4 or len(boxes) < 1:
        raise InputError(f"boxes must be (T, 4) left, top, right, bottom; got {tuple(boxes.shape)}")
    boxes = boxes.detach().cpu().double()
    limit = boxes.new_tensor([size[1], size[0]])
    low, high = boxes[:, :2], boxes[:, 2:]
    side = (high - low).amax(1)
    bad = ~(
        torch.isfinite(boxes).all(1)
        & (high >= low).all(1)
        & (side >= SMALLEST_BOX)
        & (side <= LARGEST_BOX * max(size))
        & (low < limit).all(1)
        & (high > 0).all(1)
    )
    if bad.any():
        frame = int(bad.nonzero()[0])
        box = ", ".join(f"{value:.0f}" for value in boxes[frame].tolist())
        raise InputError(
            f"the box of frame {frame} ({box}) must be left, top, right, bottom in pixels, at "
            f"least {SMALLEST_BOX:.0f} pixels long and inside the {size[1]} x {size[0]} picture"
        )
    factor = (PERSON / side)[:, None].expand(-1, 2)
    start = ((low + high) / 2 * factor).round() - CROP / 2
    if official:
        factor = (limit * factor).floor().clamp_min(1) / limit
    return Windows(factor, start, size, not official)


def crop(images: Tensor | Sequence[Tensor], where: Windows) -> Tensor:
    """Cut T pictures (3, H, W) in [-1, 1] -> (T, 3, 224, 224) in 0..1, black outside."""
    cut = []
    for image, factor, start in zip(images, where.factor, where.start, strict=True):
        across, columns = axis_weights(image.shape[2], *factor[:1], *start[:1], where.antialias)
        down, rows = axis_weights(image.shape[1], *factor[1:], *start[1:], where.antialias)
        part = (image[:, rows, columns].float() + 1) / 2
        cut.append(down.to(part) @ part @ across.to(part).T)
    return torch.stack(cut)


def axis_weights(
    length: int, factor: Tensor, start: Tensor, antialias: bool
) -> tuple[Tensor, slice]:
    """What each pixel of a crop takes from a row of ``length`` pixels: (224, n), of a slice of n.

    Triangles of one pixel's reach or, ``antialias``, of one crop pixel's if that is wider.
    """
    place = start.double() + torch.arange(CROP, dtype=torch.float64) + 0.5
    reach = (1 / factor).clamp_min(1.0) if antialias else 1.0
    inside = (place > 0) & (place < length * factor)
    if not inside.any():  # a sliver of a picture in a box many times its size
        return torch.zeros(CROP, 1, dtype=torch.float64), slice(0, 1)
    middle = (place / factor).clamp(0.5, length - 0.5)
    low, high = middle[inside].min() - reach, middle[inside].max() + reach
    part = slice(max(int(low), 0), min(int(high) + 1, length))
    pixels = torch.arange(part.start, part.stop, dtype=torch.float64) + 0.5
    weights = (1 - (middle[:, None] - pixels).abs() / reach).clamp_min(0)
    weights = weights / weights.sum(1, keepdim=True).clamp_min(1e-9)
    return weights * inside[:, None], part


def network_input(crops: Tensor) -> Tensor:
    """Crops (N, 3, 224, 224) in 0..1 -> what the network was trained on."""
    mean, deviation = (crops.new_tensor(v)[:, None, None] for v in (MEAN, DEVIATION))
    return (crops - mean) / deviation


def keypoint_boxes(keypoints: Keypoints) -> tuple[Tensor, Tensor]:
    """Boxes (T, 4) around the seen keypoints, and whether each frame had enough of them (T,).

    Frames in between borrow from their neighbours in time, linearly.
    """
    known = (keypoints.confidence > 0)[..., None]
    low = torch.where(known, keypoints.points, torch.inf).amin(1)
    high = torch.where(known, keypoints.points, -torch.inf).amax(1)
    limit = low.new_tensor([keypoints.size[1], keypoints.size[0]])
    seen = keypoints.usable & ((high - low).amax(1) >= SMALLEST_BOX)
    seen &= (low < limit).all(1) & (high > 0).all(1)
    if not seen.any():
        raise InputError("keypoints: no frame has enough points to say where the person is")
    boxes = grown(torch.cat([low, high], 1)[seen], KEYPOINT_MARGIN)
    return _between(boxes, seen), seen


def mask_boxes(masks: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes (T, 4) around the person in masks (T, 1, H, W) in 0..1, and which masks said it (T,).

    Frames without a person borrow as above.
    """
    solid = masks[:, 0] > 0.5
    seen = solid.flatten(1).any(1)
    if not seen.any():
        raise InputError("mask is empty: paint the person white")
    boxes = []
    for frame in solid[seen]:
        rows, columns = (frame.any(axis).nonzero().flatten() for axis in (1, 0))
        boxes.append(torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]))
    return _between(torch.stack(boxes).float(), seen), seen


def picture_boxes(count: int, size: tuple[int, int]) -> Tensor:
    """Boxes (T, 4) whose crop is the whole picture: the person is in its middle and fills it."""
    height, width = size
    return grown(torch.tensor([[0.0, 0.0, width, height]]), PERSON / CROP).expand(count, 4)


def grown(boxes: Tensor, margin: float) -> Tensor:
    """Boxes (T, 4), ``margin`` times as long about their middles."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]) / 2 * margin
    return torch.cat([middle - half, middle + half], 1)


def _between(boxes: Tensor, seen: Tensor) -> Tensor:
    """Boxes of the seen frames -> boxes of all frames (T, 4)."""
    known = seen.nonzero().flatten().double()
    frames = torch.arange(len(seen), device=boxes.device).double()
    after = torch.searchsorted(known, frames).clamp(1, max(len(known) - 1, 1))
    after = after.clamp_max(len(known) - 1)
    before = (after - 1).clamp_min(0)
    span = (known[after] - known[before]).clamp_min(1)
    part = ((frames - known[before]) / span).clamp(0, 1).to(boxes)[:, None]
    return torch.lerp(boxes[before], boxes[after], part)
