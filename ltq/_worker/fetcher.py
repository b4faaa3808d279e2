"""Getting work: claim as much as there is room for, and wait without polling."""

import asyncio
import logging
import time
from contextlib import suppress
from contextvars import Context
from typing import NamedTuple

import msgspec

from ltq._aio.backoff import ExponentialBackoff
from ltq._aio.clock import Clock
from ltq._aio.service import Service, cancel_all, first_of
from ltq._worker.isolation import IsolationWait
from ltq._worker.protocols import Pool, StrangerListener
from ltq.broker import Claim, Consumer, Settler
from ltq.broker.shards import renew_each
from ltq.errors import BrokerError
from ltq.logger import ThrottledLogger

logger = logging.getLogger("ltq.worker")

_BACKOFF = 0.1, 2.0
"""Seconds until a failed call is repeated: the first pause and the longest."""

_SMALLEST_HALF = 8
"""Fewest tasks that are worth a claim of their own: for fewer, the call costs more than waiting."""

_MOMENT = 0.001
"""Seconds within which quick tasks end."""

_LATE = 0.001
"""Seconds for which nothing runs before the answer to a claim, from which on it is late."""

_LATE_WEIGHT, _MOST_LATENESS = 4, 12
"""A late claim counts as much as so many that are not, up to a sum. A single one tells nothing."""


class _Call(NamedTuple):
    """A claim in progress."""

    task: "asyncio.Task[Claim]"
    limit: int
    """For how many it is."""
    running: int
    """How many it was told run beside them."""


class Fetcher(Service):
    """The loop of a worker that claims tasks, and starts them in the pool.

    It goes on until `stop`; in a burst, until there is nothing more to do now. `lease` is the
    duration of leases in seconds. `clock` gives seconds that never go back.
    """

    def __init__(
        self,
        consumer: Consumer,
        pool: Pool,
        settler: Settler,
        strangers: StrangerListener,
        *,
        lease: float,
        burst: bool = False,
        clock: Clock = time.monotonic,
    ) -> None:
        super().__init__("ltq-fetcher", logger)
        self._consumer = consumer
        self._pool = pool
        self._settler = settler
        self._strangers = strangers
        self._lease = lease
        self._burst = burst
        self._clock = clock
        self._isolation = IsolationWait()
        self._calls: list[_Call] = []
        """Those in progress, at most two."""
        self._leaves_more = False
        """Whether there may be more than the last claim gave."""
        self._were_two = False
        """Whether the last claim was answered while another one was in progress."""
        self._lateness = 0
        """How often claims have been late of late."""
        self._moved: dict[str, None] = {}
        """The lanes to which claims have moved tasks of which nobody was told yet."""
        self._last_claim: asyncio.Task[None] | None = None
        self._claim_backoff = ExponentialBackoff(*_BACKOFF)
        self._wait_backoff = ExponentialBackoff(*_BACKOFF)
        self._failed_waits = 0
        self._throttled = ThrottledLogger(logger, clock=clock)
        self._throttled_waits = ThrottledLogger(logger, clock=clock)
        """Its own: a claim that succeeds does not end a series of waits that fail."""
        self.claimed_at: float = clock()
        """When the last claim succeeded, or the last wait for room ended, by the clock."""

    @property
    def claimed_ago(self) -> float:
        """Seconds since `claimed_at`."""
        return self._clock() - self.claimed_at

    @property
    def is_full(self) -> bool:
        """Whether it claims nothing because all slots are in use."""
        return self._pool.free == 0

    async def drain(self, timeout: float | None = None) -> bool:
        """After `stop`, wait at most `timeout` seconds for the claim in progress; start its tasks.

        `stop` does not cancel that claim: its tasks would wait for their leases to end. So do the
        tasks of a claim that takes longer than `timeout`. Calls made at once share one wait.
        """
        if self._last_claim is None:
            self._last_claim = self._spawn(self._end_claim(timeout), "last-claim")
        await asyncio.wait([self._last_claim])
        return True

    async def _run(self) -> None:
        self._begin_claim()
        while self._calls:
            call = await self._answered()
            claim = self._claim_of(call)
            if claim is not None:
                if not await self._go_on(claim, call.limit):
                    return
            elif not self._calls:  # otherwise nobody would hold the leases of what comes meanwhile
                await asyncio.sleep(self._claim_backoff.next())
            if not self._calls:
                self._begin_claim()

    async def _go_on(self, claim: Claim, limit: int) -> bool:
        """Start what a claim of up to `limit` tasks gave; return False if a burst is over.

        If no other call is in progress, begin one ahead, or wait until there may be more.
        """
        self._isolation.learn(claim, limit)
        self._note_more(len(claim.deliveries) == limit or claim.due_in == 0)
        self._moved |= dict.fromkeys(claim.moved)
        if self._may_claim_ahead(claim):
            self._begin_claim(len(claim.deliveries))
        for delivery in claim.deliveries:
            self._pool.start(delivery)
        if self._calls:
            return True
        if self._moved:
            moved, self._moved = self._moved, {}
            await self._strangers.moved(tuple(moved))
        if self._burst and limit and self._is_idle(claim):
            return False
        has_room = self._has_room()
        if not has_room or not self._leaves_more:
            await self._wait(claim, has_room)
        return True

    def _note_more(self, is_more: bool) -> None:
        """Note whether there may be more than a claim gave.

        If two were in progress at once, neither says how it is after both: a third one does.
        """
        is_last = not self._calls
        self._leaves_more = is_more or (is_last and self._were_two)
        self._were_two = not is_last

    def _may_claim_ahead(self, claim: Claim) -> bool:
        """Whether to claim again before its tasks begin, so that the broker works meanwhile.

        What needs isolation begins first: it says how much may run beside it. And while it is
        looked who knows what was moved, nobody would renew the leases of what comes.
        """
        if self._calls or self._moved or not self._leaves_more:
            return False
        needs_none = all(one.isolation is None for one in claim.deliveries)
        return needs_none and self._has_room(len(claim.deliveries))

    def _may_claim_beside(self) -> bool:
        """Whether a second claim may go out once nothing runs.

        So it is where the way to the broker and back takes longer than the runs.
        """
        is_far = self._lateness > _LATE_WEIGHT
        if not is_far or len(self._calls) > 1 or self._moved or not self._leaves_more:
            return False
        return self._calls[0].running >= _SMALLEST_HALF

    def _limit(self, coming: int = 0) -> int:
        """How many to claim: half of all slots, so that one half runs while the other is filled.

        Beside another call, as many as that was told run: to it they do so still, which matters if
        it gives what needs isolation.
        """
        used, asked = self._pool.used + coming, sum(call.limit for call in self._calls)
        free = self._pool.free - coming - asked
        if self._isolation.seconds_left(used + asked):
            return 0
        half = max(_SMALLEST_HALF, (free + used + asked + 1) // 2)
        return min(free, half, *(call.running - used for call in self._calls))

    def _wanted(self) -> tuple[int, int]:
        """For how many tasks the next claim will be, and how many run beside them.

        While it waits, tasks may end but none begins. For none if it may claim before the wait is
        over, or not as usual.
        """
        used = self._pool.used
        if self._burst or self._isolation.has_failed(used):
            return 0, used
        return self._limit(), used

    def _has_room(self, coming: int = 0) -> bool:
        """Whether any may be claimed: none while a task that needs isolation waits for others.

        `coming` are how many are about to begin.
        """
        used = self._pool.used + coming
        return self._pool.free > coming and not self._isolation.seconds_left(used)

    def _is_idle(self, claim: Claim) -> bool:
        """Whether no task runs or may be claimed now, and none waits for its limit."""
        is_empty = not claim.deliveries and claim.due_in != 0 and claim.start_in is None
        return is_empty and not self._pool.used

    def _begin_claim(self, coming: int = 0) -> None:
        """Call the broker. `coming` are how many are about to begin."""
        limit = self._limit(coming)
        running = self._pool.used + coming + sum(call.limit for call in self._calls)
        call = self._call(limit, running, ignore_isolation=self._isolation.has_failed(running))
        task = self._spawn(call, "claim", is_awaited=True)
        task.add_done_callback(lambda _: self._pool.wake(), context=Context())
        self._calls.append(_Call(task, limit, running))

    async def _answered(self) -> _Call:
        """Wait until a call in progress is answered, and take it out.

        After a `stop`, `drain` waits for the rest.
        """
        while True:
            for call in self._calls:
                if call.task.done():
                    self._calls.remove(call)
                    self._forget(call.task)
                    return call
            if not self._may_claim_beside():
                tasks = [call.task for call in self._calls]
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            elif not self._pool.used and self._limit() >= _SMALLEST_HALF:
                self._begin_claim()
            else:
                await self._pool.wait_changed()

    def _claim_of(self, call: _Call) -> Claim | None:
        """The answer of a call; None if it failed."""
        try:
            claim = call.task.result()
        except BrokerError as error:
            self._throttled.warning("claiming failed, trying again: %s", error)
            return None
        if call.running >= _SMALLEST_HALF:
            change = _LATE_WEIGHT if self._pool.idle_for > _LATE else -1
            self._lateness = min(max(0, self._lateness + change), _MOST_LATENESS)
        self._claim_backoff.reset()
        self.claimed_at = self._clock()
        if self._throttled.over():
            logger.info("claiming again")
        return claim

    async def _call(self, limit: int, running: int, *, ignore_isolation: bool) -> Claim:
        began = self._clock()
        claim = await self._consumer.claim(limit, running, ignore_isolation=ignore_isolation)
        if claim.deliveries and claim.age + self._clock() - began > self._lease / 2:
            return await self._still_held(claim)
        return claim

    async def _still_held(self, claim: Claim) -> Claim:
        """A slow claim without the tasks whose leases have ended meanwhile.

        The process may have been paused between the claim and its reply.
        """
        leases = [delivery.lease for delivery in claim.deliveries]
        # Those of which nothing is known run: the broker refuses outcomes of leases that are lost.
        lost = {*(await renew_each(self._settler, leases, self._lease)).lost}
        if lost:
            logger.warning(
                "%d tasks are not run: their leases ended during a slow claim", len(lost)
            )
        held = [delivery for delivery in claim.deliveries if delivery.lease not in lost]
        return msgspec.structs.replace(claim, deliveries=held)

    async def _end_claim(self, timeout: float | None) -> None:
        calls, self._calls = self._calls, []
        if not calls:
            return
        tasks = [call.task for call in calls]
        await asyncio.wait(tasks, timeout=timeout)
        await cancel_all(tasks)
        for task in tasks:
            self._forget(task)
            if task.cancelled() or task.exception() is not None:
                continue
            for delivery in task.result().deliveries:
                self._pool.start(delivery)

    async def _wait(self, claim: Claim, has_room: bool) -> None:
        """Wait until another claim may return more tasks, or a burst may be over."""
        if not has_room:
            await self._wait_for_room(claim)
        elif self._burst and self._pool.used:
            end = self._wait_for_end(claim, self._pool.used)
            await first_of(end, self._wait_for_work(claim), name="ltq-fetcher-wait")
        else:
            await self._wait_for_work(claim)

    async def _wait_for_end(self, claim: Claim, used: int) -> None:
        """Wait until a run ends, unless fewer than `used` slots are in use by now."""
        if self._pool.used == used:
            await self._wait_for_room(claim)

    async def _wait_for_room(self, claim: Claim) -> None:
        isolation_ends = self._isolation.seconds_left(self._pool.used) or None
        timeouts = [seconds for seconds in (claim.due_in, isolation_ends) if seconds is not None]
        await self._pool.wait_changed(min(timeouts, default=None))
        self.claimed_at = self._clock()  # now it claims again

    async def _wait_for_quick_runs(self, claim: Claim) -> None:
        """If nothing ran before this claim: wait for a moment until nothing runs again.

        A broker may lease a task to a worker that waits, but not while others run: one of them may
        block the event loop, and the worker would not see what comes.
        """
        if not 0 < self._pool.used <= len(claim.deliveries):
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_MOMENT):
                while self._pool.used:
                    await self._pool.wait_changed()

    async def _wait_for_work(self, claim: Claim) -> None:
        await self._wait_for_quick_runs(claim)
        try:
            await self._consumer.wait(claim.due_in, *self._wanted())
        except BrokerError as error:
            # The first failure may be a lost connection: the claim that follows finds out. Only
            # repeated failures are logged, and need a pause so that the loop does not spin.
            self._failed_waits += 1
            if self._failed_waits > 1:
                self._throttled_waits.warning("waiting for work failed, trying again: %s", error)
                await asyncio.sleep(self._wait_backoff.next())
        else:
            self._failed_waits = 0
            self._wait_backoff.reset()
            if self._throttled_waits.over():
                logger.info("waiting for work again")
