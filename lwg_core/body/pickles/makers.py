"""What a pickle may name, and what becomes of it: numpy, joblib, Python's own, chumpy, scipy.

A maker turns the arguments of a call into a value, a builder turns what was made and its state into
the result. Everything that is in neither table is refused.
"""

from __future__ import annotations

import math
import re

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ..archive import is_text
from .machine import Machine
from .values import Held, Name, checked_key

MAX_LENGTH = 1 << 30  # of an array along one axis
_DTYPE = re.compile(r"[<>|=]?(?:f[248]|[iu][1248]|b1|[US]\d{1,4})")


def _make_dtype(machine: Machine, name: str, args: tuple) -> Held:
    code = args[0] if args else None
    if isinstance(code, bytes):
        code = code.decode("latin1")
    if not isinstance(code, str) or not _DTYPE.fullmatch(code):
        raise InputError(f"holds an array of type {ascii(code)[:40]}; only plain numbers are read")
    return Held(name, (code,))


def _build_dtype(machine: Machine, made: Held, state: object) -> Held:
    """(version, byte order, subarray, names, fields, size, alignment, flags, ...)."""
    order, *compound = state[1:5] if isinstance(state, tuple) and len(state) >= 5 else (None,)
    if order not in ("<", ">", "|", "=") or any(part is not None for part in compound):
        raise InputError("holds an array of a compound type; only plain numbers are read")
    made.state = order
    return made


def _dtype(held: object) -> np.dtype:
    if not isinstance(held, Held) or held.name != "numpy.dtype":
        raise InputError("holds an array without a type")
    dtype = np.dtype(held.args[0])
    return dtype if held.state is None else dtype.newbyteorder(held.state)


def _array(machine: Machine, shape: object, dtype: object, order: str, data: object) -> NDArray:
    """Every byte must be there before memory is taken; the result is a copy in C order."""
    dtype = _dtype(dtype)
    shape = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    if len(shape) > 8 or not all(type(n) is int and 0 <= n <= MAX_LENGTH for n in shape):
        raise InputError("holds an array of absurd shape")
    if isinstance(data, str):
        data = data.encode("latin1")
    size = math.prod(shape) * dtype.itemsize
    if not isinstance(data, bytes) or len(data) != size:
        raise InputError(f"holds an array that claims {size} bytes but has another number of them")
    machine.spend(size + 64)
    if not size:
        return np.zeros(shape, dtype.newbyteorder("="))
    array = np.frombuffer(data, dtype).reshape(shape, order=order)
    if not is_text(data, dtype):
        raise InputError("holds text that is none")
    return array.astype(dtype.newbyteorder("="), order="C")


def _make_array(machine: Machine, name: str, args: tuple) -> Held:
    if not args or not isinstance(args[0], Name) or args[0].name != "numpy.ndarray":
        raise InputError("holds an array of an unknown kind")
    return Held(name)


def _build_array(machine: Machine, made: Held, state: object) -> NDArray:
    if not isinstance(state, tuple) or len(state) not in (4, 5):
        raise InputError("holds an array in an unknown layout")
    shape, dtype, fortran, data = state[-4:]
    return _array(machine, shape, dtype, "F" if fortran else "C", data)


def _make_array_of_buffer(machine: Machine, name: str, args: tuple) -> NDArray:
    data, dtype, shape, order = args
    return _array(machine, shape, dtype, "F" if order == "F" else "C", data)


def _make_scalar(machine: Machine, name: str, args: tuple) -> object:
    dtype, data = args
    return _array(machine, (), dtype, "C", data)[()]


def _build_joblib_array(machine: Machine, made: Held, state: object) -> NDArray:
    """joblib writes the bytes of an array right behind the record that describes it."""
    dtype, shape = _dtype(state["dtype"]), state["shape"]
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise InputError("holds an array of absurd shape")
    if state.get("numpy_array_alignment_bytes") is not None:
        machine.take(machine.number("<B"))
    data = machine.take(math.prod(shape) * dtype.itemsize)
    return _array(machine, shape, state["dtype"], "F" if state["order"] == "F" else "C", data)


# Python's own


def _make_held(machine: Machine, name: str, args: tuple) -> Held:
    return Held(name, args)


def _make_reconstructed(machine: Machine, name: str, args: tuple) -> object:
    """copy_reg._reconstructor(cls, object, None): how protocols 0 and 1 make an instance."""
    what, base, state = args
    if not isinstance(what, Name) or not isinstance(base, Name) or state is not None:
        raise InputError("makes an object in an unknown way")
    return Held(what.name)


def _make_bytes(machine: Machine, name: str, args: tuple) -> bytes:
    """_codecs.encode(text, "latin1"): how protocol 2 holds bytes."""
    text, codec = args
    if not isinstance(text, str) or codec not in ("latin1", "latin-1"):
        raise InputError("encodes text in an unknown way")
    machine.spend(len(text) + 64)
    return text.encode("latin1")


def _make_plain_bytes(machine: Machine, name: str, args: tuple) -> bytes:
    """bytes(), how old protocols hold empty ones, and bytearray(bytes)."""
    if args and not (len(args) == 1 and isinstance(args[0], bytes)):
        raise InputError("makes bytes in an unknown way")
    return args[0] if args else b""


def _items(machine: Machine, args: tuple) -> list | tuple | set | frozenset:
    items = args[0] if args else ()
    if len(args) > 1 or not isinstance(items, (list, tuple, set, frozenset)):
        raise InputError("makes a collection of something that is none")
    machine.spend(64 * len(items) + 64)
    return items


def _make_list(machine: Machine, name: str, args: tuple) -> list:
    return list(_items(machine, args))


def _make_set(machine: Machine, name: str, args: tuple) -> set | frozenset:
    kind = set if name == "builtins.set" else frozenset
    return kind(map(checked_key, _items(machine, args)))


def _make_dict(machine: Machine, name: str, args: tuple) -> dict:
    pairs = _items(machine, args)
    if not all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs):
        raise InputError("makes a dictionary of something that is none")
    return {checked_key(key): value for key, value in pairs}


def _make_default_dict(machine: Machine, name: str, args: tuple) -> dict:
    return {}  # the items follow; the factory is dropped


def _refuse(machine: Machine, name: str, args: tuple) -> object:
    raise InputError(f"calls {name}, which is not plain data; nothing of the file was run")


def _refuse_torch(machine: Machine, name: str, args: tuple) -> object:
    raise InputError("holds torch tensors; save it with torch.save as .pt, or as numpy arrays")


MAKERS = {
    "numpy.ndarray": _refuse,
    "numpy.dtype": _make_dtype,
    "numpy.core.multiarray._reconstruct": _make_array,
    "numpy.core.multiarray.scalar": _make_scalar,
    "numpy.core.numeric._frombuffer": _make_array_of_buffer,
    "joblib.numpy_pickle.NumpyArrayWrapper": _make_held,
    "builtins.object": _refuse,
    "builtins.bytes": _make_plain_bytes,
    "builtins.bytearray": _make_plain_bytes,
    "builtins.int": _refuse,
    "builtins.float": _refuse,
    "builtins.list": _make_list,
    "builtins.dict": _make_dict,
    "builtins.set": _make_set,
    "builtins.frozenset": _make_set,
    "collections.OrderedDict": _make_dict,
    "collections.defaultdict": _make_default_dict,
    "copy_reg._reconstructor": _make_reconstructed,
    "_codecs.encode": _make_bytes,
    "torch._utils._rebuild_tensor_v2": _refuse_torch,
    "torch.storage._load_from_bytes": _refuse_torch,
    "chumpy.Ch": _make_held,
    "chumpy.ch.Ch": _make_held,
    "chumpy.reordering.Select": _make_held,
    "chumpy.reordering.Reshape": _make_held,
    "scipy.sparse.csc.csc_matrix": _make_held,
    "scipy.sparse.csr.csr_matrix": _make_held,
}
BUILDERS = {
    "numpy.dtype": _build_dtype,
    "numpy.core.multiarray._reconstruct": _build_array,
    "joblib.numpy_pickle.NumpyArrayWrapper": _build_joblib_array,
}
