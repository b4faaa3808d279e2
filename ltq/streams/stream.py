"""Reading a stream: its items one by one, live, from any place on."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from typing import Any, Generic, Self

from typing_extensions import TypeVar

from ltq.broker import Broker
from ltq.broker.feed import Following
from ltq.errors import ConfigurationError, TaskNotFoundError
from ltq.handle import error_of
from ltq.state import TaskState
from ltq.streams._cursor import Reached, read_cursor, write_cursor, wrong_cursor
from ltq.streams._shared import read_items

T_co = TypeVar("T_co", covariant=True, default=Any)

_REREADS = 3
"""How often items are read again that a state counts and a read has not brought."""


class Stream(AsyncIterator[T_co], Generic[T_co]):
    """The items of a task, as they come: `async for item in handle.stream()`.

    It begins with the first item, or behind a cursor, waits for those to come, and ends with the
    task: if that failed, was rejected or cancelled, with its error. A retry or a takeover begins
    again: `attempt` is another number then. One reader uses it, in one event loop.
    """

    def __init__(
        self,
        open_broker: Callable[[], Broker],
        queue: str,
        task_id: str,
        *,
        decode: Callable[[bytes], T_co],
        told: Callable[[], AbstractContextManager[None]],
        after: str | None = None,
        timeout: float | None = None,
    ) -> None:
        """`decode` takes the bytes of an item. Raises `ConfigurationError` for a wrong cursor."""
        self._reached = read_cursor(after, task_id)
        self._after = after
        self._open_broker = open_broker
        self._task = queue, task_id
        self._decode = decode
        self._told = told
        self._timeout = timeout
        self._deadline: float | None = None
        self._ready: deque[bytes] = deque()
        self._total = 0
        """How many items there are in this attempt, as far as is known."""
        self._state: TaskState[bytes] | None = None
        self._following: Following | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_over = False
        self._is_waiting = False
        self._is_sure = False
        """Whether the store has told of the attempt; a cursor may be of a task that is gone. Then
        states of earlier attempts are old: items are read after the state that tells of them."""
        self._missed = 0

    @property
    def cursor(self) -> str:
        """Where to go on after the last item, in any process: `handle.stream(after=cursor)`.

        It is text without meaning, and safe in a URL and as the id of a server-sent event.
        """
        return write_cursor(self._reached, self._task[1])

    @property
    def attempt(self) -> int:
        """The number of the delivery that the last item is of: 1, 2, …; 0 before the first item."""
        return self._reached.attempt

    @property
    def missed(self) -> int:
        """How many items of this attempt were not kept any more when they were to be read."""
        return self._missed

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T_co:
        """The next item, as soon as there is one.

        Raises `TaskFailedError`, `TaskRejectedError` or `TaskCancelledError` behind the last item
        of a task that did not complete, `ResultTimeoutError` at the timeout, `TaskNotFoundError` if
        there is no such task (any more), `ConfigurationError` for a cursor behind the end, while
        another one waits for the next item, and in another event loop, and `BrokerError`.
        """
        if not self._ready:
            self._check_reader()
            self._is_waiting = True
            try:
                with self._told():
                    await self._wait()
            except BaseException:
                self._close()
                raise
            finally:
                self._is_waiting = False
        return self._next()

    async def aclose(self) -> None:
        """Stop following the task. The iteration is over, also for who waits for the next item."""
        self._is_over = True
        self._ready.clear()
        if self._following is not None:
            self._following.fail(StopAsyncIteration())
        self._close()

    def take_one(self) -> list[T_co]:
        """The next item if it is there already, else none. From any thread, between two waits."""
        return [self._next()] if self._ready else []

    def _next(self) -> T_co:
        data = self._ready.popleft()
        self._reached = Reached(self._reached.attempt, self._reached.position + 1)
        return self._decode(data)

    def _check_reader(self) -> None:
        """Raise `ConfigurationError` for a second reader: one of them would wait for ever."""
        use = "each reader needs a stream of its own, handle.stream(after=stream.cursor)"
        if self._following is not None and self._loop is not asyncio.get_running_loop():
            raise ConfigurationError(f"this stream is read in another event loop: {use}")
        if self._is_waiting:
            raise ConfigurationError(f"two tasks wait for the next item of one stream: {use}")

    async def _wait(self) -> None:
        """Wait until something is ready. Raises what `__anext__` raises."""
        if self._is_over:
            raise StopAsyncIteration
        rereads = 0
        while not self._ready:
            if self._total > self._reached.position and rereads < _REREADS:
                rereads += 1
                await self._read()
                continue
            rereads = 0
            if self._state is not None and self._state.status.is_final:
                self._end(self._state)
            state = await self._follow().next()
            if not (self._is_sure and state.dequeue_count < self._reached.attempt):
                self._state = state
                self._look(state)

    def _look(self, state: TaskState[bytes]) -> None:
        """See what a state says of the stream."""
        if state.dequeue_count == self._reached.attempt:
            self._is_sure = True
            self._total = max(self._total, state.items)
        elif state.items or state.status.is_final:
            self._begin(state.dequeue_count)
            self._total = state.items

    def _begin(self, attempt: int) -> None:
        """Begin another delivery."""
        self._reached, self._is_sure = Reached(attempt, 0), True
        self._total = self._missed = 0

    async def _read(self) -> None:
        """Read what is behind what was reached."""
        queue, task_id = self._task
        found = await read_items(self._open_broker(), queue, task_id, *self._reached)
        if found is None:
            raise TaskNotFoundError(task_id)
        if found.attempt != self._reached.attempt:
            if not found.total:
                self._total = 0  # it has begun again, and yielded nothing yet
                return
            self._begin(found.attempt)
        if found.items:
            self._missed += found.first - self._reached.position
            self._reached = Reached(found.attempt, found.first)
            self._ready.extend(found.items)
            self._total = max(self._total, found.total)

    def _end(self, state: TaskState[bytes]) -> None:
        """End with the task."""
        if state.dequeue_count == self._reached.attempt and self._reached.position > state.items:
            raise wrong_cursor(self._after, self._task[1])
        self._is_over = True
        self._close()
        error = error_of(state)
        if error is not None:
            raise error
        raise StopAsyncIteration

    def _follow(self) -> Following:
        if self._following is None:
            queue, task_id = self._task
            self._loop = asyncio.get_running_loop()
            if self._timeout is not None and self._deadline is None:
                self._deadline = self._loop.time() + self._timeout
            feed = self._open_broker().feed(queue, task_id)
            self._following = Following(feed, task_id, self._timeout, deadline=self._deadline)
        return self._following

    def _close(self) -> None:
        following, self._following = self._following, None
        if following is not None:
            following.close()

    def __del__(self) -> None:
        # Who leaves `async for` early drops it. A garbage collection may do so in any thread.
        following, loop = getattr(self, "_following", None), getattr(self, "_loop", None)
        if following is not None and loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(following.close)


async def present_items(
    broker: Broker, queue: str, task_id: str, decode: Callable[[bytes], T_co]
) -> list[T_co]:
    """The items that there are now, without waiting. Raises `TaskNotFoundError`."""
    items: list[T_co] = []
    reached, total = Reached(0, 0), 1
    while reached.position < total:
        found = await read_items(broker, queue, task_id, *reached)
        if found is None:
            raise TaskNotFoundError(task_id)
        if found.attempt != reached.attempt:
            items.clear()
        items += map(decode, found.items)
        reached, total = Reached(found.attempt, found.first + len(found.items)), found.total
    return items


async def collect(stream: Stream[T_co]) -> list[T_co]:
    """All items of the last attempt."""
    items: list[T_co] = []
    attempt = stream.attempt
    try:
        async for item in stream:
            if stream.attempt != attempt:
                attempt = stream.attempt
                items.clear()
            items.append(item)
    finally:
        await stream.aclose()
    return items if stream.attempt == attempt else []
