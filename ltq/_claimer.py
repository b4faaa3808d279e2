"""Getting work: claim as much as there are free slots, wait without polling."""

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Protocol

from ltq.broker import Claim, Consumer
from ltq.errors import BrokerError
from ltq.message import Delivery

logger = logging.getLogger("ltq.worker")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0

_SMALLEST_HALF = 8
"""Below so many tasks a claim, another call costs more than waiting for it."""


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


class Claimer:
    """The loop of a worker that claims."""

    def __init__(
        self,
        consumer: Consumer,
        room: Room,
        *,
        start: Callable[[Delivery], None],
    ) -> None:
        self._consumer = consumer
        self._room = room
        self._start = start
        self._failed_waits = 0
        self._task: asyncio.Task[Any] | None = None
        """Where it rests, while it does."""
        self._stopped = asyncio.Event()
        self._failures = 0

    async def run(self, *, burst: bool = False) -> None:
        """Claim and start until `stop`, or in a burst until there is nothing more to do now."""
        while not self._stopped.is_set():
            limit = self._limit()
            claim = await self._claim(limit)
            if claim is None:
                continue
            for delivery in claim.deliveries:
                self._start(delivery)
            nothing_runs = not claim.deliveries and not self._room.used
            if burst and nothing_runs and claim.start_in is None:
                return
            there_is_more = len(claim.deliveries) == limit or claim.due_in == 0
            if not self._room.free or not there_is_more:
                await self._rest(self._wait(claim, burst=burst))

    def stop(self) -> None:
        """Claim no more. A claim under way is not cut: its tasks would be nobody's."""
        self._stopped.set()
        if self._task is not None:
            self._task.cancel()

    def _limit(self) -> int:
        """Half of the room at a time: one half runs while the other is being claimed."""
        half = (self._room.free + self._room.used + 1) // 2
        return min(self._room.free, max(_SMALLEST_HALF, half))

    async def _claim(self, limit: int) -> Claim | None:
        try:
            claim = await self._claim_whole(limit)
        except BrokerError as error:
            self._failures += 1
            longest = min(_FIRST_PAUSE * 2.0 ** min(self._failures, 10), _LONGEST_PAUSE)
            logger.warning("claiming failed, trying again in %.1f s at most: %s", longest, error)
            await self._rest(asyncio.sleep(longest * random.uniform(0.5, 1.0)))
            return None
        if self._failures:
            self._failures = 0
            logger.info("claiming again")
        return claim

    async def _claim_whole(self, limit: int) -> Claim:
        """A claim that is not cut short: what it leased would be nobody's."""
        claiming = asyncio.ensure_future(self._consumer.claim(limit))
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            with suppress(BrokerError):
                for delivery in (await claiming).deliveries:
                    self._start(delivery)
            raise

    async def _wait(self, claim: Claim, *, burst: bool) -> None:
        if not self._room.free or (burst and self._room.used):
            await self._room.wait_changed(claim.due_in)
            return
        try:
            await self._consumer.wait(claim.due_in)
            self._failed_waits = 0
        except BrokerError as error:
            # Once may be a lost connection, and the next claim tells; then do not spin.
            self._failed_waits += 1
            if self._failed_waits > 1:
                logger.warning("waiting for work fails: %s", error)
                await asyncio.sleep(min(_FIRST_PAUSE * 2.0**self._failed_waits, _LONGEST_PAUSE))

    async def _rest(self, pause: Coroutine[Any, Any, None]) -> None:
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
