"""Streams for synchronous code: Django, Flask, scripts."""

import asyncio
from collections.abc import Iterator
from typing import Any, Generic, Self

from typing_extensions import TypeVar

from ltq._aio.portal import open_portal
from ltq.broker import BrokerSource
from ltq.streams.handle import StreamHandle
from ltq.streams.stream import Stream
from ltq.sync import SyncHandle

T_co = TypeVar("T_co", covariant=True, default=Any)


class SyncStream(Iterator[T_co], Generic[T_co]):
    """A `Stream` whose items are waited for: `for item in handle.stream()`."""

    def __init__(self, source: BrokerSource, stream: Stream[T_co]) -> None:
        self._portal = open_portal("async for item in handle.stream(...)")
        self._source = source
        self._stream = stream
        self._one_at_a_time: asyncio.Lock | None = None

    @property
    def cursor(self) -> str:
        """See `Stream.cursor`."""
        return self._stream.cursor

    @property
    def attempt(self) -> int:
        """See `Stream.attempt`."""
        return self._stream.attempt

    @property
    def missed(self) -> int:
        """See `Stream.missed`."""
        return self._stream.missed

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T_co:
        """The next item, as soon as there is one. Raises what `Stream` raises."""
        found = self._stream.take_one()
        if not found:
            found = self._portal.call(self._source.broker, self._step())
        if not found:
            raise StopIteration
        return found[0]

    def close(self) -> None:
        """Stop following the task."""
        self._portal.tell(self._source.broker, self._stream.aclose())

    async def _step(self) -> list[T_co]:
        """The next item, or nothing at the end."""
        if self._one_at_a_time is None:
            self._one_at_a_time = asyncio.Lock()
        async with self._one_at_a_time:  # an interrupted step may still run
            async for item in self._stream:
                return [item]
        return []


class SyncStreamHandle(SyncHandle[int], Generic[T_co]):
    """A `StreamHandle` whose methods wait instead of being awaited."""

    __slots__ = ("_streaming",)

    def __init__(self, source: BrokerSource, handle: StreamHandle[T_co]) -> None:
        super().__init__(source, handle)
        self._streaming = handle

    def stream(self, after: str | None = None, timeout: float | None = None) -> SyncStream[T_co]:
        """The items as they come: `for item in handle.stream()`. See `StreamHandle.stream`."""
        return SyncStream(self._source, self._streaming.stream(after, timeout))

    def collect(self, timeout: float | None = None) -> list[T_co]:
        """Wait for the end, and return the items of the last attempt. Raises what `result` raises.

        Those that are not kept any more are not among them.
        """
        portal = open_portal("await handle.collect(...)")
        return portal.call(self._source.broker, self._streaming.collect(timeout))

    def rerun(self) -> "SyncStreamHandle[T_co]":
        """See `SyncHandle.rerun`."""
        portal = open_portal("await handle.rerun()")
        handle = portal.call(self._source.broker, self._streaming.rerun())
        return SyncStreamHandle(self._source, handle)
