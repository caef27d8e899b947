"""The restricted pickle reader: everything harmless comes back, nothing is ever run."""

from __future__ import annotations

import builtins
import collections
import functools
import importlib
import io
import operator
import os
import pickle
import subprocess
import sys
import types
import zlib

import numpy as np
import pytest
import scipy.sparse
import torch
from pickled import (
    DTYPE,
    EMPTY_ARRAY,
    F8,
    RECONSTRUCT,
    Call,
    read,
    refused,
)  # fmt: skip

from lwg_core.body.files import load_body_model
from lwg_core.body.pickles.values import Held
from lwg_core.body.safe_pickle import as_array
from lwg_core.errors import InputError


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """A path that the hostile pickles make, if they are run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "canary"


def same(ours: object, theirs: object) -> bool:
    if isinstance(theirs, np.ndarray):
        equal = isinstance(ours, np.ndarray) and np.array_equal(ours, theirs)
        return equal and (ours.dtype, ours.shape) == (theirs.dtype.newbyteorder("="), theirs.shape)
    if isinstance(theirs, dict):
        return list(ours) == list(theirs) and all(same(ours[k], theirs[k]) for k in theirs)
    if isinstance(theirs, (list, tuple)):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(theirs, str) and isinstance(ours, bytes):
        theirs = theirs.encode("latin1")
    return type(ours) is type(theirs) and ours == theirs


def harmless() -> dict:
    rng = np.random.default_rng(0)
    big = rng.random((3, 4))
    return {
        "plain": [None, True, False, 0, -5, 255, 70_000, 10**12, 2**70, 1.5, float("-inf"), "text"],
        "long": "\u00e9" * 5000,
        "unicode": "\u4eba \U0001f483",
        "bytes": [b"", b"abc", b"\xff" * 300, b"\n'\"\\"],
        "nested": ({"a": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)]}, [], {}),
        "sets": [{1, "b"}, frozenset("xy"), set()],
        "array": big,
        "shared": [big, big],
        "fortran": np.asfortranarray(big.astype(np.float32)),
        "strided": np.arange(20).reshape(4, 5)[::2, 1::2],
        "swapped": np.arange(6, dtype=">i4"),
        "kinds": [np.arange(3).astype(kind) for kind in ("f2", "f4", "i1", "u2", "u4", "u8", "?")],
        "names": np.array(["a", "bcd"]),
        "codes": np.array([b"x", b"yz"]),
        "empty": [np.zeros((0, 3)), np.array(3.0)],
        "scalars": [np.float32(1.5), np.int64(-3), np.bool_(True)],
    }


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_what_python_writes_comes_back(tmp_path, protocol):
    held = harmless()
    ours = read(tmp_path, pickle.dumps(held, protocol))
    for name, value in held.items():
        assert same(ours[name], value), name
    if protocol >= 1:
        assert ours["shared"][0] is ours["shared"][1]


@pytest.mark.parametrize("protocol", (0, 2, 4))
def test_dictionaries_of_other_kinds_become_plain(tmp_path, protocol):
    ordered = collections.OrderedDict(a=1, b=[2])
    default = collections.defaultdict(dict, {np.int64(3): {"pose": 4}, (1, "x"): None})
    for value in (ordered, default):
        ours = read(tmp_path, pickle.dumps(value, protocol))
        assert type(ours) is dict and ours == dict(value)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_sparse_matrices_become_arrays(tmp_path, protocol):
    full = np.random.default_rng(0).random((5, 7))
    full[full < 0.6] = 0
    for kind in (scipy.sparse.csc_matrix, scipy.sparse.csr_matrix):
        held = read(tmp_path, pickle.dumps(kind(full), protocol))
        assert isinstance(held, Held) and np.array_equal(as_array(held), full)


def wrapped(array: np.ndarray, aligned: bool, order: str = "C") -> bytes:
    """What joblib writes for an array: a record of it, then its bytes."""

    class NumpyArrayWrapper:
        pass

    NumpyArrayWrapper.__module__ = "joblib.numpy_pickle"
    NumpyArrayWrapper.__qualname__ = "NumpyArrayWrapper"
    record = NumpyArrayWrapper()
    record.__dict__ |= {"subclass": np.ndarray, "shape": array.shape, "order": order,
                        "dtype": array.dtype, "allow_mmap": True}  # fmt: skip
    if aligned:
        record.numpy_array_alignment_bytes = 16
    module = types.ModuleType("joblib.numpy_pickle")
    module.NumpyArrayWrapper = NumpyArrayWrapper
    names = ("joblib", "joblib.numpy_pickle")
    before = {name: sys.modules.get(name) for name in names}
    sys.modules |= {"joblib": types.ModuleType("joblib"), "joblib.numpy_pickle": module}
    try:
        out = io.BytesIO()
        pickler = pickle._Pickler(out, 3)  # protocol 3 has no frames to cut
        pickler.dump(record)
    finally:
        for name, value in before.items():
            sys.modules.pop(name)
            if value is not None:
                sys.modules[name] = value
    start = out.getvalue()[2:-1]  # without the protocol and STOP
    padding = b"\x03\xff\xff\xff" if aligned else b""
    return start + padding + array.tobytes(order)


@pytest.mark.parametrize("aligned", (False, True))
def test_arrays_of_joblib(tmp_path, aligned):
    pose, ids = np.random.default_rng(0).random((4, 72)), np.arange(4)
    for pack in (bytes, zlib.compress):
        data = b"\x80\x03}(X\x04\x00\x00\x00pose" + wrapped(pose, aligned, "F")
        data += b"X\x03\x00\x00\x00ids" + wrapped(ids, aligned) + b"K\x07K\x08u."
        ours = read(tmp_path, pack(data))
        assert same(ours["pose"], pose) and same(ours["ids"], ids) and ours[7] == 8
    refused(tmp_path, data[:-30])


PROTOCOLS = (0, 2, 4)
CALLS = {
    "system": (os.system, "touch canary"),
    "mkdir": (os.mkdir, "canary"),
    "eval": (eval, "open('canary', 'w')"),
    "exec": (exec, "open('canary', 'w')"),
    "open": (open, "canary", "w"),
    "popen": (subprocess.Popen, ["touch", "canary"]),
    "import": (importlib.import_module, "os"),
    "dunder import": (builtins.__import__, "os"),
    "getattr": (getattr, {}, "__class__"),
    "attrgetter": (operator.attrgetter, "system"),
    "partial": (functools.partial, os.mkdir, "canary"),
    "map": (map, os.mkdir, ["canary"]),
    "type": (type, "Evil", (), {}),
    "compile": (compile, "open('canary', 'w')", "", "exec"),
    "numpy load": (np.load, "canary.npy", None, True),
    "numpy fromfile": (np.fromfile, "some.pkl"),
    "numpy save": (np.save, "canary", 1),
    "torch load": (torch.load, "canary"),
    "pickle loads": (pickle.loads, pickle.dumps(Call(os.mkdir, "canary"))),
    "caller": (operator.methodcaller, "system", "touch canary"),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_calls_are_refused_by_name(tmp_path, canary, call, protocol):
    evil = Call(*call)
    name = call[0].__name__
    for value in (evil, [1, {"v_template": (evil,)}], collections.OrderedDict(a=evil)):
        text = refused(tmp_path, pickle.dumps(value, protocol), "nothing of the file was run")
        assert name in text
    (tmp_path / "model.pkl").write_bytes(pickle.dumps({"v_template": evil}, protocol))
    with pytest.raises(InputError, match="model.pkl: refers to"):
        load_body_model(tmp_path / "model.pkl")
    assert not canary.exists() and not list(tmp_path.glob("canary*"))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_calls_inside_what_is_allowed(tmp_path, canary, protocol):
    evil = Call(os.mkdir, "canary")
    refused(tmp_path, pickle.dumps(np.array([evil, None], dtype=object), protocol), "type 'O8'")
    inside = (
        Call(collections.OrderedDict, [("a", evil)]),
        Call(collections.OrderedDict, state={"update": evil}),
        Call(collections.defaultdict, os.getcwd),
        Call(set, [1, evil]),
        {(1, evil): 2},
    )
    for value in inside:
        refused(tmp_path, pickle.dumps(value, protocol), "nothing of the file was run")
    assert not canary.exists()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_of_objects_are_refused(tmp_path, protocol):
    for array in (np.array([print], object), np.array([1, "a"], object), np.array(None, object)):
        refused(tmp_path, pickle.dumps(array, protocol))
    compound = np.zeros(2, [("a", "f4"), ("b", "O")])
    for array in (compound, np.zeros(2, [("a", "f4")]), np.zeros(2, "M8[s]"), np.zeros(2, "c16")):
        refused(tmp_path, pickle.dumps(array, protocol), "plain numbers")


OS_MKDIR = b"cposix\nmkdir\n"
OBJECT = b"c__builtin__\nobject\n"
CHUMPY = b"cchumpy\nCh\n"
PROGRAMS = {
    # every opcode that makes something, with something that is not allowed
    "REDUCE": OS_MKDIR + b"(S'canary'\ntR.",
    "NEWOBJ": b"\x80\x02" + OS_MKDIR + b"(S'canary'\nt\x81.",
    "NEWOBJ_EX": b"\x80\x04" + OS_MKDIR + b"(S'canary'\nt}\x92.",
    "INST": b"(S'canary'\niposix\nmkdir\n.",
    "OBJ": b"(" + OS_MKDIR + b"S'canary'\no.",
    "STACK_GLOBAL": b"\x80\x04\x8c\x05posix\x8c\x05mkdir\x93\x8c\x06canary\x85R.",
    "PERSID": b"Pcanary\n.",
    "BINPERSID": b"S'canary'\nQ.",
    "EXT1": b"\x80\x02\x82\x01.",
    "EXT2": b"\x80\x02\x83\x01\x00.",
    "EXT4": b"\x80\x02\x84\x01\x00\x00\x00.",
    "NEXT_BUFFER": b"\x80\x05\x97.",
    "READONLY_BUFFER": b"\x80\x05\x98.",
    # chains through what is allowed
    "dotted global": b"\x80\x04\x8c\x05numpy\x8c\x11dtype.__init__.__globals__\x93.",
    "dotted module": b"cnumpy.core.multiarray\n_reconstruct.__self__\n.",
    "dunder of an allowed class": b"ccollections\nOrderedDict.__class__\n.",
    "builtins getattr": b"c__builtin__\ngetattr\n(cnumpy\ndtype\nS'__class__'\ntR.",
    "a name that is a number": b"\x80\x04K\x01K\x02\x93.",
    "reconstructor of os": b"ccopy_reg\n_reconstructor\n(" + OS_MKDIR + OBJECT + b"NtR.",
    "reconstructor with a state": b"ccopy_reg\n_reconstructor\n(" + CHUMPY + OBJECT + b"I1\ntR.",
    "default factory": b"ccollections\ndefaultdict\n(" + OS_MKDIR + b"tR.",
    "call of a value": b"S'posix.mkdir'\n(S'canary'\ntR.",
    "call of a held object": CHUMPY + b"(tR(S'canary'\ntR.",
    "call of a plain class": b"c__builtin__\nobject\n(tR.",
    "keyword arguments": b"\x80\x04cchumpy\nCh\n)}S'x'\nI1\ns\x92.",
    "args that are no tuple": CHUMPY + b"]R.",
    # states: BUILD may change nothing but a record
    "state of a class": DTYPE + b"}S'__call__'\n" + OS_MKDIR + b"sb.",
    "state of an allowed class": DTYPE + b"}S'x'\nI1\nsb.",
    "slot state of an allowed class": b"ccollections\nOrderedDict\n(N}S'get'\nI1\nstb.",
    "state of a function": b"ccopy_reg\n_reconstructor\n}S'__code__'\nI1\nsb.",
    "state of a list": b"]}S'append'\nI1\nsb.",
    "state of a dict": b"}}S'get'\nI1\nsb.",
    # memo
    "memo from nowhere": b"g7\n.",
    "memo swaps the function": CHUMPY + b"p0\n0" + OS_MKDIR + b"p0\n0g0\n(S'canary'\ntR.",
    "memo of a mark": b"(p0\n.",
    "memo without a number": b"Nphello\n.",
    # numpy
    "dtype of objects": DTYPE + b"(S'O8'\nI0\nI1\ntR.",
    "dtype with fields": DTYPE + b"(S'f8'\nI0\nI1\ntR(I3\nS'|'\nN(S'a'\nt}I8\nI1\nI0\ntb.",
    "dtype with a subarray": DTYPE + b"(S'f8'\nI0\nI1\ntR(I3\nS'|'\n(S'f8'\nI2\ntNNI8\nI1\nI0\ntb.",
    "array of another kind": RECONSTRUCT + b"(cchumpy\nCh\n(I0\ntS'b'\ntR.",
    "array of objects": EMPTY_ARRAY + b"(I1\n(I1\nt" + DTYPE + b"(S'O8'\ntRI00\n(lNatb.",
    "array too short": EMPTY_ARRAY + b"(I1\n(I2\nt" + F8 + b"I00\nS'12345678'\ntb.",
    "array of a negative length": EMPTY_ARRAY + b"(I1\n(I-1\nt" + F8 + b"I00\nS''\ntb.",
    "array of a true length": EMPTY_ARRAY + b"(I1\n(I01\nt" + F8 + b"I00\nS'12345678'\ntb.",
    "array of a list": EMPTY_ARRAY + b"(I1\n(I1\nt" + F8 + b"I00\n(lI1\natb.",
    "array without a type": EMPTY_ARRAY + b"(I1\n(I1\ntS'f8'\nI00\nS'12345678'\ntb.",
    "array that is its own state": EMPTY_ARRAY + b"2b.",
    "text that is none": b"cnumpy.core.multiarray\nscalar\n(" + DTYPE
    + b"(S'U1'\nI0\nI1\ntRS'\\xff\\xff\\xff\\xff'\ntR.",
    # values that a reader could not walk
    "list in itself": b"]p0\ng0\na.",
    "dict in itself": b"}p0\nS'a'\ng0\ns.",
    "held in itself": CHUMPY + b"(tRp0\ng0\nb.",
    "tuple in itself through a list": b"]p0\n(g0\ntp1\n0g0\ng1\na.",
    "deep list": b"]" * 5000 + b"a" * 4999 + b".",
    "deep tuple": b")" + b"\x85" * 50_000 + b".",
    "deep tuple as a key": b"})" + b"\x85" * 50_000 + b"Ns.",
    "billion laughs": b"(I1\nl" + b"".join(
        b"p%d\n0(" % i + b"g%d\n" % i * 10 + b"l" for i in range(20)) + b".",
    "list as a key": b"}]Ns.",
    "enormous key": b"}\x8a\x10" + b"\xff" * 15 + b"\x7fNs.",
    # what is not even a pickle
    "nothing": b"",
    "no stop": b"N",
    "stop of nothing": b".",
    "mark left open": b"(.",
    "tuple of nothing": b"t.",
    "text": b"Traceback (most recent call last):\n",
    "broken text": b"S'abc\n.",
    "odd pairs": b"(I1\nI2\nI3\nd.",
    "append to a dict": b"}I1\na.",
    "unknown opcode": b"\xff.",
    "protocol 9": b"\x80\x09\xfe.",
    "long number": b"I" + b"9" * 100_000 + b"\n.",
    "long number of another kind": b"L" + b"9" * 100_000 + b"L\n.",
    "number with a negative length": b"\x8b\xff\xff\xff\xff.",
    "text with a negative length": b"T\xff\xff\xff\xffabc.",
}  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_programs(tmp_path, canary, program):
    before = dict(np.dtype.__dict__)
    refused(tmp_path, program)
    assert not canary.exists()
    assert dict(np.dtype.__dict__) == before


def test_states_are_only_recorded(tmp_path, canary):
    """What a chumpy object is given as its state changes nothing else."""
    state = b"}(S'__class__'\nS'x'\nS'__dict__'\n}S'x'\nI5\nS'__reduce__'\nNu"
    held = read(tmp_path, b"cchumpy.ch\nCh\n(I1\ntR" + state + b"b.")
    assert type(held) is Held and held.name == "chumpy.ch.Ch" and held.args == (1,)
    assert held.state == {"__class__": "x", "__dict__": {}, "x": 5, "__reduce__": None}
    assert as_array(held) == 5
    for unfinished in (b"cchumpy.ch\nCh\n(tR.", EMPTY_ARRAY + b".", DTYPE + b"(S'f8'\ntR."):
        held = read(tmp_path, unfinished)
        assert type(held) is Held and held.state is None
        with pytest.raises(InputError, match="no array"):
            as_array(held)


def test_what_follows_the_end_is_not_read(tmp_path, canary):
    assert read(tmp_path, b"I5\n." + PROGRAMS["REDUCE"]) == 5
    assert not canary.exists()
