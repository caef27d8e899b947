"""Reading .npz archives that strangers made, and writing files whole or not at all."""

from __future__ import annotations

import math
import os
import re
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

LIMIT = 1 << 29  # bytes after unpacking; an hour of motion takes a tenth of it
MAX_HEADER = 10_000
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, UnicodeDecodeError)

# What numpy.save writes, read without evaluating anything.
_HEADER = re.compile(
    rb"\{\s*'descr':\s*'(?P<dtype>[<>|=]?(?:f[248]|[iu][1248]|b1|U[1-9]\d{0,3}))',\s*"
    rb"'fortran_order':\s*(?P<fortran>True|False),\s*'shape':\s*\((?P<shape>(?:\d{1,18}(?:,\s*|(?=\))))*)\),?\s*\}\s*"
)


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
    except _BROKEN as error:
        raise InputError(
            f"{path.name}: not a whole .npz file ({error}); it must be one written by numpy.savez"
        ) from error


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> NDArray:
    name = f"{path.name}: {info.filename[:-4]}"
    with archive.open(info) as stream:
        magic = stream.read(8)
        long = magic[6:7] != b"\x01"  # version 1 has a shorter length field than its successors
        length = int.from_bytes(stream.read(4 if long else 2), "little")
        header = _HEADER.fullmatch(stream.read(length) if length <= MAX_HEADER else b"")
        if magic[:6] != b"\x93NUMPY" or header is None:
            raise InputError(
                f"{name} is no plain array; only numbers, booleans and text are read, no objects"
            )
        dtype = np.dtype(header["dtype"].decode())
        shape = tuple(int(length) for length in header["shape"].replace(b",", b" ").split())
        # An empty array may not claim absurd lengths either.
        extent = dtype.itemsize * math.prod(max(length, 1) for length in shape)
        wanted = extent if all(shape) else 0
        held = info.file_size - stream.tell()
        data = stream.read() if extent <= LIMIT and wanted == held else None
        if data is None or len(data) != held:
            raise InputError(f"{name} says shape {shape} of {dtype} but holds {held} bytes")
    order = "F" if header["fortran"] == b"True" else "C"
    return np.frombuffer(data, dtype, math.prod(shape)).reshape(shape, order=order).copy()


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
