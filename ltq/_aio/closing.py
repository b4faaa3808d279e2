"""Closing that goes on to its end, whoever of its callers is cancelled."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack
from contextvars import copy_context
from typing import Any, TypeVar

from ltq._aio.service import drop_error, spawn

T = TypeVar("T")

CLOSE_WITHIN = 5.0
"""Seconds that something gets to close after its caller was cancelled."""


async def close_all(closings: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Close one thing after another, also if one of them fails. Raises that error at the end."""
    async with AsyncExitStack() as stack:
        for close in reversed([*closings]):
            stack.push_async_callback(close)


async def wait_out(
    task: "asyncio.Task[Any]",
    cancelled: Callable[[], object] = lambda: None,
    *,
    within: float = CLOSE_WITHIN,
) -> None:
    """Wait until a task ends, also if the caller is cancelled meanwhile.

    Each time that happens, `cancelled` is called, and the task gets the rest of `within` seconds.
    After that it is cancelled and left alone. The `CancelledError` is raised at the end. So a
    caller that is cancelled again and again leaves nothing behind that is half closed.
    """
    loop = asyncio.get_running_loop()
    error: asyncio.CancelledError | None = None
    deadline: float | None = None
    while not task.done():
        left = None if deadline is None else deadline - loop.time()
        if left is not None and left <= 0:
            task.cancel()
            break
        try:
            await asyncio.wait([task], timeout=left)
        except asyncio.CancelledError as again:
            error, deadline = again, deadline or loop.time() + within
            cancelled()
    if error is not None:
        task.add_done_callback(drop_error)
        raise error


async def to_the_end(work: Coroutine[Any, Any, T], *, within: float = CLOSE_WITHIN) -> T:
    """Await work that closes something, also if the caller is cancelled meanwhile.

    See `wait_out`. Without a cancellation, it is as if the work were awaited here.
    """
    task = spawn(work, name="ltq-closing", context=copy_context())
    await wait_out(task, within=within)
    return task.result()


class Closing:
    """Runs `close` once for all its callers, in the background of the event loop it belongs to.

    A caller that is cancelled stops waiting at once, while the closing goes on: with `to_the_end`
    the caller itself waits. If the background is cut off, as at the end of `asyncio.run`, the next
    call runs `close` again, so it must be safe to repeat.
    """

    def __init__(self, close: Callable[[], Awaitable[None]], name: str) -> None:
        self._close = close
        self._name = name
        self._task: asyncio.Task[None] | None = None
        self.is_done = False
        """Whether it has come to its end."""

    async def __call__(self) -> None:
        """Close, and wait for the end. Raises what `close` raises."""
        if self.is_done:
            return
        if self._task is None or self._task.done():
            self._task = spawn(self._run(), name=self._name)
        await asyncio.shield(self._task)

    async def _run(self) -> None:
        await self._close()
        self.is_done = True
