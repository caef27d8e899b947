"""Animated WebP from finished pictures: their compressed data is copied, one after the other."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from ..errors import InputError

ANIMATION, ALPHA = 0x02, 0x10  # flags of the file
ALONE = 0x02  # flag of a frame: it replaces the one before, transparent or not
LARGEST = 2**32 - 10  # bytes that the format can hold
BITSTREAM = (b"ALPH", b"VP8 ", b"VP8L")


def animate(
    pictures: Sequence[Path], path: Path, size: tuple[int, int], rate: Fraction, alpha: bool
) -> None:
    """Write WebP pictures of (height, width) as an endless animation at ``rate`` per second."""
    height, width = size
    with open(path, "wb") as file:
        file.write(b"RIFF\0\0\0\0WEBP")
        flags = ANIMATION | (ALPHA if alpha else 0)
        _write(file, b"VP8X", bytes((flags, 0, 0, 0)) + _24(width - 1) + _24(height - 1))
        _write(file, b"ANIM", struct.pack("<IH", 0, 0))  # transparent ground, no end
        for i, picture in enumerate(pictures):
            length = round(1000 * (i + 1) / rate) - round(1000 * i / rate)  # ms
            place = _24(0) + _24(0) + _24(width - 1) + _24(height - 1)
            data = place + _24(length) + bytes((ALONE,)) + bitstream(picture.read_bytes())
            if file.tell() + len(data) + 8 > LARGEST:
                raise InputError(
                    f"an animated WebP ends at 4 GB, which is {i} of these {len(pictures)} frames; "
                    "write a folder of PNG pictures or a video instead"
                )
            _write(file, b"ANMF", data)
        length = file.seek(0, os.SEEK_END)
        file.seek(4)
        file.write(struct.pack("<I", length - 8))


def bitstream(data: bytes) -> bytes:
    """The chunks of a still WebP that hold its pixels."""
    chunks, position = [], 12
    while position < len(data):
        name, length = (
            data[position : position + 4],
            struct.unpack_from("<I", data, position + 4)[0],
        )
        end = position + 8 + length + length % 2
        if name in BITSTREAM:
            chunks.append(data[position:end])
        position = end
    return b"".join(chunks)


def _write(file, name: bytes, data: bytes) -> None:
    file.write(name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2))


def _24(value: int) -> bytes:
    return value.to_bytes(3, "little")
