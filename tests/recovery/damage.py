"""Sound inputs damaged at random: values replaced, bytes flipped, archives cut."""

from __future__ import annotations

import copy
import io
import random
import struct
import zipfile

import numpy as np

NUMBERS = (0, -1, 1, 0.5, 3, 255, 2**31, -(2**31), 2**53, 2**63, 2**64, -(2**63), 2**200, 1e308,
           -1e308, 1e-320, 1e9, float("nan"), float("inf"), float("-inf"))  # fmt: skip
VALUES = (*NUMBERS, None, True, False, "", "1", "nan", "neutral", "\ud800", [], {}, [[]], [1, [2]],
          [None], ["a", 1], {"a": 1}, [0] * 54, [1.0] * 75, [[0, 0, 0]] * 18)  # fmt: skip
ARRAYS = (
    np.zeros(0), np.zeros((0, 24, 3)), np.zeros((3, 0)), np.array(1.0), np.array(float("nan")),
    np.array([float("inf")] * 3), np.array("text"), np.array([b"bytes"]), np.array(True),
    np.zeros((1, 1, 1, 1, 1, 1)), np.float16(7), np.int64(-5), np.arange(72), np.zeros((2, 72)),
    np.zeros((2, 24, 3, 3)), np.eye(3), np.zeros((2, 165)), np.array([2**63], np.uint64),
    np.array([2**62, -(2**62)]), np.full((2, 24, 3), 1e300), np.full((40, 3), 1e38),
    np.zeros((2, 3), np.uint8), np.arange(2, dtype=">f8"),
)  # fmt: skip


def damaged_array(rng: random.Random, array: np.ndarray) -> object:
    array = np.array(array)
    how = rng.randrange(9)
    if how == 0 and array.size and array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            array.flat[rng.randrange(array.size)] = rng.choice([n for n in NUMBERS if n < 2**63])
    elif how == 1 and array.size and array.dtype.kind in "iu":
        array.flat[rng.randrange(array.size)] = rng.choice((0, 1, 23, 39, 40, 127))
    elif how == 2:
        return array[:-1] if array.ndim else array[None]
    elif how == 3:
        return array[None] if rng.random() < 0.5 else array.T
    elif how == 4:
        kind = rng.choice(("f2", "f4", "f8", "i1", "u2", "i8", "u8", "?", "U4", "S3", ">f4", "c8"))
        with np.errstate(all="ignore"):
            return array.astype(kind) if array.dtype.kind in "fiub" else array
    elif how == 5:
        return array.ravel()
    elif how == 6:
        return np.repeat(array, 2, rng.randrange(array.ndim)) if array.ndim else array
    elif how == 7 and array.dtype.kind == "f":
        return array * rng.choice((0.0, -1.0, 1e-30, 1e5, 1e30, float("nan")))
    else:
        return rng.choice(ARRAYS)
    return array


def places(value: object, path: tuple = ()) -> list[tuple]:
    """Paths to everything inside a value."""
    inside = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        inside = list(enumerate(value))[:40]
    return [path] * bool(path) + [p for key, item in inside for p in places(item, (*path, key))]


def damaged(rng: random.Random, value: object, pool: tuple) -> object:
    """The value with one to three things in it replaced, removed, renamed or repeated."""
    value = copy.deepcopy(value)
    for _ in range(rng.randint(1, 3)):
        found = places(value)
        if not found:
            break
        *above, key = rng.choice(found)
        holder = value
        for step in above:
            holder = holder[step]
        how = rng.randrange(6)
        if isinstance(holder[key], np.ndarray) and how:
            holder[key] = damaged_array(rng, holder[key])
        elif how == 1:
            del holder[key]
        elif how == 2 and isinstance(holder, list):
            holder[key:key] = [holder[key]] * rng.choice((1, 5, 100))
        elif how == 3 and isinstance(holder, dict):
            other = rng.choice(list(holder))
            holder[key], holder[other] = holder[other], holder[key]
        else:
            holder[key] = copy.deepcopy(rng.choice(pool))
    return value


HOSTILE = (
    b"cposix\nmkdir\n(S'canary'\ntR",
    b"\x8c\x05posix\x8c\x06system\x93\x8c\x0ctouch canary\x85R",
    b"c__builtin__\neval\n(S'1'\ntR",
    b"\x8e" + struct.pack("<Q", 1 << 45),
    b"\x8a\xff",
    b"]" * 500,
    b"2" * 30 + b"(l" * 30,
)


def damaged_bytes(
    rng: random.Random, data: bytes, hostile: tuple = (b"\0" * 9, b"9" * 99)
) -> bytes:
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(len(data) + 1)
        size = rng.choice((1, 1, 2, 4, 16, 200))
        how = rng.randrange(7)
        if how == 0:
            data[at : at + size] = bytes(rng.randrange(256) for _ in range(size))
        elif how == 1 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif how == 2:
            del data[at : at + size]
        elif how == 3 and rng.random() < 0.4:
            del data[at:]
        elif how == 4:
            other = rng.randrange(len(data) + 1)
            data[at:at] = data[other : other + size]
        elif how == 5:
            data[at:at] = rng.choice(hostile)
        else:
            data[at : at + size] = rng.choice((b"\xff", b"\0", b"-", b".", b"(", b"1e999")) * size
    return bytes(data)


def damaged_members(rng: random.Random, arrays: dict[str, np.ndarray]) -> bytes:
    """An .npz whose arrays are damaged as bytes, with checksums that fit, or itself damaged."""
    out = io.BytesIO()
    broken = rng.choice(list(arrays))
    with zipfile.ZipFile(out, "w") as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
            data = member.getvalue()
            if name == broken and rng.random() < 0.7:
                head = damaged_bytes(rng, data[:128])
                data = head + data[128:] if rng.random() < 0.7 else damaged_bytes(rng, data)
            archive.writestr(f"{name}.npy", data)
    whole = out.getvalue()
    return whole if rng.random() < 0.7 else damaged_bytes(rng, whole)


def npz(values: dict) -> bytes:
    """Lists and the like become arrays as numpy makes them; objects are pickled inside."""
    arrays = {}
    for name, value in values.items():
        try:
            arrays[str(name)] = np.asanyarray(value)
        except ValueError:  # ragged
            arrays[str(name)] = np.array([value, None], dtype=object)[:1]
    out = io.BytesIO()
    np.savez(out, **{name.encode("ascii", "replace").decode(): a for name, a in arrays.items()})
    return out.getvalue()


# What is read
