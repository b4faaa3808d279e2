"""Getting work: claim as much as there are free slots, wait without polling."""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol

import msgspec

from ltq._aio.backoff import ExponentialBackoff
from ltq.broker import Claim, Consumer
from ltq.broker.isolation import ISOLATION
from ltq.errors import BrokerError
from ltq.logger import ThrottledLogger
from ltq.message import Delivery, Lease

logger = logging.getLogger("ltq.worker")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0

_SMALLEST_HALF = 8
"""Below so many tasks a claim, another call costs more than waiting for it."""

_IMPATIENCE = 60.0
"""Seconds after having waited for company in vain in which a worker does not wait again."""


class Room(Protocol):
    """Where claimed work goes."""

    @property
    def free(self) -> int:
        """How many deliveries it can take."""
        ...

    @property
    def used(self) -> int:
        """How many it has."""
        ...

    async def wait_changed(self, timeout: float | None = None) -> None:
        """Wait until it can take more, at most `timeout` seconds."""
        ...


class Fetcher:
    """The loop of a worker that claims."""

    def __init__(
        self,
        consumer: Consumer,
        room: Room,
        *,
        lease: float,
        renew: Callable[[Sequence[Lease]], Awaitable[Sequence[Lease]]],
        start: Callable[[Delivery], None],
    ) -> None:
        self._consumer = consumer
        self._room = room
        self._lease = lease
        self._renew = renew
        self._start = start
        self._failed_waits = 0
        self._wait_pauses = ExponentialBackoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        self._task: asyncio.Task[Any] | None = None
        """Where it rests, while it does."""
        self._claiming: asyncio.Task[Claim] | None = None
        """The call under way."""
        self._stopped = asyncio.Event()
        self._claim_pauses = ExponentialBackoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        self._isolation: int | None = None
        """What a task needs that waits for room."""
        self._patient_until = -math.inf
        self._seldom = ThrottledLogger(logger)
        self.claimed_at = time.monotonic()
        """When a claim succeeded last, or room was waited for in vain until then."""

    @property
    def is_full(self) -> bool:
        """Whether nothing is claimed for want of room."""
        return self._room.free == 0

    async def run(self, *, burst: bool = False) -> None:
        """Claim and start until `stop`, or in a burst until there is nothing more to do now."""
        while not self._stopped.is_set():
            limit = self._limit()
            claim = await self._claim(limit)
            if claim is None:
                continue
            for delivery in claim.deliveries:
                self._start(delivery)
            self._make_room(claim, limit)
            nothing_runs = not claim.deliveries and not self._room.used
            if burst and limit and nothing_runs and claim.start_in is None:
                return
            there_is_more = len(claim.deliveries) == limit or claim.due_in == 0
            if not self._free or not there_is_more:
                await self._rest(self._wait(claim, burst=burst))

    def stop(self) -> None:
        """Claim no more. A claim under way is not cut, see `join`: its tasks would be nobody's."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        if self._task is not None:
            self._task.cancel()

    async def join(self, timeout: float) -> None:
        """Once `run` has ended, start what a claim under way gives within `timeout` seconds.

        What a later one was given comes back when its lease ends.
        """
        claiming, self._claiming = self._claiming, None
        if claiming is None:
            return
        await asyncio.wait([claiming], timeout=timeout)
        claiming.cancel()
        await asyncio.wait([claiming])
        if claiming.cancelled() or claiming.exception() is not None:
            return
        for delivery in claiming.result().deliveries:
            self._start(delivery)

    def _limit(self) -> int:
        """Half of the room at a time: one half runs while the other is being claimed."""
        half = (self._room.free + self._room.used + 1) // 2
        return min(self._free, max(_SMALLEST_HALF, half))

    @property
    def _free(self) -> int:
        """The room there is; none while a task waits for others to end."""
        return 0 if self._patience() > 0 else self._room.free

    def _patience(self) -> float:
        """Seconds that a task which needs small company is still waited for."""
        if not self._is_crowded():
            return 0.0
        return max(0.0, self._patient_until - asyncio.get_running_loop().time())

    def _is_crowded(self) -> bool:
        return self._isolation is not None and self._room.used >= self._isolation

    def _make_room(self, claim: Claim, limit: int) -> None:
        """Take in whether a task waits for smaller isolation: then the room is to become empty."""
        if limit and claim.isolation is None:
            self._isolation = None
        elif claim.isolation is not None:
            now = asyncio.get_running_loop().time()
            in_vain = now < self._patient_until + _IMPATIENCE
            self._isolation = claim.isolation
            if not in_vain:
                self._patient_until = now + ISOLATION

    async def _claim(self, limit: int) -> Claim | None:
        """None where it failed, or was stopped: then `join` knows more."""
        # One that was waited for in vain is taken all the same: no task shall wait for ever.
        in_vain = self._is_crowded() and not self._patience()
        began = time.monotonic()
        self._claiming = asyncio.create_task(
            self._consumer.claim(limit, self._room.used, ignore_isolation=in_vain)
        )
        await self._rest(asyncio.wait([self._claiming]))
        if not self._claiming.done():
            return None
        claiming, self._claiming = self._claiming, None
        try:
            claim = claiming.result()
        except BrokerError as error:
            self._seldom.warning("claiming failed, trying again: %s", error)
            await self._rest(asyncio.sleep(self._claim_pauses.next()))
            return None
        self._claim_pauses.reset()
        self.claimed_at = time.monotonic()
        if self._seldom.over():
            logger.info("claiming again")
        if claim.deliveries and time.monotonic() - began > self._lease / 2:
            return await self._still_held(claim)
        return claim

    async def _still_held(self, claim: Claim) -> Claim:
        """What a claim that took long still holds: this process may have been paused meanwhile."""
        try:
            lost = set(await self._renew([delivery.lease for delivery in claim.deliveries]))
        except BrokerError:  # whatever they do is fenced
            return claim
        if lost:
            logger.warning("%d tasks were claimed too long ago to run", len(lost))
        held = [delivery for delivery in claim.deliveries if delivery.lease not in lost]
        return msgspec.structs.replace(claim, deliveries=held)

    async def _wait(self, claim: Claim, *, burst: bool) -> None:
        if not self._free or (burst and self._room.used):
            patience = self._patience() or math.inf
            due_in = math.inf if claim.due_in is None else claim.due_in
            timeout = min(due_in, patience)
            await self._room.wait_changed(None if timeout == math.inf else timeout)
            self.claimed_at = time.monotonic()  # now it claims again
            return
        try:
            await self._consumer.wait(claim.due_in)
            self._failed_waits = 0
            self._wait_pauses.reset()
        except BrokerError as error:
            # Once may be a lost connection, and the next claim tells; then do not spin.
            self._failed_waits += 1
            if self._failed_waits > 1:
                self._seldom.warning("waiting for work fails: %s", error)
                await asyncio.sleep(self._wait_pauses.next())

    async def _rest(self, pause: Coroutine[Any, Any, object]) -> None:
        """Await something that `stop` may cut short, or has cut short already."""
        task = asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"
        if self._stopped.is_set():
            pause.close()
            return
        self._task = task
        try:
            await pause
        except asyncio.CancelledError:
            if not self._stopped.is_set() or task.uncancel() > 0:
                raise
        finally:
            self._task = None
