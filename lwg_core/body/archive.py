"""Reading .npz archives that strangers made, and writing files whole or not at all."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

LIMIT = 1 << 29  # bytes after unpacking; an hour of motion takes a tenth of it


def read_npz(path: str | os.PathLike, limit: int = LIMIT) -> dict[str, NDArray]:
    """All arrays of an .npz: numbers, booleans and text only, never pickled objects.

    Every header is checked against the size of its member before anything is allocated, so neither
    a zip bomb nor a header that promises terabytes gets memory.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            if sum(info.file_size for info in members) > limit:
                raise InputError(f"{path.name}: unpacks to more than {limit >> 20} MB")
            return {info.filename[:-4]: _read_member(archive, info, path) for info in members}
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
        raise InputError(
            f"{path.name}: not a whole .npz file ({error}); it must be one written by numpy.savez"
        ) from error


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> NDArray:
    name = info.filename[:-4]
    with archive.open(info) as stream:
        try:
            version = np.lib.format.read_magic(stream)
            if version not in ((1, 0), (2, 0)):
                raise ValueError(f"version {version}")
            reader = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, fortran, dtype = reader(stream)
        except ValueError as error:
            raise InputError(f"{path.name}: {name} has no valid array header ({error})") from error
        if dtype.kind not in "fiubU":
            raise InputError(
                f"{path.name}: {name} is of type {dtype}; only numbers, booleans and text are read"
            )
        # Python integers, since a hostile shape must not overflow.
        wanted = dtype.itemsize
        for length in shape:
            wanted *= int(length)
        data = stream.read() if wanted == info.file_size - stream.tell() else b""
        if len(data) != wanted or min(shape, default=0) < 0:
            raise InputError(f"{path.name}: {name} says shape {shape} but holds other data")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C").copy()


def write_atomically(path: str | os.PathLike, write: Callable[[BinaryIO], None]) -> None:
    """Let ``write`` fill a temporary file next to ``path``, then rename it into place."""
    path = Path(path)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as stream:
            write(stream)
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        temporary.unlink(missing_ok=True)
