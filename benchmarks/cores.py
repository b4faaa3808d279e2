"""Processor cores: where there are enough, servers and those who use them do not share any."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from devtools.servers import Server

ENOUGH = 4
"""With fewer of them the system decides who runs where."""

S = TypeVar("S", bound=Server)


def own_cores() -> list[int]:
    """The cores that this process may use; none where the system does not tell."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def are_enough() -> bool:
    """Whether servers have cores of their own here."""
    return len(own_cores()) >= ENOUGH


@contextmanager
def apart(server: S) -> Iterator[S]:
    """Start a server, on half of the cores. What is started within the block has the others."""
    cores = own_cores()
    if len(cores) < ENOUGH:
        with server:
            yield server
        return
    half = len(cores) // 2
    try:
        os.sched_setaffinity(0, cores[:half])
        server.start()
        os.sched_setaffinity(0, cores[half:])
        yield server
    finally:
        os.sched_setaffinity(0, cores)
        if server.is_running:
            server.stop()
