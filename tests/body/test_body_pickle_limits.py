"""Pickles that claim, multiply or unpack to more than there is get no memory."""

from __future__ import annotations

import os
import pickle
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
import torch
from pickled import (
    DTYPE,
    EMPTY_ARRAY,
    F8,
    Call,
    read,
    refused,
)  # fmt: skip

from lwg_core.body.pickles.values import Held
from lwg_core.body.safe_pickle import SELECT_LIMIT, as_array, read_pickle
from lwg_core.errors import InputError

CLAIMS = {
    "bytes": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"abc.",
    "text": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 62) + b"abc.",
    "short text": b"X" + struct.pack("<I", 0xFFFFFFF0) + b"abc.",
    "bytearray": b"\x80\x05\x96" + struct.pack("<Q", 1 << 50) + b"abc.",
    "number": b"\x8b" + struct.pack("<i", 0x7FFFFFFF) + b"abc.",
    "frame": b"\x80\x04\x95" + struct.pack("<Q", 1 << 60) + b"N",
    "array": EMPTY_ARRAY + b"(I1\n(I1099511627776\nt" + F8 + b"I00\nS'12345678'\ntb.",
    "empty array": EMPTY_ARRAY + b"(I1\n(I0\nI99999999999999\nt" + F8 + b"I00\nS''\ntb.",
    "many dimensions": EMPTY_ARRAY
    + b"(I1\n("
    + b"I1\n" * 40
    + b"t"
    + F8
    + b"I00\nS'12345678'\ntb.",
    "long text type": EMPTY_ARRAY + b"(I1\n(I1\nt" + DTYPE + b"(S'U999999999'\ntRI00\nS''\ntb.",
    "memo number": b"Nr\xff\xff\xff\xff.",
}


@pytest.mark.parametrize("name", CLAIMS)
def test_claims_get_no_memory(tmp_path, name):
    (tmp_path / "some.pkl").write_bytes(CLAIMS[name])
    tracemalloc.start()
    try:
        if name == "memo number":
            assert read_pickle(tmp_path / "some.pkl") is None
        else:
            with pytest.raises(InputError):
                read_pickle(tmp_path / "some.pkl")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_sparse_claims_and_lies_get_no_memory():
    def sparse(shape, data, indices, starts, name="scipy.sparse.csc.csc_matrix"):
        held = Held(name)
        held.state = {"_shape": shape, "data": np.array(data), "indices": np.array(indices),
                      "indptr": np.array(starts)}  # fmt: skip
        return held

    assert as_array(sparse((2, 2), [5.0], [1], [0, 0, 1])).tolist() == [[0, 0], [0, 5]]
    lies = (
        ((1 << 20, 1 << 20), [5.0], [1], [0, 0, 1]),
        ((2, -2), [5.0], [1], [0, 0, 1]),
        ((2, 2), [5.0], [2], [0, 0, 1]),
        ((2, 2), [5.0], [-1], [0, 0, 1]),
        ((2, 2), [5.0], [1], [0, 1]),
        ((2, 2), [5.0], [1], [0, 0, 2]),
        ((2, 2), [5.0], [1], [0, 1 << 62, 1]),
        ((2, 2), [5.0], [1], [-1, 0, 1]),
        ((2, 2), [5.0, 6.0], [1], [0, 0, 1]),
        ((2, 2), [5.0], [1.0], [0, 0, 1]),
        ((2, 2), ["a"], [1], [0, 0, 1]),
        ((2,), [5.0], [1], [0, 0, 1]),
        (None, [5.0], [1], [0, 0, 1]),
    )
    for lie in lies:
        with pytest.raises(InputError):
            as_array(sparse(*lie))


def test_budget_covers_steps_and_repeated_arrays(tmp_path):
    """Small files that multiply: copies of one array, sets of one list, and endless opcodes."""
    (tmp_path / "some.pkl").write_bytes(b"\x8f" * 20_000 + b".")
    with pytest.raises(InputError, match="memory"):
        read_pickle(tmp_path / "some.pkl", limit=1 << 21)
    raw = b"\x80\x02T" + struct.pack("<I", 80_000) + b"\0" * 80_000 + b"q\x000"
    array = EMPTY_ARRAY + b"(I1\n(I10000\nt" + F8 + b"I00\nh\x00tb"
    (tmp_path / "some.pkl").write_bytes(raw + b"(" + array * 10 + b"t.")
    assert len(read_pickle(tmp_path / "some.pkl", limit=1 << 21)) == 10
    (tmp_path / "some.pkl").write_bytes(raw + b"(" + array * 50 + b"t.")
    with pytest.raises(InputError, match="memory"):
        read_pickle(tmp_path / "some.pkl", limit=1 << 21)
    ones = b"(" + b"I1\n" * 1000 + b"lp0\n0"
    one_set = b"c__builtin__\nset\n(g0\ntR"
    (tmp_path / "some.pkl").write_bytes(ones + b"(" + one_set * 100 + b"l.")
    with pytest.raises(InputError, match="memory"):
        read_pickle(tmp_path / "some.pkl", limit=1 << 22)


def test_large_and_packed_files(tmp_path, monkeypatch):
    (tmp_path / "large.pkl").write_bytes(b"\0" * 2000)
    with pytest.raises(InputError, match="larger than"):
        read_pickle(tmp_path / "large.pkl", limit=1000)
    monkeypatch.setattr("lwg_core.body.safe_pickle.UNPACKED", 1 << 16)
    bomb = zlib.compress(pickle.dumps(b"\0" * (1 << 20)))
    assert len(bomb) < 1 << 12
    refused(tmp_path, bomb, "unpacks to more")
    assert read(tmp_path, zlib.compress(pickle.dumps([1, 2]))) == [1, 2]
    refused(tmp_path, zlib.compress(pickle.dumps(list(range(1000))))[:-20], "ends too early")
    refused(tmp_path, b"\x78\x9c\xff\xff\xff\xff", "broken")
    refused(tmp_path, zlib.compress(pickle.dumps(Call(os.mkdir, "x"))), "mkdir")
    torch.save({"a": torch.zeros(2)}, tmp_path / "some.pkl")
    refused(tmp_path, (tmp_path / "some.pkl").read_bytes(), "name it .pt or .npz")
    refused(tmp_path, pickle.dumps({"pose": torch.zeros(3)}), "torch tensors")
    for magic in (b"BZh9", b"\xfd7zXZ\0", b"\x04\x22M\x18", b"]\0\0", b"ZF0x"):
        refused(tmp_path, magic + b"abc", "save it")


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_pickle(tmp_path / "none.pkl")
    with pytest.raises(InputError, match="cannot be read"):
        read_pickle(tmp_path)


def test_selections_that_grow_get_no_memory():
    """A chumpy selection of one long text a million times over would be 40 GB."""
    for whole in (np.array(["a" * 9999]), np.zeros(1)):
        held = Held("chumpy.reordering.Select")
        count = (SELECT_LIMIT // whole.itemsize) + 1
        held.state = {"a": whole, "idxs": np.broadcast_to(np.uint8(0), count)}
        with pytest.raises(InputError, match="selects more than 256 MB"):
            as_array(held)
        held.state["idxs"] = np.zeros(3, int)
        assert len(as_array(held)) == 3
