"""Many short loops: to share them among threads costs more than it gives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread(device: torch.device | str = "cpu") -> Iterator[None]:
    """Run CPU operators on the calling thread; the number of threads comes back afterwards.

    For work of loops that last microseconds: while another process holds a core, threads that wait
    for each other made the fill of a background 60 times slower. Nothing happens for a device other
    than the CPU. Also a decorator.
    """
    threads = torch.get_num_threads()
    if torch.device(device).type != "cpu" or threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
