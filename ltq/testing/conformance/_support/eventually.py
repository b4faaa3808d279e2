"""The only poller of the suite, for what cannot be awaited as an event."""

import asyncio
import inspect
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast, overload

T = TypeVar("T")

PATIENCE = 10.0 * float(os.environ.get("LTQ_TEST_PATIENCE") or 1)
"""Seconds after which something counts as never. Only a test that fails waits that long, so it may
be enough for a busy machine. `LTQ_TEST_PATIENCE` multiplies it."""

SOON = 3.0
"""Seconds within which news has to arrive. A broker takes longer to look by itself when news was
lost, so a test notices the loss."""

_PAUSE = 0.005


@overload
async def eventually(
    predicate: Callable[[], Awaitable[T]], timeout: float = PATIENCE, description: str = ""
) -> T: ...
@overload
async def eventually(
    predicate: Callable[[], T], timeout: float = PATIENCE, description: str = ""
) -> T: ...
async def eventually(
    predicate: Callable[[], T | Awaitable[T]], timeout: float = PATIENCE, description: str = ""
) -> T:
    """Call `predicate`, plain or async, until it returns something true, and return that.

    Raises `AssertionError` after `timeout` seconds.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while True:
        answer = predicate()
        value = cast(T, await answer if inspect.isawaitable(answer) else answer)
        if value:
            return value
        if loop.time() >= deadline:
            raise AssertionError(f"not within {timeout:g} s: {description or predicate}")
        await asyncio.sleep(_PAUSE)
