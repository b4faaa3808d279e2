"""Somebody who steers a chaos run: pauses queues, promotes delayed tasks, cancels many at once."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from random import Random
from typing import TypeVar

from devtools.chaos.load import SORTS, SWEPT, Notes, Pause, Sweep
from ltq.broker import Broker
from ltq.errors import BrokerError
from ltq.state import Status

T = TypeVar("T")

QUEUES = sorted({sort.task.queue for sort in SORTS})

_LONGEST = 0.7
"""Seconds of a pause."""

_DELAYED = sorted({sort.task.queue for sort in SORTS if sort.is_delayed})
_PROMOTIONS, _MOST = 3, 3
"""Calls between two pauses, and most tasks of each."""

_SWEPT = sorted({sort.task.queue for sort in SORTS if sort.is_swept})
_STATUSES = (None, None, None, Status.PENDING, Status.DELAYED, Status.WORKING)


class Steersman:
    """Steers until told to stop; then nothing is paused any more."""

    def __init__(self, seed: int, brokers: Sequence[Broker], notes: Notes) -> None:
        self._chance = Random(seed + 2)
        self._brokers = brokers
        self._notes = notes
        self._steering: asyncio.Task[None] | None = None

    def start(self, pause: float) -> None:
        """Steer, with `pause` seconds between two steps in the mean."""
        self._steering = asyncio.create_task(self._steer(pause))

    async def stop(self) -> None:
        """Steer no more, and resume all queues."""
        if self._steering is not None:
            self._steering.cancel()
            with suppress(asyncio.CancelledError):
                await self._steering
        for queue in QUEUES:
            await self._resume(queue)

    async def _steer(self, pause: float) -> None:
        while True:
            await asyncio.sleep(self._chance.expovariate(1 / pause))
            for _ in range(_PROMOTIONS):
                await self._promote()
            await self._sweep(self._chance.choice(_SWEPT))
            await self._hold(self._chance.choice(QUEUES))

    async def _hold(self, queue: str) -> None:
        await self._insist(lambda broker: broker.pause(queue))
        began = time.time()
        await asyncio.sleep(self._chance.uniform(0.0, _LONGEST))
        if queue in _SWEPT:
            await self._sweep(queue)
        self._notes.pauses.append(Pause(queue, began, time.time()))
        await self._resume(queue)

    async def _resume(self, queue: str) -> None:
        await self._insist(lambda broker: broker.resume(queue))

    async def _promote(self) -> None:
        """Promote the last tasks of a queue that may be delayed."""
        queue = self._chance.choice(_DELAYED)
        sent = [one for one in self._notes.sent.values() if one.id not in self._notes.answers]
        late = [one.id for one in sent if one.sort.is_delayed and one.handle.queue == queue]
        ids = late[-_MOST:]
        self._notes.promoted += await self._insist(lambda broker: broker.promote(queue, ids))

    async def _sweep(self, queue: str) -> None:
        """Cancel all with the tag that wait in a queue, or only those with some status."""
        status = self._chance.choice(_STATUSES)

        async def sweep(broker: Broker) -> Sweep:
            began = time.time()
            count = await broker.cancel_many(queue, status=status, tag=SWEPT)
            return Sweep(queue, status, began, time.time(), count)

        self._notes.sweeps.append(await self._insist(sweep))

    async def _insist(self, call: Callable[[Broker], Awaitable[T]]) -> T:
        while True:
            try:
                return await call(self._chance.choice(self._brokers))
            except BrokerError:
                await asyncio.sleep(0.1)
