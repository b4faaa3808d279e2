"""Getting work: claim as much as there is room for, and wait without polling."""

import asyncio
import logging
import time
from contextlib import suppress

import msgspec

from ltq._aio.backoff import ExponentialBackoff
from ltq._aio.clock import Clock
from ltq._aio.service import Service, first_of
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
        self._claiming: asyncio.Task[Claim] | None = None
        """The call in progress."""
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
        limit: int | None = self._begin_claim()
        while limit is not None:
            claim = await self._claimed()
            limit = self._begin_claim() if claim is None else await self._go_on(claim, limit)

    async def _go_on(self, claim: Claim, limit: int) -> int | None:
        """Start what a claim of up to `limit` tasks gave, and begin the next claim.

        Returns for how many that is; None if a burst is over.
        """
        self._isolation.learn(claim, limit)
        deliveries, next_limit = claim.deliveries, None
        there_is_more = len(deliveries) == limit or claim.due_in == 0
        if there_is_more and self._may_claim_ahead(claim):
            next_limit = self._begin_claim(len(deliveries))
        for delivery in deliveries:
            self._pool.start(delivery)
        if claim.moved:
            await self._strangers.moved(claim.moved)
        if next_limit is not None:
            return next_limit
        if self._burst and limit and self._is_idle(claim):
            return None
        has_room = self._has_room()
        if not has_room or not there_is_more:
            await self._wait(claim, has_room)
        return self._begin_claim()

    def _may_claim_ahead(self, claim: Claim) -> bool:
        """Whether to claim again before its tasks begin, so that the broker works meanwhile.

        What needs isolation begins first: it says how much may run beside it. And while it is
        looked who knows what was moved, nobody would renew the leases of what comes.
        """
        needs_none = all(one.isolation is None for one in claim.deliveries)
        return self._has_room(len(claim.deliveries)) and needs_none and not claim.moved

    def _limit(self, coming: int = 0) -> int:
        """How many to claim: half of all slots, so that one half runs while the other is filled."""
        free, used = self._pool.free - coming, self._pool.used + coming
        if self._isolation.seconds_left(used):
            return 0
        return min(free, max(_SMALLEST_HALF, (free + used + 1) // 2))

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

    def _begin_claim(self, coming: int = 0) -> int:
        """Call the broker; return for how many. `coming` are how many are about to begin."""
        limit, running = self._limit(coming), self._pool.used + coming
        call = self._call(limit, running, ignore_isolation=self._isolation.has_failed(running))
        self._claiming = self._spawn(call, "claim", is_awaited=True)
        return limit

    async def _claimed(self) -> Claim | None:
        """The answer of the call in progress; None if it failed.

        After a `stop`, `drain` waits for the rest.
        """
        assert self._claiming is not None, "it was begun"
        await asyncio.wait([self._claiming])
        claiming, self._claiming = self._claiming, None
        self._forget(claiming)
        try:
            claim = claiming.result()
        except BrokerError as error:
            self._throttled.warning("claiming failed, trying again: %s", error)
            await asyncio.sleep(self._claim_backoff.next())
            return None
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
        claiming, self._claiming = self._claiming, None
        if claiming is None:
            return
        await asyncio.wait([claiming], timeout=timeout)
        claiming.cancel()
        await asyncio.wait([claiming])
        self._forget(claiming)
        if claiming.cancelled() or claiming.exception() is not None:
            return
        for delivery in claiming.result().deliveries:
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
