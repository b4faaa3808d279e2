"""The lifecycle that everything in the background of an event loop shares."""

import asyncio
import logging
import sys
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")

_MAKES_UP_NAMES = sys.version_info < (3, 12)
"""Whether a new asyncio task gets a name at once, also where another one follows."""


def spawn(
    work: Coroutine[Any, Any, T],
    *,
    name: str | None = None,
    context: Context | None = None,
    loop: asyncio.AbstractEventLoop | None = None,
) -> "asyncio.Task[T]":
    """Start an asyncio task, by default in an empty context. The caller keeps and awaits it.

    Background work outlives the call that happens to start it. So it must neither see that call's
    context variables (the running task, a trace, a request) nor keep them alive.

    It begins in a later turn of the event loop, also where a task factory runs the first step at
    once, as `asyncio.eager_task_factory` does: the caller may first note that it runs.

    Who starts very many gives the running `loop`, which Python 3.11 would ask the system for, and a
    name, which loops of Python 3.11 would make up first.
    """
    variables = Context() if context is None else context
    if loop is None:
        loop = asyncio.get_running_loop()
        if loop.get_task_factory() is not None:
            work = _begin_later(work)
    elif loop.get_task_factory() is not None:
        work = _begin_later(work)
    elif _MAKES_UP_NAMES:
        return asyncio.Task(work, loop=loop, name=name, context=variables)
    return loop.create_task(work, name=name, context=variables)


async def _begin_later(work: Coroutine[Any, Any, T]) -> T:
    try:
        await asyncio.sleep(0)
    except BaseException:
        work.close()  # cancelled before its first step, it never runs
        raise
    return await work


def abandon_task(task: "asyncio.Task[Any]") -> None:
    """Cancel a task. If its event loop is closed, let it be collected without a word."""
    if not task.get_loop().is_closed():
        task.cancel()
        return
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001  as `gather` does
    work = task.get_coro()
    if work is not None:
        with suppress(Exception):  # a `finally` may need the event loop
            work.close()


async def cancel_all(futures: "Iterable[asyncio.Future[Any]]") -> None:
    """Cancel what still runs, and wait until it has ended. Its errors are dropped."""
    futures = list(futures)
    for future in futures:
        future.cancel()
    await asyncio.gather(*futures, return_exceptions=True)


def drop_error(future: "asyncio.Future[Any]") -> None:
    """A done callback: asyncio must not log the error as one that was never retrieved."""
    if not future.cancelled():
        future.exception()


async def first_of(*works: Coroutine[Any, Any, object], name: str) -> None:
    """Run coroutines at once until one of them ends, and cancel the others.

    Raises what the first one raised.
    """
    tasks = [spawn(work, name=name) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancel_all(task for task in tasks if not task.done())
    for task in done:
        task.result()


class Service:
    """Something that runs in the background of one event loop.

        service.start()             # begin; does nothing while it runs
        service.stop()              # accept nothing new; returns at once
        await service.drain(5.0)    # wait at most 5 s for work in progress; True if all ended
        await service.aclose()      # stop, cancel what still runs, wait until it has ended

    Each call may be repeated, and made in any state. It may start again once its work has ended:
    after `aclose`, or after `stop` and `wait`.

    The work of a subclass is its `_run`, which `start` runs in an asyncio task named `name`.
    `_spawn` starts further tasks. All are kept until they end, and `drain` and `aclose` include
    them. A subclass whose work must not be cancelled halfway overrides `stop`.

    An error that ends a task is logged, unless a caller of `wait` gets it.
    """

    def __init__(self, name: str, logger: logging.Logger) -> None:
        self.name: str = name
        self._logger = logger
        self._is_stopping = False
        self._main: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._waiters = 0

    @property
    def is_running(self) -> bool:
        """Whether its work goes on."""
        return self._main is not None and not self._main.done()

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to stop since its last start."""
        return self._is_stopping

    def start(self) -> None:
        """Begin, in the running event loop. Does nothing while it runs."""
        if not self.is_running:
            self._is_stopping = False
            self._main = self._spawn(self._run())

    def stop(self) -> None:
        """Accept nothing new. Returns at once: `drain` waits for work in progress."""
        self._is_stopping = True
        if self._main is not None:
            self._main.cancel()

    async def wait(self) -> None:
        """Wait until its work ends, by itself or after `stop`.

        Raises the error that ended it, or `CancelledError` if it was cancelled without a `stop`.
        """
        main = self._main
        if main is None:
            return
        self._waiters += 1
        try:
            await asyncio.wait([main])
        finally:
            self._waiters -= 1
        if not (main.cancelled() and self._is_stopping):
            main.result()

    async def drain(self, timeout: float | None = None) -> bool:
        """Wait at most `timeout` seconds until none of its tasks runs; return whether none does."""
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        while tasks := self._others():
            left = None if deadline is None else max(0.0, deadline - loop.time())
            _, pending = await asyncio.wait(tasks, timeout=left)
            if pending:
                return False
        return True

    async def aclose(self) -> None:
        """Stop, cancel what still runs, and wait until it has ended."""
        self.stop()
        await cancel_all(self._others())

    def abandon(self) -> None:
        """Stop and cancel all without waiting, in its event loop or after that was closed."""
        self._is_stopping = True
        for task in tuple(self._tasks):
            abandon_task(task)

    async def _run(self) -> None:
        """Work until done or cancelled. Not needed if all work is started with `_spawn`."""

    def _spawn(
        self, work: Coroutine[Any, Any, T], name: str = "", *, is_awaited: bool = False
    ) -> "asyncio.Task[T]":
        """Start an asyncio task that belongs to this service; `name` says what it does.

        With `is_awaited` the caller waits for its end, handles its error, and calls `_forget`.
        """
        context = Context()
        task = spawn(work, name=f"{self.name}-{name}" if name else self.name, context=context)
        self._tasks.add(task)
        if not is_awaited:  # by default the callback would keep the caller's context
            task.add_done_callback(self._task_ended, context=context)
        return task

    def _forget(self, task: "asyncio.Task[Any]") -> None:
        """A task that the caller waited for has ended."""
        self._tasks.discard(task)

    def _others(self) -> "set[asyncio.Task[Any]]":
        """Its tasks except the calling one, which cannot wait for itself."""
        here = asyncio.current_task()
        return {task for task in self._tasks if task is not here and not task.done()}

    def _task_ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not (task is self._main and self._waiters):
            self._logger.error("%s failed", task.get_name(), exc_info=error)
