"""Writing files whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import InputError


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """A file beside ``path`` to write to, which becomes ``path`` when the block ends well.

    Readers see the old file or the whole new one. After an error, or an interrupt, nothing is left
    of the new one; a full disk, a read-only folder and their like are an InputError about ``path``.
    """
    path = Path(path)
    part = part_of(path)
    with writing(path):
        try:
            yield part
            put_in_place(part, path)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def writing(path: str | os.PathLike) -> Iterator[None]:
    """What the system says against writing ``path``, as a sentence about it."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from error


def part_of(path: Path) -> Path:
    """Where a file is written until it is whole: its own folder, so that renaming it is atomic."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def put_in_place(part: Path, path: Path) -> None:
    """Rename a written file to ``path``, once the disk has all of it."""
    with open(part, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(part, path)


def check_writable(path: Path) -> None:
    """Raise an InputError if a file could not be written there; nothing is made."""
    if path.is_dir():
        raise InputError(f"output {path} is a folder; give the name of a file")
    folder = next(p for p in path.absolute().parents if p.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise InputError(f"output {path} cannot be written: {folder} is no writable folder")


def make_folder(path: Path) -> None:
    """Make a folder and those above it."""
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
