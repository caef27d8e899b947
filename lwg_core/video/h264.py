"""H.264 video: finished segments in a work folder, joined without loss at the end."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import InputError
from ..files import atomic_path, part_of, put_in_place
from ..pictures import CONTAINERS
from .join import add_pictures, join, whole_frames
from .output import FrameOutput
from .sound import Sound
from .work import WorkFolder

SEGMENT = 60  # frames; what a power cut can cost


class H264Output(FrameOutput):
    """mp4, mov or mkv."""

    def __init__(self, path: Path, *options, sound: Sound | None) -> None:
        import av

        try:
            av.Codec("libx264", "w")
        except ValueError:
            raise InputError(
                f"output {path}: the av package here has no H.264 encoder; install PyAV from PyPI, "
                "or write .webp or numbered pictures"
            ) from None
        self.encoder = f"PyAV {av.__version__}"
        super().__init__(path, *options)
        self.sound = sound
        self.container = None

    def work_folder(self) -> WorkFolder:
        return WorkFolder(self.path.with_name(f".{self.path.name}.parts"), self.path, ".mp4")

    def add(self, pixels: np.ndarray) -> None:
        import av

        height, width = pixels.shape[:2]
        pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        if self.container is None:
            self.open_segment(*pixels.shape[:2])
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        self.container.mux(self.stream.encode(frame))
        if self.count + 1 - self.start == SEGMENT:
            self.close_piece()

    def open_segment(self, height: int, width: int) -> None:
        import av

        part = part_of(self.work.path / f"{self.count:06d}.mp4")
        container = av.open(str(part), "w", format="mp4")
        stream = add_pictures(container, self.rate, height, width)
        self.start, self.part, self.stream, self.container = self.count, part, stream, container

    def close_piece(self) -> None:
        """What the file holds counts: an interrupt may come between encoding and writing."""
        if self.container is None:
            return
        container, self.container = self.container, None
        try:
            try:
                container.mux(self.stream.encode())
            finally:
                container.close()
            stop = self.start + whole_frames(self.part, self.rate)
            if stop > self.start:
                name = f"{self.start:06d}-{stop:06d}.mp4"
                put_in_place(self.part, self.work.path / name)
        finally:
            self.part.unlink(missing_ok=True)

    def finish(self) -> None:
        self.join(self.path)

    def show_partial(self) -> Path:
        self.join(self.partial)
        return self.partial

    def join(self, path: Path) -> None:
        pieces = self.work.pieces()
        with atomic_path(path) as part:
            join(pieces, part, CONTAINERS[path.suffix.lower()], self.rate, self.sound)
