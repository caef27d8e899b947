"""The stack machine that pickles are programs for.

The usual reader lets that program import and call whatever it likes. This machine has nothing to
import with: a global is a mere name, looked up in a table of makers that the caller gives, and an
instance is a ``Held``, a record of what the file says about it. No class that a file names is ever
made or asked.

All of it is bounded: opcodes and the bytes that makers produce draw on one budget (``spend``), and
the finished value is limited in depth and total size; a value that contains itself is refused.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

from ...errors import InputError
from .values import Held, Name, check_tree, checked_key

STEP = 64  # bytes: about what an opcode can make Python hold

# An opcode's work on the machine.
Operation = Callable[["Machine"], object]
# A maker gets the machine, the name it was found under and the arguments of the call.
Maker = Callable[["Machine", str, tuple], object]
# A builder gets the machine, the object that its maker made and the state; it returns the result.
Builder = Callable[["Machine", Held, object], object]


class Machine:
    """Runs the pickle that ``data`` starts with.

    operations: what each opcode does. makers: what may be referred to, by "module.name".
    builders: what takes a state besides being recorded. budget: bytes that all of it may take.
    """

    def __init__(
        self,
        data: bytes,
        operations: Mapping[int, Operation],
        makers: Mapping[str, Maker],
        builders: Mapping[str, Builder],
        budget: int,
    ) -> None:
        self.data = data
        self.at = 0
        self.operations = operations
        self.makers = makers
        self.builders = builders
        self.budget = budget
        self.stack: list = []
        self.marks: list[list] = []
        self.memo: dict[int, object] = {}

    def run(self) -> object:
        while True:
            self.spend(STEP)
            code = self.data[self.at]
            self.at += 1
            if code == 0x2E:  # STOP
                value = self.stack.pop()
                check_tree(value)
                return value
            operation = self.operations.get(code)
            if operation is None:
                raise InputError(f"uses the pickle opcode {code:#04x}, which is not plain data")
            operation(self)

    def spend(self, count: int) -> None:
        self.budget -= count
        if self.budget < 0:
            raise InputError("takes more memory than it may")

    def take(self, count: int) -> bytes:
        end = self.at + count
        if count < 0 or end > len(self.data):
            raise InputError("ends too early: it claims more bytes than it has")
        chunk = self.data[self.at : end]
        self.at = end
        return chunk

    def number(self, form: str) -> int:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> bytes:
        end = self.data.index(b"\n", self.at)
        chunk = self.data[self.at : end]
        self.at = end + 1
        return chunk

    def pop_mark(self) -> list:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def refer(self, module: str, name: str) -> None:
        full = f"{module}.{name}"
        for new, old in _RENAMED:
            if full.startswith(new):
                full = old + full[len(new) :]
                break
        if full not in self.makers:
            raise InputError(
                f"refers to {ascii(f'{module}.{name}')[1:-1][:100]}, which is not plain data; "
                "nothing of the file was run"
            )
        self.stack.append(Name(full))

    def make(self, what: object, args: object) -> None:
        if not isinstance(what, Name) or not isinstance(args, tuple):
            raise InputError("calls something that is no class")
        self.stack.append(self.makers[what.name](self, what.name, args))

    def remember(self, key: int) -> None:
        value = self.stack[-1]
        self.memo[key] = value
        if isinstance(value, Held):
            value.memo_keys.append(key)

    def build(self) -> None:
        state, made = self.stack.pop(), self.stack.pop()
        if not isinstance(made, Held):
            raise InputError("gives a state to something that takes none")
        if made.name in self.builders:
            result = self.builders[made.name](self, made, state)
            for key in made.memo_keys:
                if self.memo.get(key) is made:
                    self.memo[key] = result
        else:
            made.state = state
            result = made
        self.stack.append(result)

    def push(self, value: object) -> None:
        self.stack.append(value)

    def append(self, items: list) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise InputError("appends to something that is no list")
        target.extend(items)

    def add(self, items: list) -> None:
        target = self.stack[-1]
        if type(target) is not set:
            raise InputError("adds to something that is no set")
        target.update(map(checked_key, items))

    def put(self, items: list) -> None:
        target = self.stack[-1]
        if type(target) is not dict or len(items) % 2:
            raise InputError("sets items of something that is no dictionary")
        target.update(zip(map(checked_key, items[::2]), items[1::2], strict=True))


# Newer names of modules, and the ones that the table uses.
_RENAMED = (
    ("numpy._core.", "numpy.core."),
    ("__builtin__.", "builtins."),
    ("copyreg.", "copy_reg."),
    ("scipy.sparse._csc.", "scipy.sparse.csc."),
    ("scipy.sparse._csr.", "scipy.sparse.csr."),
)
