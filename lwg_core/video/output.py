"""Where the frames of a result go: any length in flat memory, kept when the run is cut short."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path

import numpy as np
from torch import Tensor

from ..errors import InputError
from ..files import writing
from ..pictures import LARGEST_SIDE, to_bytes
from .work import WorkFolder

log = logging.getLogger(__name__)

BROADCAST = (24, 30, 48, 60, 120)  # their rates are these times 1000 / 1001


class FrameOutput:
    """A result that grows frame by frame and appears under its name when it is whole.

    ``with open_output(...) as out: out.write(images, mattes)``, beginning with frame ``out.done``.
    Until then the frames lie in a work folder. Left by an error or an interrupt, it keeps the
    finished ones there, shows them in ``partial`` if it can, and says so in ``message`` and the
    log; without a finished frame nothing stays. What was at ``path`` before is only replaced by a
    whole result.
    """

    encoder = ""  # what a continued run must share, beyond the job

    def __init__(
        self, path: Path, fps: float, frames: int, alpha: bool, resume: bool, job: str, keep: bool
    ) -> None:
        self.path = path
        self.keep = keep
        self.rate = frame_rate(fps)
        self.frames = frames
        self.alpha = alpha
        self.message = ""
        self.size: tuple[int, int] | None = None
        self.record = {
            "job": job, "fps": str(self.rate), "frames": frames, "alpha": alpha,
            "encoder": self.encoder,
        }  # fmt: skip
        self.work = self.work_folder()
        self.work.check_ours()
        self.left = self.work.count()  # of an earlier run
        self.done = self.left if resume else 0
        if self.done:
            self.work.check_same(self.record)
        elif resume:
            log.warning("%s: nothing to continue; starting with the first frame", path)
        self.count = self.done

    def __enter__(self) -> FrameOutput:
        return self

    def write(self, images: Tensor, mattes: Tensor | None = None) -> None:
        """Append frames (N, 3, H, W) in [-1, 1], with mattes (N, 1, H, W) in 0..1 if ``alpha``.

        Colour is written straight, as it is, however transparent the pixel.
        """
        pixels = to_bytes(images)
        if self.alpha:
            if mattes is None:
                raise ValueError("an output with alpha needs mattes")
            opacity = (mattes.detach().clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1)
            pixels = np.concatenate([pixels, opacity.cpu().numpy()], axis=3)
        if self.count + len(pixels) > self.frames:
            raise ValueError(f"{self.path} was to have {self.frames} frames; these are more")
        if not len(pixels):
            return
        with writing(self.path):
            if self.size is None:
                self.begin(pixels.shape[1:3])
            if self.size != pixels.shape[1:3]:
                raise ValueError(f"frames of {pixels.shape[1:3]} px after some of {self.size} px")
            for frame in pixels:
                self.add(frame)
                self.count += 1

    def begin(self, size: tuple[int, int]) -> None:
        """Open the work folder for frames of (height, width)."""
        if max(size) > LARGEST_SIDE:
            raise InputError(f"output {self.path}: at most {LARGEST_SIDE} px a side are possible")
        self.size = size
        record = {**self.record, "size": list(size)}
        if self.done:
            self.work.check_same(record)
            self.work.tidy()
        else:
            if self.left:
                log.warning("%s: %d frames of an earlier run are replaced", self.path, self.left)
            self.work.make(record)
            self.remove_partial()

    def __exit__(self, kind, value, trace) -> None:
        whole = kind is None and self.count == self.frames
        try:
            if whole:
                with writing(self.path):
                    self.close_piece()
                    self.finish()
                    self.work.remove()
                    self.remove_partial()
        except BaseException:  # a full disk or an interrupt at the last moment
            self.leave()
            raise
        if not whole:
            self.leave()
        if not whole and kind is None:
            raise ValueError(f"{self.path} has {self.count} of its {self.frames} frames")

    def leave(self) -> None:
        """Keep the finished frames, show them if possible, and say so."""
        try:
            with writing(self.path):
                self.close_piece()
        except InputError as error:  # the error that brought us here is the one to tell
            log.debug("the last frames are lost: %s", error)
        if self.size is None and not self.done:  # an earlier run's frames are not this one's
            return
        kept = self.work.count() if self.keep else 0
        if not kept:
            self.discard()
            return
        try:
            with writing(self.path):
                where = self.show_partial()
        except InputError as error:
            log.debug("no partial result: %s", error)
            where = self.work.path
        self.message = f"kept {kept} of {self.frames} frames in {where}"
        if self.record["job"]:
            self.message += "; --resume continues"
        elif where != self.work.path:
            self.work.remove()
        log.warning("%s", self.message)

    def discard(self) -> None:
        """Remove a work folder in which nothing was finished."""
        self.work.remove()

    def remove_partial(self) -> None:
        self.partial.unlink(missing_ok=True)

    @property
    def partial(self) -> Path:
        """The picture of an interrupted run that can be looked at: out.partial.mp4."""
        return self.path.with_name(f"{self.path.stem}.partial{self.path.suffix}")

    def work_folder(self) -> WorkFolder:
        raise NotImplementedError

    def add(self, pixels: np.ndarray) -> None:
        """Append one frame (H, W, 3 or 4) uint8, RGB or straight RGBA."""
        raise NotImplementedError

    def close_piece(self) -> None:
        """Finish what is being written, so that every frame added is in a piece."""

    def finish(self) -> None:
        """Make ``path`` from the pieces."""
        raise NotImplementedError

    def show_partial(self) -> Path:
        """Make something to look at from the pieces; returns where it is."""
        raise NotImplementedError


def frame_rate(fps: float) -> Fraction:
    """Frames per second as a fraction; 29.97 and its like are the broadcast rates they stand for.

    >>> frame_rate(29.97), frame_rate(23.976), frame_rate(12.5)
    (Fraction(30000, 1001), Fraction(24000, 1001), Fraction(25, 2))
    """
    for whole in BROADCAST:
        if abs(float(fps) - whole * 1000 / 1001) < 0.005:
            return Fraction(whole * 1000, 1001)
    return Fraction(fps).limit_denominator(1001)
