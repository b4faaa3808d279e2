"""Something that is read from a broker, and read again when it is too old."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from ltq._aio.service import drop_error, spawn
from ltq._display.errors import name_of, text_of
from ltq.logger import ThrottledLogger, get_logger

T = TypeVar("T")

_LONG = 0.025
"""Seconds of reading that make a page slow."""

_LATER = 0.1
"""Seconds until a value that is used although it is old is read again."""


_throttled = ThrottledLogger(get_logger("web"), every=60.0)


def _tell(reading: asyncio.Task[Any]) -> None:
    """A done callback: say why there is no value."""
    error = None if reading.cancelled() else reading.exception()
    if error is not None:
        why = f"{name_of(error)}: {text_of(error)}"
        _throttled.warning("a part of a page is left out, as it cannot be read: %s", why)


class Cached(Generic[T]):
    """A value that whoever asks shares, in one event loop. It is read at most once at a time."""

    def __init__(
        self, read: Callable[[], Awaitable[T]], fresh: float, *, usable: float = 0.0
    ) -> None:
        """`fresh` is for how many seconds a value is not read again.

        If reading takes long, a value is used for `usable` seconds while a new one is being read.
        """
        self._read = read
        self._fresh = fresh
        self._usable = usable
        self._value: list[T] = []
        """The last value, if there is one."""
        self._until = 0.0
        self._usable_until = 0.0
        self._reading: asyncio.Task[T] | None = None

    @property
    def last(self) -> T | None:
        """What was read last; None if nothing was."""
        return self._value[0] if self._value else None

    async def get(self) -> T:
        """The value. Raises what reading it raises."""
        now = time.monotonic()
        if self._value and self._until <= now < self._usable_until:
            # A moment later: the page that asks has more to read, and would wait behind it.
            asyncio.get_running_loop().call_later(_LATER, self._begin_if_old)
            return self._value[0]
        return await self.renewed()

    async def renewed(self) -> T:
        """The value, read again unless it is fresh. Raises what reading it raises."""
        if self._value and time.monotonic() < self._until:
            return self._value[0]
        return await asyncio.shield(self._begin())

    async def anew(self) -> T:
        """The value, by a reading that begins now or later. Raises what reading it raises.

        Those who ask meanwhile share the next reading, so they cannot make it read more often.
        """
        if self._reading is not None and not self._reading.done():
            await asyncio.wait([self._reading])
        return await asyncio.shield(self._begin())

    async def soon(self, patience: float) -> T | None:
        """The value, if it can be had in so many seconds; else the last one, or None.

        Reading goes on meanwhile. Its errors are logged, as nobody else gets them.
        """
        if not self._value or time.monotonic() >= self._until:
            reading = self._begin()
            reading.add_done_callback(_tell)
            await asyncio.wait([reading], timeout=0.0 if self._value else patience)
        return self.last

    def spoil(self) -> None:
        """Read it again at the next call, and do not use what is being read now."""
        self._until = self._usable_until = 0.0
        self._reading = None

    def _begin_if_old(self) -> None:
        if time.monotonic() >= self._until:
            self._begin()

    def _begin(self) -> "asyncio.Task[T]":
        if self._reading is None or self._reading.done():
            self._reading = spawn(self._work(), name="ltq-web-reading")
            self._reading.add_done_callback(drop_error)
        return self._reading

    async def _work(self) -> T:
        begun = time.monotonic()
        value = await self._read()
        if self._reading is asyncio.current_task():  # it was not spoilt meanwhile
            self._value = [value]
            now = time.monotonic()
            # From its beginning: who asks each second is not told the same twice. But no more than
            # half of the time is spent with reading.
            self._until = max(begun + self._fresh, now + (now - begun))
            self._usable_until = now + self._usable if now - begun > _LONG else 0.0
        return value
