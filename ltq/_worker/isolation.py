"""Room for tasks that need isolation: their workers died, so they run with few others.

A worker keeps slots empty for such a task, before it is claimed (`IsolationWait`) and while it
runs (`IsolationLimits`), each time for `ISOLATION` seconds at most: no task is to wait for ever.
"""

import asyncio
import math
from collections.abc import Callable

from ltq._aio.clock import Clock
from ltq.broker import Claim
from ltq.broker.isolation import ISOLATION
from ltq.message import Lease

WAIT_AGAIN = 60.0
"""Seconds after having waited in vain in which a worker does not wait again."""


class IsolationWait:
    """Whether to claim nothing for a while, so that running tasks end and make room.

    `clock` gives seconds, by default the event loop's.
    """

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._clock = clock or asyncio.get_running_loop().time
        self._isolation: int | None = None
        """How many tasks may run, itself among them, with the one that waits; None: none waits."""
        self._until = -math.inf

    def learn(self, claim: Claim, limit: int) -> None:
        """Take in what a claim of up to `limit` tasks says of tasks that need isolation."""
        if claim.isolation is None:
            if limit:  # a claim of none says nothing
                self._isolation = None
            return
        self._isolation = claim.isolation
        now = self._clock()
        if now >= self._until + WAIT_AGAIN:
            self._until = now + ISOLATION

    def seconds_left(self, running: int) -> float:
        """Seconds to go on waiting, with so many tasks running; 0 if there is no need to."""
        return max(0.0, self._until - self._clock()) if self._is_too_full(running) else 0.0

    def is_over(self, running: int) -> bool:
        """Whether it was waited for in vain: the task is to be claimed all the same."""
        return self._is_too_full(running) and not self.seconds_left(running)

    def _is_too_full(self, running: int) -> bool:
        return self._isolation is not None and running >= self._isolation


class IsolationLimits:
    """How many tasks may run beside those that need isolation and run now.

    `ended` is called when the time of one is up. `hold` is that time, in seconds, by default
    `ISOLATION`.
    """

    def __init__(self, ended: Callable[[], object], *, hold: float | None = None) -> None:
        self._ended = ended
        self._hold = ISOLATION if hold is None else hold
        self._limits: dict[Lease, tuple[int, asyncio.TimerHandle]] = {}

    def __len__(self) -> int:
        return len(self._limits)

    def smallest(self) -> int:
        """How many may run, those themselves among them; there must be one at least."""
        return min(isolation for isolation, _ in self._limits.values())

    def add(self, lease: Lease, isolation: int) -> None:
        """A task begins that needs isolation."""
        timer = asyncio.get_running_loop().call_later(self._hold, self._expire, lease)
        self._limits[lease] = isolation, timer

    def discard(self, lease: Lease) -> None:
        """A task has ended; nothing happens where it needed no isolation."""
        limit = self._limits.pop(lease, None)
        if limit is not None:
            limit[1].cancel()

    def _expire(self, lease: Lease) -> None:
        self.discard(lease)
        self._ended()
