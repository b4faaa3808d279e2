"""The workers of a simulated day, and the tasks that they run."""

import asyncio
from collections.abc import Callable

import ltq
from devtools.simulate.books import MAX_DELIVERIES, MAX_TRIES, Books, Job

LEASE = 600.0
"""Long, as the heartbeats of workers follow real time, by a third of this: none comes in a day."""

KEPT = 7 * 86_400.0
"""Seconds for which states are kept: until the books are looked at."""

PARTS = 4
"""Elements of a workflow's map."""

ORDER_DELIVERIES = 100
"""Tasks of workflows are not buried: all that are sent have to complete."""

LIMIT = 2
"""How many runs of the limited task may go on at once."""


class Shop:
    """Some workers with the same tasks, as in so many processes."""

    def __init__(self, workers: int, books: Books, clock: Callable[[], float]) -> None:
        self.books = books
        self.clock = clock
        self.workers = [self._worker() for _ in range(workers)]
        first = self.workers[0].tasks
        self.plain: ltq.Task[[int, int, float], int] = first["shop:plain"]
        self.limited: ltq.Task[[int, int, float], int] = first["shop:limited"]
        self.spread: ltq.Task[[int], list[int]] = first["shop:spread"]
        self.double: ltq.Task[[int], int] = first["shop:double"]
        self.total: ltq.Task[[list[int]], int] = first["shop:total"]

    def order(self, number: int) -> ltq.Node[int]:
        """A workflow: a map over another namespace, and its fan-in."""
        return self.spread.step(number).map(self.double).then(self.total)

    def _worker(self) -> ltq.Worker[None]:
        worker: ltq.Worker[None] = ltq.Worker("shop", concurrency=5, lease=LEASE, result_ttl=KEPT)

        @worker.task(name="plain", max_tries=MAX_TRIES, max_deliveries=MAX_DELIVERIES)
        async def plain(number: int, fails: int, seconds: float) -> int:
            return await self._run(self.plain.queue, Job(number, fails, seconds))

        @worker.task(
            name="limited",
            max_running=LIMIT,
            max_tries=MAX_TRIES,
            max_deliveries=MAX_DELIVERIES,
        )
        async def limited(number: int, fails: int, seconds: float) -> int:
            self.books.running += 1
            self.books.most_running = max(self.books.most_running, self.books.running)
            try:
                return await self._run(self.limited.queue, Job(number, fails, seconds))
            finally:
                self.books.running -= 1

        self._declare_order(worker)

        @worker.cron("*/30 * * * *")
        @worker.task(name="tick", max_deliveries=MAX_DELIVERIES)
        async def tick() -> None:
            self.books.ticks[ltq.current().id] += 1
            self.books.note(f"{self.clock():.3f} tick")

        return worker

    def _declare_order(self, worker: ltq.Worker[None]) -> None:
        @worker.task(name="spread", max_tries=MAX_TRIES, max_deliveries=ORDER_DELIVERIES)
        async def spread(number: int) -> list[int]:
            return [number] * PARTS

        @worker.task(name="double", queue="far:double", max_deliveries=ORDER_DELIVERIES)
        async def double(number: int) -> int:
            await asyncio.sleep(1.0)
            return 2 * number

        @worker.task(name="total", max_deliveries=ORDER_DELIVERIES)
        async def total(numbers: list[int]) -> int:
            number = sum(numbers) // (2 * PARTS)
            self.books.totals[number] += 1
            self.books.note(f"{self.clock():.3f} total of {number}")
            return sum(numbers)

    async def _run(self, queue: str, job: Job) -> int:
        run = self.books.begin(queue, job, self.clock())
        await asyncio.sleep(job.seconds)
        if run <= job.fails:
            raise ValueError(f"run {run} of job {job.number}")
        return 2 * job.number
