"""Calling the function of a task: inside of its middleware, and within its timeout."""

import asyncio
from collections.abc import Awaitable, Sequence
from types import CoroutineType
from typing import Any, NamedTuple

from ltq._aio import forks
from ltq._aio.callables import is_awaitable
from ltq._aio.cancellation import is_cancelled, uncancel
from ltq._worker.protocols import RunListener
from ltq._worker.streaming.streams import StreamRuns
from ltq._worker.threads import ThreadCalls
from ltq.message import Lease, Message
from ltq.middleware import Middleware
from ltq.streams import StreamTask
from ltq.task import Task

_VALUES = frozenset((type(None), bool, int, float, str, bytes, list, tuple, dict))
"""Types of most results: they are not looked at."""

_GRACE = 1.0
"""Seconds after a task's deadline at which its middleware is cancelled as well."""


class _Timeout(NamedTuple):
    """The timeout of a run: the task is cancelled at its deadline, and its middleware sees that.

    Middleware that itself hangs is cancelled by the guard, a little later.
    """

    seconds: float
    deadline: float
    """By the event loop's clock."""
    guard: asyncio.Timeout

    def error(self, more: str = "") -> TimeoutError:
        """What a run fails with that takes longer."""
        return TimeoutError(f"did not end within its timeout of {self.seconds:g} s{more}")

    def guard_middleware(self, seconds: float | None) -> None:
        """Let the guard act after so many seconds from now, or, with None, not at all.

        Not while the task runs: after a blocked event loop both would be due at once, and no
        middleware could retry the task.
        """
        if not self.guard.expired():
            now = asyncio.get_running_loop().time()
            self.guard.reschedule(None if seconds is None else max(now, self.deadline) + seconds)


class Invoker:
    """Calls functions of tasks, coroutines in the event loop and plain functions in threads."""

    def __init__(self, threads: ThreadCalls, listener: RunListener, streams: StreamRuns) -> None:
        self._threads = threads
        self._streams = streams
        self._listener = listener
        self._generation = forks.generation

    def invoke(
        self,
        task: Task[..., Any],
        chain: Sequence[Middleware],
        message: Message[Any],
        lease: Lease,
        timeout: float | None,
    ) -> Awaitable[Any]:
        """Call the function inside of the middleware in `chain`. Gives what the function returns.

        Raises `asyncio.CancelledError` only if the worker cancels the run.
        """
        # A coroutine around another one costs each run a little: the usual case has one.
        if timeout is not None:
            return self._in_time(task, chain, message, lease, timeout)
        if chain:
            return self._through(task, chain, message, lease, None)
        return self._call(task, message, lease)

    async def _in_time(
        self,
        task: Task[..., Any],
        chain: Sequence[Middleware],
        message: Message[Any],
        lease: Lease,
        seconds: float,
    ) -> Any:
        deadline = asyncio.get_running_loop().time() + seconds
        async with asyncio.timeout_at(deadline + _GRACE) as guard:
            timeout = _Timeout(seconds, deadline, guard)
            result = await self._through(task, chain, message, lease, timeout)
        if guard.expired():  # middleware went on although it was cancelled
            raise timeout.error()
        return result

    async def _through(
        self,
        task: Task[..., Any],
        chain: Sequence[Middleware],
        message: Message[Any],
        lease: Lease,
        timeout: _Timeout | None,
        depth: int = 0,
    ) -> Any:
        """Call the function inside of the middleware from `depth` on.

        An `AsyncExitStack` would do it in a loop, but keeps its errors in a cycle.
        """
        if depth == len(chain):
            return await self._call_within(task, message, lease, timeout)
        async with chain[depth](message, task):
            return await self._through(task, chain, message, lease, timeout, depth + 1)

    async def _call_within(
        self,
        task: Task[..., Any],
        message: Message[Any],
        lease: Lease,
        timeout: _Timeout | None,
    ) -> Any:
        if timeout is None:
            return await self._call(task, message, lease)
        scope = asyncio.timeout_at(timeout.deadline)
        timeout.guard_middleware(None)
        try:
            async with scope:
                result = await self._call(task, message, lease, scope)
        except TimeoutError as error:
            if scope.expired():
                raise timeout.error() from error
            raise
        else:
            if scope.expired():
                raise timeout.error(", and went on although it was cancelled")
            return result
        finally:
            timeout.guard_middleware(_GRACE)

    async def _call(
        self,
        task: Task[..., Any],
        message: Message[Any],
        lease: Lease,
        scope: asyncio.Timeout | None = None,
    ) -> Any:
        given: Any
        try:
            if isinstance(task, StreamTask):
                given = await self._streams.run(task, message, lease)
            elif task.is_async:
                given = task.fn(*message.args, **message.kwargs)
            else:
                given = await self._threads.call(task.fn, message.args, message.kwargs)
            if type(given) is CoroutineType:  # as nearly all are
                given = await given
            while type(given) not in _VALUES and is_awaitable(given):
                given = await given
        except asyncio.CancelledError as error:
            if scope is None or not scope.expired():
                self._check_cancelled(lease, error)
            raise
        finally:
            if forks.generation != self._generation:
                forks.end_fork()
        return given

    def _check_cancelled(self, lease: Lease, error: asyncio.CancelledError) -> None:
        """Raise what a cancelled task fails with, unless it is the worker that cancels it.

        So it was cancelled by its own code, or by the end of an event loop that it broke.
        """
        breaker = self._listener.loop_breaker(lease)
        if breaker is None and self._listener.cancels(lease):
            return
        has_raised_it = not is_cancelled()
        uncancel()  # its middleware goes on as after any other error
        if breaker is not None:
            raise breaker
        if has_raised_it:
            text = "the task raised CancelledError although it was not cancelled"
            raise RuntimeError(text) from error
