"""Staying awake for a reply that is due at any moment: spin a while, then sleep.

A process that sleeps until a reply comes has to be woken, which takes longer than a server on the
same host needs to answer, most of all on virtual machines. So for a moment after a call the event
loop looks for the reply again and again, and does other work in between. If replies come too
late for that, fewer and fewer calls are polled for, so that it costs next to nothing.
"""

import asyncio
from contextvars import Context
from time import perf_counter

from ltq.errors import ConfigurationError

_MICROSECONDS = range(10_001)

NOT_POLLED = 0.0
"""What `BusyPoll.begin` returns for a call that is not polled for."""

_MOST_SKIPPED = 62
"""Most calls in a row that are not polled for, because earlier replies came too late."""


def parse_busy_poll(value: str) -> float:
    """The broker URL's parameter `busy_poll`, in seconds; 0 means never."""
    if value.isascii() and value.isdigit() and int(value) in _MICROSECONDS:
        return int(value) / 1e6
    raise ConfigurationError(
        f"busy_poll={value!r} is not allowed in a broker URL: "
        f"microseconds, from 0 (never) to {_MICROSECONDS[-1]}"
    )


class BusyPoll:
    """Polls for the replies to calls of one event loop, for `budget` seconds each."""

    def __init__(self, budget: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._budget = budget
        self._context = Context()  # the caller's would be kept for long
        self._due = 0
        self._until = 0.0
        self._is_turning = False
        self._skips_left = 0
        """How many of the next calls are not polled for."""
        self._next_skips = 0
        """How many are skipped after the next reply that comes too late."""

    def begin(self) -> float:
        """A call goes out. Returns when, or `NOT_POLLED`; give that to `end`."""
        if not self._budget:
            return NOT_POLLED
        if self._skips_left:
            self._skips_left -= 1
            return NOT_POLLED
        began = perf_counter()
        self._due += 1
        self._until = began + self._budget
        if not self._is_turning:
            self._is_turning = True
            self._loop.call_soon(self._turn, context=self._context)
        return began

    def end(self, began: float) -> None:
        """The reply to a call has come, or will not come."""
        if began == NOT_POLLED:
            return
        self._due -= 1
        is_late = perf_counter() - began > self._budget
        if is_late:
            self._skips_left = self._next_skips
            self._next_skips = min(2 * self._next_skips + 2, _MOST_SKIPPED)
        else:
            self._next_skips = 0

    def _turn(self) -> None:
        if self._due and perf_counter() < self._until:
            self._loop.call_soon(self._turn, context=self._context)
        else:
            self._is_turning = False
