"""Room for tasks that need isolation: their workers died, so they run with few others.

A worker keeps slots empty for such a task before it is claimed (`IsolationWait`) and while it runs
(`IsolationLimits`). Each takes at most `ISOLATION` seconds, so that no other task waits for ever.
"""

import asyncio
import math
from collections.abc import Callable

from ltq._aio.clock import Clock
from ltq.broker import Claim
from ltq.broker.isolation import ISOLATION
from ltq.message import Lease

WAIT_AGAIN_AFTER = 60.0
"""Seconds between the end of one wait and the beginning of the next."""


class IsolationWait:
    """Decides whether to claim nothing for a while, until enough running tasks have ended.

    A wait begins when a claim has to leave a task behind that needs isolation. It succeeds once
    few enough tasks run. If its time is up before that, it has failed: the worker claims the task
    anyway, and does not wait again for `WAIT_AGAIN_AFTER` seconds.

    `clock` gives seconds, by default the event loop's.
    """

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._clock = clock or asyncio.get_running_loop().time
        self._isolation: int | None = None
        """How many tasks may run with the waiting one, itself included; None if none waits."""
        self._deadline = -math.inf
        """When the present wait ends, or the last one ended."""

    def learn(self, claim: Claim, limit: int) -> None:
        """Note whether a claim of up to `limit` tasks left one behind that needs isolation."""
        if claim.isolation is None:
            if limit:  # a claim of no tasks tells nothing
                self._isolation = None
            return
        self._isolation = claim.isolation
        now = self._clock()
        if now >= self._deadline + WAIT_AGAIN_AFTER:
            self._deadline = now + ISOLATION

    def seconds_left(self, running: int) -> float:
        """Seconds to go on waiting while `running` tasks run; 0 if there is no need to wait."""
        return max(0.0, self._deadline - self._clock()) if self._is_too_full(running) else 0.0

    def has_failed(self, running: int) -> bool:
        """Whether the time is up although too many tasks run: claim the task anyway."""
        return self._is_too_full(running) and not self.seconds_left(running)

    def _is_too_full(self, running: int) -> bool:
        return self._isolation is not None and running >= self._isolation


class IsolationLimits:
    """How many tasks may run beside those that need isolation and run now.

    Each limit holds for `hold` seconds, by default `ISOLATION`. `ended` is called when that time
    is up before the task has ended.
    """

    def __init__(self, ended: Callable[[], object], *, hold: float | None = None) -> None:
        self._ended = ended
        self._hold = ISOLATION if hold is None else hold
        self._limits: dict[Lease, tuple[int, asyncio.TimerHandle]] = {}

    def __len__(self) -> int:
        return len(self._limits)

    def smallest(self) -> int:
        """How many tasks may run in all. There must be at least one limit."""
        return min(isolation for isolation, _ in self._limits.values())

    def add(self, lease: Lease, isolation: int) -> None:
        """Limit what runs beside a task that begins and needs isolation."""
        timer = asyncio.get_running_loop().call_later(self._hold, self._expire, lease)
        self._limits[lease] = isolation, timer

    def discard(self, lease: Lease) -> None:
        """Remove the limit of a task that has ended. Does nothing if it had none."""
        limit = self._limits.pop(lease, None)
        if limit is not None:
            limit[1].cancel()

    def _expire(self, lease: Lease) -> None:
        self.discard(lease)
        self._ended()
