"""A server that is silent: whoever waits for its answer is told in time."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import psycopg
from psycopg import AsyncConnection

from ltq.brokers.postgres._server.errors import SilentError


@asynccontextmanager
async def answered(connection: "AsyncConnection[object]", deadline: float) -> AsyncIterator[None]:
    """End the connection at a deadline (monotonic time), so that the block raises an error.

    A cancellation would not do: psycopg then asks the server to cancel, and waits for its answer.
    """
    is_cut = False

    def cut() -> None:
        nonlocal is_cut
        is_cut = True
        end(connection)

    began = time.monotonic()
    timer = asyncio.get_running_loop().call_later(deadline - began, cut)
    try:
        yield
    except psycopg.Error as error:
        if not is_cut:
            raise
        waited = time.monotonic() - began
        raise SilentError(f"no answer within {waited:.1f} s") from error
    finally:
        timer.cancel()


def end(connection: "AsyncConnection[object]") -> None:
    """Let whoever waits for a connection see its end, as if the server had closed it."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as one:
        one.shutdown(socket.SHUT_RDWR)
