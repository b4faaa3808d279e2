"""Calling plain functions in threads. A thread cannot be cancelled."""

import asyncio
import contextvars
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from inspect import iscoroutine
from typing import Any

from ltq._aio import forks


class ThreadCalls:
    """Calls functions in threads, at most `limit` at once, each in the context of its caller.

    If a call is cancelled, its thread goes on. `left_behind` then returns that thread to the
    asyncio task that made the call.
    """

    def __init__(self, limit: int, name: str) -> None:
        self._threads = ThreadPoolExecutor(limit, name)
        self._left: dict[asyncio.Task[Any] | None, Future[Any]] = {}
        self._calls: dict[asyncio.Task[Any] | None, Future[Any]] = {}

    async def call(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        """Call a function in a thread; return or raise what it returns or raises."""
        inside = contextvars.copy_context().run
        thread = self._threads.submit(inside, _call, fn, args, kwargs)
        caller = asyncio.current_task()
        self._calls[caller] = thread
        try:
            return await asyncio.wrap_future(thread)
        except asyncio.CancelledError:
            if not thread.cancel() and not thread.done():  # it has begun, and goes on
                self._left[caller] = thread
            thread.add_done_callback(_drop)
            raise
        finally:
            del self._calls[caller]

    def is_in_call(self, task: "asyncio.Task[Any] | None") -> bool:
        """Whether an asyncio task waits for a thread that still runs. From any thread."""
        thread = self._calls.get(task)
        return thread is not None and not thread.done()

    def left_behind(self) -> "Future[Any] | None":
        """The thread of this asyncio task's cancelled call, if it still runs; else None.

        It is returned once: the asyncio task asks at its end.
        """
        if not self._left:
            return None
        thread = self._left.pop(asyncio.current_task(), None)
        return None if thread is None or thread.done() else thread

    def close(self) -> None:
        """Accept no more calls. Running threads go on."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _drop(thread: "Future[Any]") -> None:
    """Close the coroutine that a cancelled call has returned: nobody awaits it."""
    if not thread.cancelled() and thread.exception() is None and iscoroutine(thread.result()):
        thread.result().close()


def _call(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Call a function in this thread. Errors that mean something to a future become others."""
    generation = forks.generation
    try:
        return fn(*args, **kwargs)
    except (StopIteration, asyncio.CancelledError, CancelledError) as error:
        kind = type(error).__name__
        raise RuntimeError(f"a function in a thread raised {kind}") from error
    finally:
        if forks.generation != generation:
            forks.end_fork()
