"""Reading .npz archives that strangers made."""

from __future__ import annotations

import lzma
import math
import os
import re
import zipfile
import zlib
from collections.abc import Container
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

LIMIT = 1 << 29  # bytes after unpacking; an hour of motion takes a tenth of it
MAX_HEADER = 10_000
_BROKEN = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError,
    UnicodeDecodeError,
)  # fmt: skip

# What numpy.save writes, read without evaluating anything.
_HEADER = re.compile(
    rb"\{\s*'descr':\s*'(?P<dtype>[<>|=]?(?:f[248]|[iu][1248]|b1|U[1-9]\d{0,3}))',\s*"
    rb"'fortran_order':\s*(?P<fortran>True|False),\s*'shape':\s*\((?P<shape>(?:\d{1,18}(?:,\s*|(?=\))))*)\),?\s*\}\s*"
)


def read_npz(
    path: str | os.PathLike, limit: int = LIMIT, only: Container[str] | None = None
) -> dict[str, NDArray]:
    """The arrays of an .npz: numbers, booleans and text only, never pickled objects.

    With ``only``, members of other names are not looked at; official files hold pickled extras.

    Every header is checked against the size of its member before anything is allocated, so neither
    a zip bomb nor a header that promises terabytes gets memory.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = [
                info
                for info in archive.infolist()
                if info.filename.endswith(".npy") and (only is None or info.filename[:-4] in only)
            ]
            if sum(info.file_size for info in members) > limit:
                raise InputError(f"{path.name}: unpacks to more than {limit >> 20} MB")
            return {info.filename[:-4]: _read_member(archive, info, path) for info in members}
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file") from error
    except _BROKEN as error:
        reason = str(error)[:100]  # it may quote the file
        raise InputError(
            f"{path.name}: not a whole .npz file ({reason}); it must be one written by numpy.savez"
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
        if not is_text(data, dtype):
            raise InputError(f"{name} holds text that is none")
    order = "F" if header["fortran"] == b"True" else "C"
    return np.frombuffer(data, dtype, math.prod(shape)).reshape(shape, order=order).copy()


def is_text(data: bytes, dtype: np.dtype) -> bool:
    """False if bytes of a text type are no characters: numpy fails only when they are looked at."""
    if dtype.kind != "U":
        return True
    characters = np.frombuffer(data, np.dtype("u4").newbyteorder(dtype.byteorder))
    return bool((characters <= 0x10FFFF).all())
