"""Calling plain functions in threads. A thread cannot be cancelled."""

import asyncio
import contextvars
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from functools import partial
from inspect import iscoroutine
from typing import Any

from ltq._aio import forks

_SHORTAGE = 5.0
"""Seconds for which no more calls than now are made at once, after a thread could not be started.
"""


class NoThreadError(Exception):
    """The system starts no more threads. The function was not called."""


class ThreadCalls:
    """Calls functions in threads, at most `limit` at once, each in the context of its caller.

    A thread is started when there is none that is free, and stays. If a call is cancelled, its
    thread goes on. `left_behind` then returns that thread to the asyncio task that made the call.
    """

    def __init__(self, limit: int, name: str) -> None:
        self._make_pool = partial(ThreadPoolExecutor, limit, name)
        self._threads = self._make_pool()
        self._left: dict[asyncio.Task[Any] | None, Future[Any]] = {}
        self._calls: dict[asyncio.Task[Any] | None, Future[Any]] = {}
        self.refused: set[asyncio.Task[Any] | None] = set()
        """The asyncio tasks for whose calls there was no thread: `was_refused` tells each once."""
        self._shortages = 0
        self._is_closed = False
        self.most: int | None = None
        """How many calls should be made at once while threads are short; None for as many as may.
        """
        self.on_relief: Callable[[], object] = lambda: None
        """Called in the event loop when threads are no longer short."""

    async def call(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        """Call a function in a thread; return or raise what it returns or raises.

        Raises `NoThreadError` if there is no thread for it: `was_refused` then says so, too.
        """
        caller = asyncio.current_task()
        thread = self._submit(caller, fn, args, kwargs)
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
            del thread  # it has the error, whose traceback has this frame

    def is_in_call(self, task: "asyncio.Task[Any] | None") -> bool:
        """Whether an asyncio task waits for a thread that still runs. From any thread."""
        thread = self._calls.get(task)
        return thread is not None and not thread.done()

    def was_refused(self) -> bool:
        """Whether there was no thread for a call of this asyncio task. It is told once."""
        caller = asyncio.current_task()
        is_refused = caller in self.refused
        self.refused.discard(caller)
        return is_refused

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
        self._is_closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        for thread in list(self._calls.values()):
            thread.cancel()  # does nothing if it has begun

    def _submit(
        self,
        caller: "asyncio.Task[Any] | None",
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> "Future[Any]":
        """Let a thread call a function. Raises `NoThreadError`."""
        # The pool queues a call before it starts a thread for it: if that fails, another thread may
        # still make the call. So the call has a future of its own, which can be cancelled.
        thread: Future[Any] = Future()
        work = _Call(thread, contextvars.copy_context(), fn, args, kwargs)
        try:
            self._threads.submit(work.run)
        except (RuntimeError, MemoryError) as error:
            if thread.cancel():
                work.forget()
                self.refused.add(caller)
                self._note_shortage()
                raise NoThreadError(f"{type(error).__name__}: {error}") from error
        return thread

    def _note_shortage(self) -> None:
        if self._is_closed:
            return
        # The pool still counts the call, and would start too few threads for others. The threads
        # that it has end once they have done what they do.
        self._threads.shutdown(wait=False)
        self._threads = self._make_pool()
        self._shortages += 1
        self.most = max(1, len(self._calls))
        asyncio.get_running_loop().call_later(_SHORTAGE, self._relieve, self._shortages)

    def _relieve(self, shortages: int) -> None:
        if shortages == self._shortages:
            self.most = None
            self.on_relief()


class _Call:
    """A call that a thread is to make, unless its future is cancelled before."""

    def __init__(
        self,
        future: "Future[Any]",
        context: contextvars.Context,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> None:
        self._work: tuple[Any, ...] = (future, context.run, fn, args, kwargs)

    def run(self) -> None:
        """Make the call, in this thread."""
        future, inside, *work = self._work
        self.forget()
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(inside(_call, *work))
        except BaseException as error:
            future.set_exception(error)
        finally:
            del future, inside, work  # an error's traceback has this frame

    def forget(self) -> None:
        """Drop the call: the pool may keep this object for a while."""
        self._work = (Future(), None)


def _drop(thread: "Future[Any]") -> None:
    """Close the coroutine that a cancelled call has returned: nobody awaits it."""
    if not thread.cancelled() and thread.exception() is None and iscoroutine(thread.result()):
        thread.result().close()


def _call(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Call a function in this thread. Errors that mean something to a future become others."""
    generation = forks.generation
    try:
        return fn(*args, **kwargs)
    except (StopIteration, GeneratorExit, asyncio.CancelledError, CancelledError) as error:
        kind = type(error).__name__
        raise RuntimeError(f"a function in a thread raised {kind}") from error
    finally:
        if forks.generation != generation:
            forks.end_fork()
