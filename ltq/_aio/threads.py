"""Calls from one thread into the event loop of another."""

import asyncio
from collections.abc import Callable
from contextlib import suppress


def call_in(
    loop: asyncio.AbstractEventLoop, function: Callable[..., object], *args: object
) -> None:
    """Call a function in an event loop, from any thread. Does nothing if that loop is closed."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *args)
