"""The frames of a run that is not over: a folder that survives an interrupt.

It holds pieces, each whole when it has its name: ``000000.png`` is frame 0, ``000060-000120.mp4``
frames 60 to 119. ``job.json`` tells what they are frames of, so that only that job continues them.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..files import atomic_path, make_folder, writing

RECORD = "job.json"
PIECE = re.compile(r"(\d{6,})(?:-(\d{6,}))?")
UNLIKE = {  # what to say of an entry of the record that differs
    "job": "its sources, motion or options are others",
    "fps": "it had {} frames per second, not {}",
    "frames": "it was to have {} frames, not {}",
    "alpha": "one of the two has transparency, the other has not",
    "encoder": "it was begun with {}, here is {}",
    "size": "its pictures are {} px high and wide, not {}",
}


@dataclass(frozen=True)
class Piece:
    """A file with frames ``start`` to ``stop`` - 1."""

    start: int
    stop: int
    path: Path


@dataclass(frozen=True)
class WorkFolder:
    """path: of the folder. output: what is made from it, for messages. suffix: of its pieces."""

    path: Path
    output: Path
    suffix: str

    def pieces(self) -> list[Piece]:
        """The pieces that follow each other from frame 0 on."""
        found = {}
        for path in self.path.glob(f"*{self.suffix}"):
            if match := PIECE.fullmatch(path.stem):
                start = int(match[1])
                piece = Piece(start, int(match[2] or start + 1), path)
                if start not in found or found[start].stop < piece.stop:
                    found[start] = piece
        chain, frame = [], 0
        while frame in found:
            chain.append(found[frame])
            frame = chain[-1].stop
        return chain

    def count(self) -> int:
        """Frames that are finished, from frame 0 on."""
        pieces = self.pieces()
        return pieces[-1].stop if pieces else 0

    def check_ours(self) -> None:
        """InputError if the folder is somebody else's."""
        path = self.path
        if not path.exists() or (path.is_dir() and (path / RECORD).is_file()):
            return
        if not path.is_dir() or any(path.iterdir()):
            raise InputError(
                f"output {self.output}: unfinished frames go to {path}, but something else lies "
                "there; remove it or choose another name"
            )

    def check_same(self, now: dict) -> None:
        """InputError, with what differs, unless the frames kept are of the job ``now``."""
        then = self.record()
        for key, value in now.items():
            if then.get(key) != value:
                what = UNLIKE[key].format(then.get(key), value)
                raise InputError(
                    f"output {self.output} cannot be continued: the {self.count()} frames kept in "
                    f"{self.path} are of another job ({what}); continue that job, or start over "
                    "without --resume"
                )

    def record(self) -> dict:
        try:
            record = json.loads((self.path / RECORD).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            record = None
        if not isinstance(record, dict):
            raise InputError(
                f"output {self.output} cannot be continued: {self.path / RECORD} is damaged; "
                "start over without --resume"
            )
        return record

    def make(self, record: dict) -> None:
        """Begin an empty folder for the job ``record``."""
        self.remove()
        make_folder(self.path)
        with atomic_path(self.path / RECORD) as part:
            part.write_text(json.dumps(record, indent=1), encoding="utf-8")

    def tidy(self) -> None:
        """Remove what a killed process left beside the finished pieces."""
        keep = {piece.path for piece in self.pieces()} | {self.path / RECORD}
        for path in self.path.iterdir():
            if path not in keep:
                path.unlink()

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        if self.path.exists():
            with writing(self.path):
                shutil.rmtree(self.path)
