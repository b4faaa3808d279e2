"""PgQueuer on asyncpg, the quicker of its drivers: durable tables, no results."""

import asyncio
import importlib
from collections.abc import Sequence
from typing import Any

from benchmarks.peers.contender import CONCURRENCY, Contender

asyncpg = importlib.import_module("asyncpg")
pgqueuer = importlib.import_module("pgqueuer")
drivers = importlib.import_module("pgqueuer.db")
queries = importlib.import_module("pgqueuer.queries")

BATCH = 50
"""Its dequeue takes at most half of the tasks that may run at once."""


class PgQueuer(Contender):
    """A queue manager with one entry point. Each of its parts has a connection of its own."""

    packages = ("pgqueuer", "asyncpg")

    async def open(self) -> None:
        self._sender = await asyncpg.create_pool(self.url, min_size=1, max_size=10)
        self._queries: Any = queries.Queries(drivers.AsyncpgPoolDriver(self._sender))
        await self._queries.install()

    async def send(self, number: int) -> Any:
        return await self._queries.enqueue("noop", b"%d" % number)

    async def send_many(self, numbers: Sequence[int]) -> None:
        count = len(numbers)
        await self._queries.enqueue(
            ["noop"] * count, [b"%d" % number for number in numbers], [0] * count
        )

    async def work(self) -> None:
        pool = await asyncpg.create_pool(self.url, min_size=1, max_size=10)
        manager = pgqueuer.PgQueuer(drivers.AsyncpgPoolDriver(pool))

        async def noop(job: Any) -> None:
            self.delivered(int(job.payload))

        manager.entrypoint("noop")(noop)
        try:
            await manager.run(batch_size=BATCH, max_concurrent_tasks=CONCURRENCY)
        finally:
            manager.shutdown.set()
            await asyncio.wait_for(pool.close(), 3)

    async def aclose(self) -> None:
        await self._sender.close()


CONTENDER = PgQueuer
