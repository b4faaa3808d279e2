"""The states of one watched task, on their way from a broker to a reader."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Self

from ltq.errors import ResultTimeoutError, TaskNotFoundError
from ltq.state import TaskState

_KEPT = 64
"""States kept for a slow reader; beyond that the oldest are dropped, never the newest."""


class FeedTimeoutError(Exception):
    """Nothing came within the time given to `Feed.get`."""


class Feed:
    """One reader's view of one task, used in one event loop.

    A broker puts states in; None means that there is no such task (any more).
    """

    def __init__(self, on_close: Callable[["Feed"], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_close = on_close
        self._states: deque[TaskState[bytes] | None] = deque(maxlen=_KEPT)
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False
        self._last: TaskState[bytes] | None = None
        self.started: bool = False
        """Whether anything was put in yet."""
        self.only_end = False
        """Whether the reader waits for the final state: others need not be put in."""

    def put_changed(self, state: TaskState[bytes] | None) -> bool:
        """`put`, unless the reader was told exactly this last; tells whether it was new."""
        if self.started and state == self._last:
            return False
        self.put(state)
        return True

    def put(self, state: TaskState[bytes] | None) -> None:
        """Hand a state to the reader."""
        self.started, self._last = True, state
        self._states.append(state)
        self._wake()

    def put_threadsafe(self, state: TaskState[bytes] | None) -> None:
        """The same from another thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.put, state)

    def fail(self, error: Exception) -> None:
        """Let the reader's `get` raise, once it has read what is there."""
        self._error = error
        self._wake()

    async def get(self, timeout: float | None = None) -> TaskState[bytes] | None:
        """The next state; waits for it up to `timeout` seconds, then raises `FeedTimeoutError`."""
        while not self._states:
            if self._error is not None:
                raise self._error
            await self._wait(timeout)
        return self._states.popleft()

    def close(self) -> None:
        """Stop following. Safe to call twice."""
        if not self._closed:
            self._closed = True
            self._on_close(self)

    async def _wait(self, timeout: float | None) -> None:
        if timeout is not None and timeout <= 0:
            raise FeedTimeoutError
        self._waiter = self._loop.create_future()
        timer = None
        if timeout is not None:
            timer = self._loop.call_later(timeout, self._expire, self._waiter)
        try:
            await self._waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    @staticmethod
    def _expire(waiter: "asyncio.Future[None]") -> None:
        if not waiter.done():
            waiter.set_exception(FeedTimeoutError())

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Following:
    """A feed read until a deadline, and closed in the end."""

    def __init__(self, feed: Feed, task_id: str, timeout: float | None) -> None:
        self._feed = feed
        self._task_id = task_id
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._deadline = None if timeout is None else self._loop.time() + timeout

    async def next(self) -> TaskState[bytes]:
        """The next state. Raises `TaskNotFoundError`, `ResultTimeoutError` at the deadline."""
        deadline = self._deadline
        try:
            state = await self._feed.get(None if deadline is None else deadline - self._loop.time())
        except FeedTimeoutError:
            raise ResultTimeoutError(self._task_id, self._timeout or 0.0) from None
        if state is None:
            raise TaskNotFoundError(self._task_id)
        return state

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._feed.close()
