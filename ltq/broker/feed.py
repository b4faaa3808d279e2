"""The states of one watched task, on their way from a broker to a reader."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Self

from ltq._aio.loops import running_loop
from ltq.errors import ResultTimeoutError, TaskNotFoundError
from ltq.state import TaskState

_MOST_KEPT = 64
"""Most states kept for a slow reader. The oldest are dropped first, the newest never."""


class FeedTimeoutError(Exception):
    """No state came within the timeout of `Feed.get`."""


class Feed:
    """One reader's view of one task, used in the event loop where it was made.

    A broker puts states in; the reader gets them out and closes the feed. None instead of a state
    means that the task does not exist (any more). `on_close` is called once, with the feed.
    """

    def __init__(self, on_close: Callable[["Feed"], None]) -> None:
        self._loop = running_loop()
        self._on_close = on_close
        self._states: deque[TaskState[bytes] | None] = deque(maxlen=_MOST_KEPT)
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False
        self._last: TaskState[bytes] | None = None
        self.started: bool = False
        """Whether a state has been put in."""
        self.only_end: bool = False
        """Whether the reader waits only for the final state, so that others may be left out."""
        self.on_news: Callable[[], None] | None = None
        """Called when there is something to get: for who reads many feeds. It may not raise."""

    def put_changed(self, state: TaskState[bytes] | None) -> bool:
        """Call `put` if the state differs from the last one; return whether it does."""
        if self.started and state == self._last:
            return False
        self.put(state)
        return True

    def put(self, state: TaskState[bytes] | None) -> None:
        """Add a state for the reader to get."""
        self.started, self._last = True, state
        self._states.append(state)
        self._wake()

    def put_threadsafe(self, state: TaskState[bytes] | None) -> None:
        """`put` from any thread. Raises `RuntimeError` if the event loop closes at this moment."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.put, state)

    def fail(self, error: Exception) -> None:
        """Let `get` raise this error, once the reader has got the states that are there."""
        self._error = error
        self._wake()

    async def get(self, timeout: float | None = None) -> TaskState[bytes] | None:
        """The next state, as soon as there is one.

        Raises `FeedTimeoutError` after `timeout` seconds, or the error given to `fail`. A state
        that is there already is returned in any case.
        """
        while not self._states:
            if self._error is not None:
                raise self._error
            await self._wait(timeout)
        return self._states.popleft()

    @property
    def has_news(self) -> bool:
        """Whether `get` would not wait."""
        return bool(self._states) or self._error is not None

    def newest(self) -> TaskState[bytes] | None:
        """The last of the states that are there; those before it are passed over.

        If there is none to get, it is the one that was got last. Raises the error given to `fail`.
        """
        if not self._states and self._error is not None:
            raise self._error
        self._states.clear()
        return self._last

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
            # In an empty context: a loop keeps a timer until its time, also a cancelled one.
            timer = self._loop.call_later(timeout, self._expire, self._waiter, context=Context())
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
        if self.on_news is not None:
            self.on_news()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Following:
    """Reads the feed of a task until a deadline, and closes it at the end of the context.

    Without a `deadline`, by the event loop's clock, the `timeout` begins now.
    """

    def __init__(
        self, feed: Feed, task_id: str, timeout: float | None, *, deadline: float | None = None
    ) -> None:
        self._feed = feed
        self._task_id = task_id
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        is_begun = timeout is None or deadline is not None
        self._deadline = deadline if is_begun else self._loop.time() + (timeout or 0.0)

    async def next(self) -> TaskState[bytes]:
        """The next state.

        Raises `TaskNotFoundError` if the task does not exist (any more), `ResultTimeoutError` at
        the deadline.
        """
        deadline = self._deadline
        try:
            state = await self._feed.get(None if deadline is None else deadline - self._loop.time())
        except FeedTimeoutError:
            raise ResultTimeoutError(self._task_id, self._timeout or 0.0) from None
        if state is None:
            raise TaskNotFoundError(self._task_id)
        return state

    def fail(self, error: Exception) -> None:
        """Let `next` raise this error, also while it waits."""
        self._feed.fail(error)

    def close(self) -> None:
        """Stop following. Safe to call twice."""
        self._feed.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
