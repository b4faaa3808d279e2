"""Where a measure of LTQ runs, and the no-op tasks it runs there."""

from collections.abc import Iterable
from dataclasses import dataclass

import redis.asyncio

import ltq
from benchmarks.peers.contender import CONCURRENCY, Tally

BULK = 500

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Stand:
    """Where nothing is yet, and how much of the full measure is wanted."""

    url: str
    scale: float = 1.0
    """1 for figures that mean something, less for a try."""

    def count(self, full: int, least: int = 10) -> int:
        """So many of what is `full` tasks."""
        return max(least, round(full * self.scale))

    def seconds(self, full: float, least: float = 0.2) -> float:
        """So much of what is `full` seconds."""
        return max(least, full * min(1.0, self.scale))


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisStand(Stand):
    """An emptied server."""

    client: redis.asyncio.Redis


class BenchWorker:
    """A worker with no-op tasks: each returns its number."""

    def __init__(self, url: str, name: str = "bench", tasks: int = 1) -> None:
        self.tally = Tally()
        self.worker = ltq.Worker(name, broker_url=url, concurrency=CONCURRENCY)
        self.tasks = [self._declare(number) for number in range(tasks)]
        self.noop = self.tasks[-1]

    def _declare(self, number: int) -> ltq.Task[[int], int]:
        @self.worker.task(name=f"noop{number}")
        async def noop(number: int) -> int:
            self.tally.ran()
            return number

        return noop

    async def fill(self, count: int) -> None:
        """Send so many of the last task, 500 a call."""
        for first in range(0, count, BULK):
            await self.send(range(first, min(first + BULK, count)))

    async def send(self, numbers: Iterable[int]) -> list[ltq.Handle[int]]:
        """Send the last task with these numbers, in one call."""
        return await self.noop.send_many([self.noop.message(number) for number in numbers])

    async def drain(self, count: int) -> float:
        """Run this many of the tasks that wait; tasks a second, from the first run to the last."""
        self.tally.expect(count)
        async with self.worker:
            seconds = await self.tally.seconds()
            self.worker.stop()
        return (count - 1) / seconds
