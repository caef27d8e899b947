"""Numbers of strangers' files: checked, in float64, before anything is computed with them.

Readers raise sentences without the file's name; ``load_motion_file`` puts it in front.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...body.rotations import matrix_to_axis_angle
from ...errors import InputError

MAX_NUMBERS = 1 << 26  # of one array that is read; an hour of poses takes a tenth of it
NOT_ORTHOGONAL = 0.02  # largest entry of R^T R - 1 that still counts as a rotation


def numbers(value: object, what: str) -> Tensor:
    """A finite float64 tensor of an array, tensor or nested lists of numbers."""
    if isinstance(value, Tensor):
        if value.is_complex() or value.dtype is torch.bool or value.layout is not torch.strided:
            raise InputError(f"{what} must hold numbers; it is a tensor of {value.dtype}")
        if value.is_quantized or value.device.type != "cpu":
            raise InputError(f"{what} must be a plain tensor on the CPU; it is {value.dtype}")
        count = value.numel()
    else:
        value = _array(value, what)
        count = value.size
    if count > MAX_NUMBERS:
        raise InputError(f"{what} claims {count} numbers; at most {MAX_NUMBERS} are read")
    tensor = value.detach() if isinstance(value, Tensor) else torch.from_numpy(_writable(value))
    tensor = tensor.to(torch.float64)
    finite = torch.isfinite(tensor)
    if not finite.all():
        rows = finite.flatten(1).all(1) if tensor.ndim > 1 else finite.reshape(-1)
        bad = (~rows).nonzero().flatten()[:10].tolist()
        raise InputError(f"{what} holds NaN or infinite values in rows {bad}")
    return tensor


def _array(value: object, what: str) -> np.ndarray:
    try:
        array = np.asarray(value) if isinstance(value, (np.ndarray, np.generic)) else None
        if array is None:
            if not isinstance(value, (list, tuple, int, float)):
                raise InputError(f"{what} must hold numbers; it is {_kind(value)}")
            array = np.array(value, np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{what} must hold numbers in rows of one length") from error
    if array.dtype.kind not in "fiu":
        raise InputError(f"{what} must hold numbers; it is of type {array.dtype}")
    return array


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"


def _writable(array: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # NaN is looked for afterwards
        return np.array(array, np.float64, order="C")


def rows(value: object, what: str, width: int, frames: int | None = None) -> Tensor:
    """(T, width) of anything with T rows of ``width`` numbers; ``frames`` = the T it must have."""
    tensor = numbers(value, what)
    count = frames if frames is not None else (len(tensor) if tensor.ndim > 1 else 1)
    if tensor.numel() != count * width or count < 1:
        wanted = "T" if frames is None else frames
        raise InputError(f"{what} must be ({wanted}, {width}); it is {tuple(tensor.shape)}")
    return tensor.reshape(count, width)


def rotations(value: object, what: str, joints: tuple[int, ...]) -> Tensor:
    """Axis-angle (T, n, 3) of axis-angle (T, 3n) or (T, n, 3), or matrices (T, n, 3, 3) or
    (T, 3, 3). ``joints``: the values of n that are right."""
    tensor = numbers(value, what)
    matrices = tensor.ndim >= 3 and tensor.shape[-2:] == (3, 3)
    width = 9 if matrices else 3
    flat = tensor.reshape(len(tensor), -1) if tensor.ndim >= 2 and tensor.numel() else None
    if flat is None or flat.shape[1] % width or flat.shape[1] // width not in joints:
        wanted = " or ".join(str(3 * n) for n in joints)
        raise InputError(
            f"{what} must be (T, {wanted}) axis-angle or as many rotation matrices; "
            f"it is {tuple(tensor.shape)}"
        )
    if not matrices:
        return flat.unflatten(1, (-1, 3))
    return matrix_to_axis_angle(checked_rotations(flat.unflatten(1, (-1, 3, 3)), what))


def checked_rotations(matrices: Tensor, what: str) -> Tensor:
    """``matrices`` (..., 3, 3) if they are rotations."""
    eye = torch.eye(3, dtype=matrices.dtype)
    error = (matrices.mT @ matrices - eye).abs().max()
    if error > NOT_ORTHOGONAL or (torch.linalg.det(matrices) < 0).any():
        raise InputError(f"{what} must hold rotation matrices; these are none")
    return matrices


def scalar(value: object, what: str) -> float:
    tensor = numbers(value, what)
    if tensor.numel() != 1:
        raise InputError(f"{what} must be one number; it is {tuple(tensor.shape)}")
    return tensor.item()


def first(data: dict, *names: str) -> object:
    """The value of the first of ``names`` that ``data`` has, or None."""
    return next((data[name] for name in names if name in data), None)
