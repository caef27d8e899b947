"""Pickles that strangers made: body models in the official format, results of other programs.

``read_pickle`` returns numbers, text, lists, dictionaries and numpy arrays. What else official
files hold (chumpy arrays, sparse matrices) comes back as ``Held`` records; ``as_array`` turns those
into numpy arrays. The file can name nothing outside the tables of ``pickles.makers``, and nothing
of it is ever run.

Read are pickles of Python 2 and 3 in every protocol, and what joblib writes (plain, zlib or gzip).
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .pickles.machine import Machine
from .pickles.makers import BUILDERS, MAKERS
from .pickles.opcodes import OPERATIONS
from .pickles.values import Held

MALFORMED = (IndexError, KeyError, ValueError, TypeError, OverflowError, struct.error)
LIMIT = 1 << 30  # bytes of the file, and again of the arrays in it; SMPL-X takes half
SPARSE_LIMIT = 1 << 26  # bytes of a sparse matrix written out; SMPL-X's joints take a tenth
SELECT_LIMIT = 1 << 28  # bytes that a chumpy selection makes; SMPL-X's largest array takes half
UNPACKED = 1 << 29  # bytes that a compressed file may unpack to

_OTHER_FORMATS = {
    b"PK\x03\x04": "a zip archive, as torch.save and numpy.savez write; name it .pt or .npz",
    b"BZh": "compressed with bz2; save it without compression",
    b"\xfd7zXZ": "compressed with xz; save it without compression",
    b"]\x00\x00": "compressed with lzma; save it without compression",
    b"\x04\x22M\x18": "compressed with lz4; save it without compression",
    b"ZF": "in joblib's format of before 2016; load and save it with a newer joblib",
}


def read_pickle(path: str | os.PathLike, limit: int = LIMIT) -> object:
    """The value in a pickle: None, bool, int, float, str, bytes, numpy numbers and arrays, in
    lists, tuples, dictionaries and sets, and ``Held`` records of chumpy and sparse arrays.

    Its depth, size and cycles are checked, so recursive functions may walk it. Python 2 strings
    come as text, or as bytes when longer than 4096.
    """
    path = Path(path)
    try:
        if path.stat().st_size > limit:
            raise InputError(f"is larger than {limit >> 20} MB")
        return Machine(_unpacked(path.read_bytes()), OPERATIONS, MAKERS, BUILDERS, limit).run()
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from error
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except MALFORMED as error:
        raise InputError(f"{path.name}: is broken, or no pickle at all") from error


def as_array(value: object) -> NDArray:
    """A numpy array of an array, nested lists of numbers, or a chumpy or sparse ``Held``."""
    try:
        return _dense(value)
    except InputError:
        raise
    except MALFORMED as error:
        raise InputError("is no array of numbers") from error


def _unpacked(data: bytes) -> bytes:
    for magic, text in _OTHER_FORMATS.items():
        if data.startswith(magic):
            raise InputError(f"is {text}")
    if not data.startswith((b"\x78", b"\x1f\x8b")):
        return data
    unpacker = zlib.decompressobj(47)  # zlib or gzip, whichever it is
    try:
        plain = unpacker.decompress(data, UNPACKED + 1)
    except zlib.error as error:
        raise InputError(f"is broken ({error})") from error
    if len(plain) > UNPACKED:
        raise InputError(f"unpacks to more than {UNPACKED >> 20} MB")
    if not unpacker.eof:
        raise InputError("ends too early")
    return plain


def _dense(value: object) -> NDArray:
    if not isinstance(value, Held):
        array = np.asarray(value)
        if array.dtype.kind not in "fiubUS":
            raise InputError("is no array of numbers")
        return array
    state = value.state
    if not isinstance(state, dict):
        raise InputError("is no array of numbers")
    if value.name.startswith("scipy.sparse."):
        return _dense_sparse(state, "csr" in value.name)
    if value.name == "chumpy.reordering.Select":
        whole, index = _dense(state["a"]).ravel(), _dense(state["idxs"])
        if index.size * whole.itemsize > SELECT_LIMIT:
            raise InputError(f"selects more than {SELECT_LIMIT >> 20} MB")
        picked = whole[index]
        return picked.reshape(state.get("preferred_shape", picked.shape))
    if value.name == "chumpy.reordering.Reshape":
        return _dense(state["a"]).reshape(state["newshape"])
    if value.name.startswith("chumpy."):
        return _dense(state["x"])
    raise InputError("is no array of numbers")


def _dense_sparse(state: dict, by_row: bool) -> NDArray:
    """Compressed sparse columns, or rows, to a full matrix; repeated entries are added up."""
    rows, columns = (int(n) for n in _dense(state.get("_shape", state.get("shape"))))
    data, indices, starts = (_dense(state[key]) for key in ("data", "indices", "indptr"))
    major, minor = (rows, columns) if by_row else (columns, rows)
    if rows <= 0 or columns <= 0 or rows * columns * 8 > SPARSE_LIMIT:
        raise InputError(f"is a sparse matrix of absurd shape ({rows}, {columns})")
    sound = starts.shape == (major + 1,) and data.shape == indices.shape == (len(data),)
    sound = sound and starts.dtype.kind == indices.dtype.kind == "i"
    if not sound or starts[0] != 0 or starts[-1] != len(data) or (starts[1:] < starts[:-1]).any():
        raise InputError("is a broken sparse matrix")
    if len(data) and not 0 <= indices.min() <= indices.max() < minor:
        raise InputError("is a broken sparse matrix")
    full = np.zeros((major, minor))
    np.add.at(full, (np.repeat(np.arange(major), np.diff(starts)), indices), data)
    return full if by_row else full.T
