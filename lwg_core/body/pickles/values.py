"""What a pickle may hold, and checks that later code may walk it."""

from __future__ import annotations

import numpy as np

from ...errors import InputError

MAX_DEPTH = 64
MAX_NODES = 20_000_000  # of the value written out as a tree, shared parts counted each time
MAX_KEY = 1 << 64  # greater whole numbers can be chosen to have the same hash by the million


class Name:
    """A global that the file refers to and that the table knows."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Held:
    """An instance that the file describes: class name, arguments and state, all of them inert."""

    __slots__ = ("name", "args", "state", "memo_keys")

    def __init__(self, name: str, args: tuple = ()) -> None:
        self.name = name
        self.args = args
        self.state: object = None
        self.memo_keys: list[int] = []


def checked_key(key: object) -> object:
    """Keys are short plain values: hashing a deep tuple can overflow the stack."""
    parts = key if type(key) is tuple and len(key) <= 8 else (key,)
    for part in parts:
        if not isinstance(part, (str, bytes, int, float, np.integer, np.floating, type(None))):
            raise InputError("has a key that is neither text nor a number")
        if isinstance(part, int) and abs(part) >= MAX_KEY:
            raise InputError("has a whole number of absurd size as a key")
    return key


_TANGLED = "is nested too deeply or repeats itself too often"


def check_tree(root: object) -> None:
    """Refuse values that contain themselves or that a recursive reader could not walk."""
    known: dict[int, tuple[int, int]] = {}  # id -> height, size as a tree; not of flat ones
    open_nodes: set[int] = set()
    stack = [(root, False)]
    while stack:
        node, leaving = stack.pop()
        children = _children(node)
        if leaving:
            below = [known.get(id(child)) or _flat_extent(child) for child in children]
            height = 1 + max((h for h, _ in below), default=0)
            size = 1 + sum(s for _, s in below)
            if height > MAX_DEPTH or size > MAX_NODES:
                raise InputError(_TANGLED)
            known[id(node)] = height, size
            open_nodes.discard(id(node))
        elif id(node) in open_nodes:
            raise InputError("contains itself")
        elif len(open_nodes) > MAX_DEPTH:
            raise InputError(_TANGLED)
        elif id(node) not in known:
            nested = [(child, False) for child in children if _children(child)]
            if nested:
                open_nodes.add(id(node))
                stack.append((node, True))
                stack += nested


def _flat_extent(node: object) -> tuple[int, int]:
    """Height and size of a value whose items hold nothing."""
    children = _children(node)
    return (1, 1 + len(children)) if children else (0, 1)


def _children(node: object):
    if isinstance(node, dict):
        return node.values()
    if isinstance(node, Held):
        return (node.args, node.state)
    return node if isinstance(node, (list, tuple)) else ()
