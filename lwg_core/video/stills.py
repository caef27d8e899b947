"""Outputs whose frames are pictures: a folder of PNG, an animated WebP, one picture."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from ..errors import InputError
from ..files import atomic_path, check_writable
from ..pictures import encode
from .output import FrameOutput
from .webp import animate
from .work import PIECE, WorkFolder

WEBP_QUALITY = 90  # of colour; transparency is without loss


class SequenceOutput(FrameOutput):
    """A folder of numbered PNG pictures; ``partial`` in it holds those of an unfinished run."""

    def work_folder(self) -> WorkFolder:
        check_writable(self.path / "000000.png")
        self.is_new = not self.path.exists()
        for path in self.path.glob("*.png"):
            if (match := PIECE.fullmatch(path.stem)) and int(match[1]) >= self.frames:
                raise InputError(
                    f"output {self.path} already holds {path.name}, beyond the {self.frames} "
                    "frames to come; empty the folder or give another one"
                )
        return WorkFolder(self.path / "partial", self.path, ".png")

    @property
    def partial(self) -> Path:
        return self.work.path

    def remove_partial(self) -> None:
        pass  # it is the work folder

    def add(self, pixels: np.ndarray) -> None:
        with atomic_path(self.work.path / f"{self.count:06d}.png") as part:
            part.write_bytes(encode(".png", pixels))

    def finish(self) -> None:
        """The last picture first: cut short, those that are left still begin with the first."""
        for piece in reversed(self.work.pieces()):
            os.replace(piece.path, self.path / piece.path.name)

    def show_partial(self) -> Path:
        return self.partial

    def discard(self) -> None:
        super().discard()
        if self.is_new and self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()


class WebpOutput(FrameOutput):
    """An animated WebP. Its frames wait as finished WebP pictures, so no two are in memory."""

    def work_folder(self) -> WorkFolder:
        return WorkFolder(self.path.with_name(f".{self.path.name}.parts"), self.path, ".webp")

    def add(self, pixels: np.ndarray) -> None:
        with atomic_path(self.work.path / f"{self.count:06d}.webp") as part:
            part.write_bytes(encode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, WEBP_QUALITY]))

    def finish(self) -> None:
        self.animate(self.path)

    def show_partial(self) -> Path:
        self.animate(self.partial)
        return self.partial

    def animate(self, path: Path) -> None:
        pictures = [piece.path for piece in self.work.pieces()]
        size = tuple(self.work.record()["size"])
        with atomic_path(path) as part:
            animate(pictures, part, size, self.rate, self.alpha)


class PictureOutput(FrameOutput):
    """One picture; there is nothing to keep of half of it."""

    def work_folder(self) -> WorkFolder:
        folder = self.path.with_name(f".{self.path.name}.parts")
        return WorkFolder(folder, self.path, self.path.suffix)

    def add(self, pixels: np.ndarray) -> None:
        with atomic_path(self.work.path / f"000000{self.path.suffix}") as part:
            part.write_bytes(encode(self.path.suffix, pixels))

    def finish(self) -> None:
        os.replace(self.work.pieces()[0].path, self.path)
