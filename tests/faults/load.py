"""Producers that never rest, and a waiter for each task they sent."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

from devtools.ledger import Ledger
from ltq import Handle, Task
from ltq.errors import BrokerError, TaskNotFoundError
from tests.elapse import elapse
from tests.eventually import eventually
from tests.faults import jobs

_BEAT = 0.01


@dataclass(frozen=True)
class Account:
    """What became of the tasks of a load."""

    sent: int
    """How many sends were acknowledged."""
    lost: int
    """How many of these nobody knows any more, and no worker has run to its end."""
    refused: int
    """How many sends failed."""
    again: int
    """How many tasks started more than once."""
    gap: float
    """The longest time in which no task ended, in seconds."""


class Load:
    """Sends `double` tasks as an async context manager; what was acknowledged must come back.

    `task` is another one like `double`, for example of another namespace.
    """

    def __init__(
        self, ledger: Ledger, producers: int = 3, task: Task[[int], int] = jobs.double
    ) -> None:
        self._ledger = ledger
        self._count = producers
        self._task = task
        self._number = 0
        self._producers: list[asyncio.Task[None]] = []
        self._waiters: dict[str, asyncio.Task[None]] = {}
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

        def is_one_ended() -> bool:
            return bool((self._ledger.ids("end") - known).intersection(self._waiters))

        await eventually(is_one_ended, timeout, "tasks are consumed")
        return time.time() - begin

    async def finish(self, timeout: float = 20.0) -> None:
        """Send no more; each acknowledged task must give its result."""
        await self._stop()
        async with asyncio.timeout(timeout):
            for waiter in self._waiters.values():
                await waiter

    async def account(self, timeout: float = 30.0) -> Account:
        """Send no more; what became of each task. Replicas may lack what was just acknowledged."""
        await self._stop()
        async with asyncio.timeout(timeout):
            gone = {id_ for id_, waiter in self._waiters.items() if await self._is_gone(waiter)}
        ends = sorted(one.time for one in self._ledger.events("end") if one.id in self._waiters)
        starts = Counter(one.id for one in self._ledger.events("start"))
        return Account(
            sent=len(self._waiters),
            lost=len(gone - self._ledger.ids("end")),
            refused=len(self.refused),
            again=sum(starts[id_] > 1 for id_ in self._waiters),
            gap=max((later - earlier for earlier, later in pairwise(ends)), default=0.0),
        )

    async def _is_gone(self, waiter: "asyncio.Task[None]") -> bool:
        try:
            await waiter
        except TaskNotFoundError:
            return True
        return False

    async def _produce(self) -> None:
        while True:
            self._number += 1
            number, begin = self._number, time.monotonic()
            try:
                handle = await self._task.send(number)
            except BrokerError as error:
                self.refused.append((time.monotonic() - begin, error))
            else:
                self._waiters[handle.id] = asyncio.create_task(self._wait(handle, 2 * number))
            await elapse(_BEAT, "a producer has a rate")

    async def _wait(self, handle: Handle[int], expected: int) -> None:
        while True:
            try:
                assert await handle.result(30) == expected
                return
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
