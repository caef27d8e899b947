"""From the network's square to the finished frame: backgrounds placed, the person pasted back."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from .clips import Clip
from .errors import InputError
from .flow.framing import Framing
from .flow.sequence import FlowSequence
from .flow.source import CropWindow, crop_picture, resample

SAME_ASPECT = 0.02
FITS = ("same", "cover")
CLEAR = 1 / 255  # a matte below it shows nothing: its colour is left out
Backdrop = Tensor | Callable[[int, int], Tensor] | None


def result_size(flow: FlowSequence) -> tuple[int, int]:
    """(height, width) in pixels of the finished frames."""
    framing = flow.framing
    return framing.canvas if framing is not None and framing.whole else flow.size


def place_background(background: Tensor, flow: FlowSequence, fit: str = "same") -> Tensor:
    """A background (N, 3, H, W) as the finished frames need it -> (N, 3, *result_size(flow)).

    A picture with the proportions of the first source's picture lies behind the person as that one
    did; a picture with the proportions of the frames fills them. fit: what any other one gets -
    "same": an InputError, "cover": it is cut to cover the frames, centred.
    """
    if fit not in FITS:
        raise InputError(f"background fit must be one of {', '.join(FITS)}; got {fit!r}")
    size, framing = result_size(flow), flow.framing
    given = tuple(background.shape[-2:])
    if framing is not None and not framing.whole and same_aspect(given, framing.canvas):
        return cut_square(background, framing, size[0])
    if not same_aspect(given, size):
        if fit == "same":
            like = "" if framing is None else f" or {framing.canvas[1]} x {framing.canvas[0]}"
            raise InputError(
                f"background is {given[1]} x {given[0]} px; it must have the proportions of "
                f"{size[1]} x {size[0]}{like}: crop it, or choose that it covers the frame"
            )
        background = cut_to_aspect(background, size)
    return torch.stack([resample(picture, size).clamp(-1, 1) for picture in background])


def same_aspect(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return abs(one[0] / one[1] * other[1] / other[0] - 1) < SAME_ASPECT


def cut_to_aspect(pictures: Tensor, size: tuple[int, int]) -> Tensor:
    """The largest centred part of (N, 3, H, W) with the proportions of ``size``."""
    height, width = pictures.shape[-2:]
    rows = min(height, max(1, round(width * size[0] / size[1])))
    columns = min(width, max(1, round(height * size[1] / size[0])))
    top, left = (height - rows) // 2, (width - columns) // 2
    return pictures[..., top : top + rows, left : left + columns]


def cut_square(background: Tensor, framing: Framing, size: int) -> Tensor:
    """What the one square of ``framing`` shows of pictures (N, 3, H, W) like its canvas."""
    left, top, side = framing.square(0)
    height, width = background.shape[-2:]
    factor = width / framing.canvas[1]
    # A square may be many times larger than what is asked for: shrink first, then cut.
    shrink = min(1.0, 2 * size / (side * factor))
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
    return torch.stack([crop_picture(picture, window, (size, size)) for picture in background])


class VideoBackground:
    """The frames of a clip behind the frames of a flow, read as they are asked for."""

    def __init__(self, clip: Clip, flow: FlowSequence, fit: str = "same") -> None:
        """Raises an InputError if the clip is too short, or has other proportions than ``fit``
        allows."""
        if len(clip) < len(flow):
            raise InputError(
                f"background video {clip.path} has {len(clip)} frames, but the result has "
                f"{len(flow)}; give one that is as long, or a picture"
            )
        self.clip, self.flow, self.fit = clip, flow, fit
        place_background(next(clip.frames())[None], flow, fit)
        self._frames: Iterator[Tensor] = clip.frames()
        self._next = 0

    def __call__(self, start: int, stop: int) -> Tensor:
        """Frames start..stop-1, placed."""
        if start < self._next:
            self._frames, self._next = self.clip.frames(), 0
        while self._next < start:
            next(self._frames)
            self._next += 1
        found = [next(self._frames) for _ in range(start, stop)]
        self._next = stop
        return place_background(torch.stack(found), self.flow, self.fit)


def check_backdrop(backdrop: Backdrop, flow: FlowSequence) -> None:
    """Raise an InputError unless a background has one frame or as many as the flow, placed."""
    if not isinstance(backdrop, Tensor):
        return
    if len(backdrop) not in (1, len(flow)):
        raise InputError(
            f"background must be 1 picture or {len(flow)}, one per frame; got {len(backdrop)}"
        )
    size, given = result_size(flow), tuple(backdrop.shape[-2:])
    if given != size:
        raise InputError(
            f"background is {given[1]} x {given[0]} px, but the frames are {size[1]} x {size[0]}; "
            "place it with place_background"
        )


def behind(backdrop: Backdrop, start: int, stop: int) -> Tensor | None:
    """The background of frames start..stop-1, (1 or stop - start, 3, H, W)."""
    if backdrop is None:
        return None
    if isinstance(backdrop, Tensor):
        return backdrop if len(backdrop) == 1 else backdrop[start:stop]
    return backdrop(start, stop)


def finish(
    colour: Tensor, matte: Tensor, background: Tensor | None, framing: Framing | None
) -> tuple[Tensor, Tensor]:
    """Painted squares as finished frames (T, 3, H, W) in [-1, 1] and mattes (T, 1, H, W).

    colour: (T, 3, s, s), matte: (T, 1, s, s), 1 = person. background: (1 or T, 3, H, W); None = the
    colour is left straight (not multiplied by the matte), 0 where the matte is clear. framing: of
    these T frames.
    """
    if framing is not None and framing.whole:
        return paste(colour, matte, background, framing)
    if background is None:
        return torch.where(matte > CLEAR, colour, 0).clamp(-1, 1), matte
    return (matte * colour + (1 - matte) * background.to(colour)).clamp(-1, 1), matte


def paste(
    colour: Tensor, matte: Tensor, background: Tensor | None, framing: Framing
) -> tuple[Tensor, Tensor]:
    """Squares into whole pictures, see ``finish``."""
    if colour.device.type == "mps":  # has no bicubic grid_sample
        colour, matte = colour.cpu(), matte.cpu()
    frames = len(colour)
    mattes = matte.new_zeros(frames, 1, *framing.canvas)
    if background is None:
        images = colour.new_zeros(frames, 3, *framing.canvas)
    else:
        images = background.to(colour).expand(frames, -1, -1, -1).clone()
    layers = torch.cat([colour * matte, matte], 1)  # premultiplied, so that no edge mixes in
    for k in range(frames):
        rows, columns, layer = fit_square(layers[k : k + 1], framing.square(k), framing.canvas)
        if layer is None:
            continue
        alpha = torch.where(layer[0, 3:] > CLEAR, layer[0, 3:], 0)
        # Resampling overshoots at edges, in colour and matte alike: their quotient has no halo.
        straight = (layer[0, :3] / alpha.clamp(min=CLEAR)).clamp(-1, 1)
        alpha = alpha.clamp(max=1)
        if background is None:
            images[k, :, rows, columns] = torch.where(alpha > 0, straight, 0)
        else:
            images[k, :, rows, columns] = images[k, :, rows, columns].lerp(straight, alpha)
        mattes[k, :, rows, columns] = alpha
    return images.clamp(-1, 1), mattes


def fit_square(
    layer: Tensor, square: tuple[int, int, int], canvas: tuple[int, int]
) -> tuple[slice, slice, Tensor | None]:
    """The part of a square (1, C, s, s) that lies on the canvas, at the canvas's pixels.

    Returns its rows and columns on the canvas and the part, None where nothing of it is there.
    """
    left, top, side = square
    rows = slice(max(top, 0), min(top + side, canvas[0]))
    columns = slice(max(left, 0), min(left + side, canvas[1]))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return rows, columns, None
    if side < layer.shape[-1]:
        small = resample(layer[0], (side, side))[None, :, rows.start - top : rows.stop - top]
        return rows, columns, small[..., columns.start - left : columns.stop - left]
    # Larger than it was painted: only what is seen is computed, a close-up may be huge.
    y = torch.arange(rows.start, rows.stop, device=layer.device, dtype=layer.dtype) - top + 0.5
    x = torch.arange(columns.start, columns.stop, device=layer.device, dtype=layer.dtype)
    x = x - left + 0.5
    grid = torch.stack(torch.meshgrid(x / side * 2 - 1, y / side * 2 - 1, indexing="xy"), -1)
    return rows, columns, F.grid_sample(layer, grid[None], mode="bicubic", align_corners=False)
