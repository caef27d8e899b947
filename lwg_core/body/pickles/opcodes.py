"""The opcodes of all pickle protocols, 0 to 5, but for those that reach outside the file."""

from __future__ import annotations

import codecs

from ...errors import InputError
from .machine import STEP, Machine, Operation
from .values import checked_key

LONG_TEXT = 4096  # Python 2 has one type for text and bytes: longer than this, it stays bytes
MAX_DIGITS = 100


def _native(raw: bytes) -> str | bytes:
    """A Python 2 string."""
    return raw if len(raw) > LONG_TEXT else raw.decode("latin1")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _whole(raw: bytes) -> int:
    if len(raw) > 64:
        raise InputError("holds a whole number of absurd size")
    return int.from_bytes(raw, "little", signed=True)


def _decimal(line: bytes) -> int:
    if len(line) > MAX_DIGITS:
        raise InputError("holds a whole number of absurd size")
    return int(line.rstrip(b"L"))


def _protocol_0_int(m: Machine) -> None:
    line = m.line()
    m.push({b"00": False, b"01": True}[line] if line in (b"00", b"01") else _decimal(line))


def _protocol_0_string(m: Machine) -> None:
    line = m.line().rstrip()
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in b"'\"":
        raise InputError("holds a broken text")
    m.push(_native(codecs.escape_decode(line[1:-1])[0]))


def _frame(m: Machine) -> None:
    m.at += 8  # frames only help readers that read ahead


def _mark(m: Machine) -> None:
    m.marks.append(m.stack)
    m.stack = []


def _pop(m: Machine) -> None:
    if m.stack:
        m.stack.pop()
    else:
        m.pop_mark()


def _tuple(count: int) -> Operation:
    def operation(m: Machine) -> None:
        items = tuple(m.stack.pop() for _ in range(count))[::-1]
        m.push(items)

    return operation


def _empty_set(m: Machine) -> None:
    m.spend(3 * STEP)
    m.push(set())


def _pairs(m: Machine) -> None:
    items = m.pop_mark()
    m.push({})
    m.put(items)


def _set_item(m: Machine) -> None:
    value, key = m.stack.pop(), m.stack.pop()
    m.put([key, value])


def _stack_global(m: Machine) -> None:
    name, module = m.stack.pop(), m.stack.pop()
    if not isinstance(name, str) or not isinstance(module, str):
        raise InputError("refers to something without a name")
    m.refer(module, name)


def _instance(m: Machine) -> None:
    module, name = _text(m.line()), _text(m.line())
    args = tuple(m.pop_mark())
    m.refer(module, name)
    m.make(m.stack.pop(), args)


def _object(m: Machine) -> None:
    what, *args = m.pop_mark()
    m.make(what, tuple(args))


def _reduce(m: Machine) -> None:
    args, what = m.stack.pop(), m.stack.pop()
    m.make(what, args)


def _new_with_keywords(m: Machine) -> None:
    keywords, args, what = m.stack.pop(), m.stack.pop(), m.stack.pop()
    if keywords != {}:
        raise InputError("makes an object with keyword arguments")
    m.make(what, args)


OPERATIONS: dict[int, Operation] = {
    ord(code) if isinstance(code, str) else code: operation
    for code, operation in {
        0x80: lambda m: m.take(1),  # protocol
        0x95: _frame,
        "(": _mark,
        "0": _pop,
        "1": lambda m: m.pop_mark(),
        "2": lambda m: m.push(m.stack[-1]),
        # numbers
        "N": lambda m: m.push(None),
        0x88: lambda m: m.push(True),
        0x89: lambda m: m.push(False),
        "I": _protocol_0_int,
        "L": lambda m: m.push(_decimal(m.line())),
        "F": lambda m: m.push(float(m.line())),
        "J": lambda m: m.push(m.number("<i")),
        "K": lambda m: m.push(m.number("<B")),
        "M": lambda m: m.push(m.number("<H")),
        0x8A: lambda m: m.push(_whole(m.take(m.number("<B")))),
        0x8B: lambda m: m.push(_whole(m.take(m.number("<i")))),
        "G": lambda m: m.push(m.number(">d")),
        # text and bytes
        "S": _protocol_0_string,
        "T": lambda m: m.push(_native(m.take(m.number("<i")))),
        "U": lambda m: m.push(_native(m.take(m.number("<B")))),
        "V": lambda m: m.push(m.line().decode("raw-unicode-escape")),
        "X": lambda m: m.push(_text(m.take(m.number("<I")))),
        0x8C: lambda m: m.push(_text(m.take(m.number("<B")))),
        0x8D: lambda m: m.push(_text(m.take(m.number("<Q")))),
        "C": lambda m: m.push(m.take(m.number("<B"))),
        "B": lambda m: m.push(m.take(m.number("<I"))),
        0x8E: lambda m: m.push(m.take(m.number("<Q"))),
        0x96: lambda m: m.push(m.take(m.number("<Q"))),  # a bytearray
        # containers
        "]": lambda m: m.push([]),
        "}": lambda m: m.push({}),
        ")": lambda m: m.push(()),
        0x8F: _empty_set,
        "l": lambda m: m.push(m.pop_mark()),
        "d": _pairs,
        "t": lambda m: m.push(tuple(m.pop_mark())),
        0x85: _tuple(1),
        0x86: _tuple(2),
        0x87: _tuple(3),
        0x91: lambda m: m.push(frozenset(map(checked_key, m.pop_mark()))),
        "a": lambda m: m.append([m.stack.pop()]),
        "e": lambda m: m.append(m.pop_mark()),
        "s": _set_item,
        "u": lambda m: m.put(m.pop_mark()),
        0x90: lambda m: m.add(m.pop_mark()),
        # memo
        "p": lambda m: m.remember(_decimal(m.line())),
        "q": lambda m: m.remember(m.number("<B")),
        "r": lambda m: m.remember(m.number("<I")),
        0x94: lambda m: m.remember(len(m.memo)),
        "g": lambda m: m.push(m.memo[_decimal(m.line())]),
        "h": lambda m: m.push(m.memo[m.number("<B")]),
        "j": lambda m: m.push(m.memo[m.number("<I")]),
        # names and instances
        "c": lambda m: m.refer(_text(m.line()), _text(m.line())),
        0x93: _stack_global,
        "i": _instance,
        "o": _object,
        "R": _reduce,
        0x81: _reduce,  # NEWOBJ: a class and its arguments, as in a call
        0x92: _new_with_keywords,
        "b": lambda m: m.build(),
    }.items()
}
