"""A server that is silent: whoever waits for its answer is told in time."""

import asyncio
import os
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import psycopg
from psycopg import AsyncConnection

from ltq.brokers._rules.constants import SLOWEST
from ltq.brokers.postgres._server.errors import SilentError

_LOOK_EVERY = 0.5
"""Seconds between looks at what has moved, from shortly before the deadline."""

_MOVED = struct.Struct("@120x2Q")
"""Of Linux's `struct tcp_info`: the bytes that were acknowledged, and those that were received."""


@asynccontextmanager
async def answered(connection: "AsyncConnection[object]", deadline: float) -> AsyncIterator[None]:
    """End the connection at a deadline (monotonic time), so that the block raises an error.

    What is large and still on its way then may take longer. A cancellation would not do: psycopg
    then asks the server to cancel, and waits for its answer.
    """
    is_cut = False
    loop, began = asyncio.get_running_loop(), time.monotonic()
    moved = 0
    timer: asyncio.TimerHandle

    def look() -> None:
        nonlocal moved, timer
        moved = _moved(connection)
        timer = loop.call_later(_LOOK_EVERY, cut_unless_moved, moved)

    def cut_unless_moved(before: int) -> None:
        nonlocal is_cut
        look()
        if moved - before < SLOWEST * _LOOK_EVERY:
            timer.cancel()
            is_cut = True
            end(connection)

    timer = loop.call_later(max(0.0, deadline - began - _LOOK_EVERY), look)
    try:
        yield
    except psycopg.Error as error:
        if not is_cut:
            raise
        waited = time.monotonic() - began
        raise SilentError(f"no answer within {waited:.1f} s") from error
    finally:
        timer.cancel()


def _moved(connection: "AsyncConnection[object]") -> int:
    """How many bytes have arrived so far, on both sides; 0 where that cannot be told."""
    with (
        suppress(OSError, psycopg.Error, AttributeError, struct.error),
        socket.socket(fileno=os.dup(connection.fileno())) as one,
    ):
        info = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _MOVED.size)
        return sum(_MOVED.unpack(info))
    return 0


def end(connection: "AsyncConnection[object]") -> None:
    """Let whoever waits for a connection see its end, as if the server had closed it."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as one:
        one.shutdown(socket.SHUT_RDWR)
