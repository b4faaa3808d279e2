"""Producers that never rest, and a waiter for each task they sent."""

import asyncio
import time
from typing import Self

from devtools.ledger import Ledger
from ltq import Handle
from ltq.errors import BrokerError
from tests.elapse import elapse
from tests.eventually import eventually
from tests.faults import jobs

_BEAT = 0.01


class Load:
    """Sends `double` tasks as an async context manager; what was acknowledged must come back."""

    def __init__(self, ledger: Ledger, producers: int = 3) -> None:
        self._ledger = ledger
        self._count = producers
        self._number = 0
        self._producers: list[asyncio.Task[None]] = []
        self._waiters: dict[int, asyncio.Task[int]] = {}
        self.refused: list[tuple[float, BrokerError]] = []
        """How long each send took that failed, and why."""
        self.unanswered = 0
        """Waiters that were told of the broker instead."""

    @property
    def sent(self) -> int:
        """How many sends were acknowledged."""
        return len(self._waiters)

    async def flows(self, timeout: float = 15.0) -> float:
        """Wait until something that starts from now on has ended; how many seconds it took."""
        begin, known = time.time(), self._ledger.ids("end")
        await eventually(lambda: self._ledger.ids("end") - known, timeout, "tasks are consumed")
        return time.time() - begin

    async def finish(self, timeout: float = 20.0) -> None:
        """Send no more; each acknowledged task must give its result."""
        await self._stop()
        async with asyncio.timeout(timeout):
            for number, waiter in self._waiters.items():
                assert await waiter == 2 * number

    async def _produce(self) -> None:
        while True:
            self._number += 1
            number, begin = self._number, time.monotonic()
            try:
                handle = await jobs.double.send(number)
            except BrokerError as error:
                self.refused.append((time.monotonic() - begin, error))
            else:
                self._waiters[number] = asyncio.create_task(self._wait(handle))
            await elapse(_BEAT, "a producer has a rate")

    async def _wait(self, handle: Handle[int]) -> int:
        while True:
            try:
                return await handle.result(30)
            except BrokerError:
                self.unanswered += 1

    async def _stop(self) -> None:
        for producer in self._producers:
            producer.cancel()
        await asyncio.gather(*self._producers, return_exceptions=True)

    async def __aenter__(self) -> Self:
        self._producers = [asyncio.create_task(self._produce()) for _ in range(self._count)]
        await self.flows()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stop()
        for waiter in self._waiters.values():
            waiter.cancel()
        await asyncio.gather(*self._waiters.values(), return_exceptions=True)
