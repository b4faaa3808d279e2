"""The one poller of the tests: for what cannot be waited for as an event."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast, overload

T = TypeVar("T")

_PAUSE = 0.005


@overload
async def eventually(
    predicate: Callable[[], Awaitable[T]], timeout: float = 5.0, description: str = ""
) -> T: ...
@overload
async def eventually(
    predicate: Callable[[], T], timeout: float = 5.0, description: str = ""
) -> T: ...
async def eventually(
    predicate: Callable[[], T | Awaitable[T]], timeout: float = 5.0, description: str = ""
) -> T:
    """Call `predicate`, plain or async, until it gives something true, and return that."""
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
