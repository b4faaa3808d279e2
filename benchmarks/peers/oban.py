"""oban: a worker class with one queue; the result is recorded in the job."""

import asyncio
import importlib
from collections.abc import Sequence
from typing import Any

from benchmarks.peers.contender import CONCURRENCY, POLL, Contender

oban = importlib.import_module("oban")
schema = importlib.import_module("oban.schema")
recorded = importlib.import_module("oban._recorded")


class Oban(Contender):
    """One instance that sends, and one that works."""

    packages = ("oban", "psycopg")

    async def open(self) -> None:
        delivered = self.delivered

        class Noop:
            async def process(self, job: Any) -> Any:
                delivered(job.args["number"])
                return oban.Record(job.args["number"])

        self._noop: Any = oban.worker(queue="bench")(Noop)
        self._pool = await oban.Oban.create_pool(self.url, min_size=1, max_size=10)
        await schema.install(self._pool)
        self._sender: Any = oban.Oban(pool=self._pool, name="sender")

    async def send(self, number: int) -> Any:
        return await self._sender.enqueue(self._noop.new({"number": number}))

    async def send_many(self, numbers: Sequence[int]) -> None:
        await self._sender.enqueue_many([self._noop.new({"number": number}) for number in numbers])

    async def result(self, sent: Any) -> object:
        while True:
            job = await self._sender.get_job(sent.id)
            if job.state == "completed":
                return recorded.decode_recorded(job.meta["return"])
            await asyncio.sleep(POLL)

    async def work(self) -> None:
        async with oban.Oban(pool=self._pool, queues={"bench": CONCURRENCY}):
            await asyncio.Event().wait()

    async def aclose(self) -> None:
        await self._pool.close()


CONTENDER = Oban
