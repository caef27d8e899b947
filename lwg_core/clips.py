"""A picture or a video as frames read one after the other, so that length costs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .errors import InputError
from .pictures import CONTAINERS, LARGEST_SIDE, SMALLEST_SIDE, read_image

VIDEOS = (*CONTAINERS, ".webm", ".avi", ".m4v", ".gif")
MOST_FRAMES = 100_000
USUAL_RATE = 30.0  # of a file that does not say


@dataclass(frozen=True)
class Clip:
    """path: of the file. count: frames. size: (height, width) px. fps: None for a picture."""

    path: Path
    count: int
    size: tuple[int, int]
    fps: float | None

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Tensor]:
        return self.frames()

    def frames(self) -> Iterator[Tensor]:
        """Every frame, (3, H, W) in [-1, 1]."""
        if self.fps is None:
            yield read_image(self.path)
            return
        for frame in _decode(self.path):
            upright = np.rot90(frame.to_ndarray(format="rgb24"), _quarters(frame))
            pixels = torch.from_numpy(np.ascontiguousarray(upright))
            yield pixels.permute(2, 0, 1).float() / 127.5 - 1


def open_clip(path: str | Path) -> Clip:
    """Look at a picture or video; a video is decoded once to count its frames."""
    path = Path(path)
    if path.suffix.lower() not in VIDEOS:
        image = read_image(path)
        return Clip(path, 1, (image.shape[1], image.shape[2]), None)
    count, size = 0, None
    for frame in _decode(path):
        shape = (frame.height, frame.width)[:: -1 if _quarters(frame) % 2 else 1]
        size = size or shape
        if shape != size:
            raise InputError(f"video {path}: frame {count} has another size than the first one")
        count += 1
        if count > MOST_FRAMES:
            raise InputError(f"video {path} has more than {MOST_FRAMES} frames; cut it")
    if size is None:
        raise InputError(f"video {path} has no frames")
    if min(size) < SMALLEST_SIDE or max(size) > LARGEST_SIDE:
        raise InputError(
            f"video {path} is {size[1]}x{size[0]} px; {SMALLEST_SIDE} to {LARGEST_SIDE} px a side "
            "are possible"
        )
    return Clip(path, count, size, _rate(path))


def _quarters(frame) -> int:
    """Quarter turns to the left that set a frame upright: telephones lie on their side."""
    return round(getattr(frame, "rotation", 0) / 90)  # PyAV tells it since version 14


def _rate(path: Path) -> float:
    with _container(path) as container:
        rate = container.streams.video[0].average_rate
    return float(rate) if rate else USUAL_RATE


def _decode(path: Path) -> Iterator:
    with _container(path) as container:
        container.streams.video[0].thread_type = "AUTO"
        yield from container.decode(container.streams.video[0])


@contextmanager
def _container(path: Path) -> Iterator:
    import av

    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise InputError(f"video {path} has no picture track")
            yield container
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"video {path} cannot be read: {error.strerror or error}") from error
