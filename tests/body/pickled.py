"""Pickles for the restricted reader: hostile calls, and the opcodes of arrays."""

from __future__ import annotations

import pytest

from lwg_core.body.safe_pickle import read_pickle
from lwg_core.errors import InputError

DTYPE = b"cnumpy\ndtype\n"
RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
F8 = DTYPE + b"(S'f8'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb"
EMPTY_ARRAY = RECONSTRUCT + b"(cnumpy\nndarray\n(I0\ntS'b'\ntR"


def read(tmp_path, data: bytes) -> object:
    (tmp_path / "some.pkl").write_bytes(data)
    return read_pickle(tmp_path / "some.pkl")


def refused(tmp_path, data: bytes, words: str | None = None) -> str:
    with pytest.raises(InputError, match=words) as caught:
        read(tmp_path, data)
    text = str(caught.value)
    assert text.startswith("some.pkl: ") and "\n" not in text and len(text) < 300
    return text


class Call:
    """Pickles as the call of ``function`` with ``args``."""

    def __init__(self, function, *args, state=None):
        self.parts = (function, args) if state is None else (function, args, state)

    def __reduce__(self):
        return self.parts
