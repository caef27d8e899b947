"""The door: what other packs put into their dictionaries -> checked float32 tensors on the CPU."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from ...errors import InputError

LARGEST = 200_000_000  # numbers: an hour of one person's surface is less
LONGEST = 100_000  # frames


def to_tensor(
    value: object, name: str, shapes: tuple[tuple[int | None, ...], ...] | None, expected: str = ""
) -> Tensor:
    """A float32 CPU tensor of one of the shapes (None = any length above zero) or an InputError.

    Tensors of any device, numpy arrays and nested lists of numbers pass; NaN passes too.
    shapes: None = any. expected: the shapes in words.
    """
    if shapes is None:
        expected = "numbers"
    elif not expected:
        words = ("(" + ", ".join("n" if n is None else str(n) for n in s) + ")" for s in shapes)
        expected = "numbers " + " or ".join(words)
    if isinstance(value, Tensor):
        if value.is_complex() or value.is_quantized or value.layout != torch.strided:
            raise InputError(f"{name} must be {expected}; got {value.dtype}")
    elif isinstance(value, np.ndarray | list | tuple | Real):
        value = _from_numpy(value, name, expected)
    else:
        raise InputError(f"{name} must be {expected}; got {type(value).__name__}")
    if shapes is not None and not any(_fits(value.shape, shape) for shape in shapes):
        raise InputError(f"{name} must be {expected}; got {_words(value.shape)}")
    if value.numel() > LARGEST:
        raise InputError(f"{name} holds {value.numel():,} numbers; at most {LARGEST:,} make sense")
    return value.detach().to("cpu", torch.float32)


def _from_numpy(value: object, name: str, expected: str) -> Tensor:
    if not isinstance(value, np.ndarray):
        if _is_long(value):
            raise InputError(f"{name} must be {expected}; got a list of {len(value):,} entries")
        try:
            value = np.asarray(value)
        except (ValueError, TypeError, OverflowError, RecursionError):
            raise InputError(f"{name} must be {expected}; got a ragged list") from None
    if value.dtype.kind not in "fiub":
        raise InputError(f"{name} must be {expected}; got an array of {value.dtype}")
    if value.size > LARGEST:
        raise InputError(f"{name} holds {value.size:,} numbers; at most {LARGEST:,} make sense")
    return torch.from_numpy(np.require(value, np.float32, ("C", "W")))


def _is_long(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) > LARGEST // 3


def _fits(found: torch.Size, shape: tuple[int | None, ...]) -> bool:
    return len(found) == len(shape) and all(
        f == n if n is not None else f > 0 for f, n in zip(found, shape, strict=True)
    )


def _words(shape: torch.Size) -> str:
    return str(tuple(shape)) if len(shape) else "one number"


def to_number(value: object, name: str) -> float:
    """One finite number out of a number or an array that holds one."""
    number = to_tensor(value, name, ((), (1,), (1, 1)))
    result = float(number)
    if not math.isfinite(result):
        raise InputError(f"{name} must be a finite number; got {result}")
    return result


def image_size(value: object, name: str) -> tuple[int, int]:
    """(height, width) in pixels."""
    size = to_tensor(value, name, ((2,),))
    if not bool(((size >= 1) & (size <= 1e5)).all()):
        raise InputError(f"{name} must be (height, width) in pixels; got {size.tolist()}")
    return int(size[0]), int(size[1])


def need_mapping(value: object, name: str, right: str) -> Mapping:
    if not isinstance(value, Mapping):
        raise InputError(f"{name} must be {right}; got {type(value).__name__}")
    return value


def frame_rate(value: object, name: str) -> float:
    rate = to_number(value, name)
    if not 0.1 <= rate <= 1000:
        raise InputError(f"{name} must be 0.1 to 1000 frames per second; got {rate:g}")
    return rate


def link(found: list[Tensor], gate: float) -> Tensor:
    """Persons followed from frame to frame by the nearest place: (N, T) their index, -1 = missing.

    found: per frame (P, D) places. gate: a person does not jump farther than this.
    """
    rows: list[list[int]] = []
    last = found[0].new_zeros(0, found[0].shape[1])
    for frame, places in enumerate(found):
        taken: set[int] = set()
        if len(last) and len(places):
            apart = torch.cdist(last, places)
            # At the gate it costs the same to leave both alone: nobody moves to suit a stranger.
            cost = apart.clamp(max=gate).numpy()
            for row, column in zip(*linear_sum_assignment(cost), strict=True):
                if apart[row, column] <= gate:
                    rows[row][frame] = int(column)
                    last[row] = places[column]
                    taken.add(int(column))
        fresh = [i for i in range(len(places)) if i not in taken]
        for index in fresh:
            rows.append([-1] * len(found))
            rows[-1][frame] = index
        last = torch.cat([last, places[fresh]])
    return torch.tensor(rows, dtype=torch.int64).reshape(len(rows), len(found))
