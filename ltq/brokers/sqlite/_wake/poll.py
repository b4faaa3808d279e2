"""The cover of wake-ups: looking whether the database has changed, while somebody waits."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from dataclasses import dataclass

from ltq._aio.clock import jittered
from ltq._aio.service import Service

logger = logging.getLogger("ltq.broker")

Version = Callable[[], Awaitable[object]]
"""Returns something that differs after each change by another process, as `PRAGMA data_version`."""


@dataclass(frozen=True)
class Pauses:
    """Pauses between looks, in seconds: each is twice as long as the one before."""

    first: float
    longest: float
    begin_again: bool
    """Whether the first one follows a change."""


COVER = Pauses(0.05, 0.25, begin_again=False)
"""Where hints arrive, looks are for those that were lost, and for who changes without a hint."""

ALONE = Pauses(0.005, 0.05, begin_again=True)
"""Where no hints can arrive."""

_LOOKING_SHARE = 4.0
"""The pause is at least this many times as long as the look before it took."""


class Poll(Service):
    """Calls `changed` in its event loop when the database has changed, while somebody waits.

    `pauses` is asked before each pause. A version that cannot be had counts as a change: whoever
    waits finds out by itself.
    """

    def __init__(
        self, version: Version, changed: Callable[[], None], pauses: Callable[[], Pauses]
    ) -> None:
        super().__init__("ltq-sqlite-poll", logger)
        self._version = version
        self._changed = changed
        self._pauses = pauses
        self._loop = asyncio.get_running_loop()
        self._waiting = 0
        self._seen: object = object()
        """The last version. A change before somebody waited is one that it may have missed."""
        self._pause = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Look, from time to time, during the block."""
        self._waiting += 1
        if self._timer is None and not self.is_running:
            self._pause = 0.0
            self._set_timer(0.0)
        try:
            yield
        finally:
            self._waiting -= 1

    def stop(self) -> None:
        """See `Service.stop`."""
        super().stop()
        self._drop_timer()

    def abandon(self) -> None:
        """See `Service.abandon`."""
        super().abandon()
        self._drop_timer()

    def _drop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self, least: float) -> None:
        pauses = self._pauses()
        self._pause = min(max(2 * self._pause, pauses.first), pauses.longest)
        # A timer and no task that sleeps: waits are often short, and this goes on after them.
        self._timer = self._loop.call_later(
            max(jittered(self._pause), least), self._fire, context=Context()
        )

    def _fire(self) -> None:
        self._timer = None
        if self._waiting:
            self.start()

    async def _run(self) -> None:
        """Look once, and set the timer for the next look."""
        began = self._loop.time()
        try:
            version = await self._version()
        except Exception:
            version = object()
        if version != self._seen:
            self._seen = version
            self._changed()
            if self._pauses().begin_again:
                self._pause = 0.0
        if not self._is_stopping:
            self._set_timer(_LOOKING_SHARE * (self._loop.time() - began))
