"""Staying awake for a reply that is due at any moment: spin a while, then sleep.

A process that sleeps until a reply comes has to be woken, which takes longer than a server on the
same host needs to answer, most of all on virtual machines. So for a moment after a call the event
loop looks for the reply again and again, and does other work in between. Where replies come too
late for that, it soon gives up trying, so that it costs next to nothing.
"""

import asyncio
from time import perf_counter

from ltq.errors import ConfigurationError

_MICROSECONDS = range(10_001)

_WIDEST_GAP = 62
"""Most calls that are not polled for between two that are, where replies come too late."""


def parse_busy_poll(value: str) -> float:
    """The broker URL's parameter `busy_poll`, in seconds; 0: never."""
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
        self._due = 0
        self._until = 0.0
        self._is_turning = False
        self._left_out = 0
        self._gap = 0

    def begin(self) -> float:
        """A call goes out. Returns what `end` must be given: when, or 0 if it is not polled for."""
        if not self._budget:
            return 0.0
        if self._left_out:
            self._left_out -= 1
            return 0.0
        began = perf_counter()
        self._due += 1
        self._until = began + self._budget
        if not self._is_turning:
            self._is_turning = True
            self._loop.call_soon(self._turn)
        return began

    def end(self, began: float) -> None:
        """Its reply is here, or will not come."""
        if not began:
            return
        self._due -= 1
        if perf_counter() - began <= self._budget:
            self._gap = 0
        else:
            self._left_out, self._gap = self._gap, min(2 * self._gap + 2, _WIDEST_GAP)

    def _turn(self) -> None:
        if self._due and perf_counter() < self._until:
            self._loop.call_soon(self._turn)
        else:
            self._is_turning = False
