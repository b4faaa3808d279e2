"""LTQ as it is here: default middleware, results kept."""

from collections.abc import Sequence

import ltq
from benchmarks.peers.contender import CONCURRENCY, Contender


class LTQ(Contender):
    """A worker with one task."""

    packages = ("msgspec",)

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._worker = ltq.Worker("bench", broker_url=url, concurrency=CONCURRENCY)

        @self._worker.task
        async def noop(number: int) -> int:
            self.delivered(number)
            return number

        self._noop = noop

    async def open(self) -> None:
        if self.url.startswith("postgresql:"):
            await self._worker.broker.migrate()
        # Where a worker has been, keyspace notifications are on: every write costs a little more.
        async with self._worker:
            pass

    async def send(self, number: int) -> ltq.Handle[int]:
        return await self._noop.send(number)

    async def send_many(self, numbers: Sequence[int]) -> None:
        await self._noop.send_many([self._noop.message(number) for number in numbers])

    async def result(self, sent: ltq.Handle[int]) -> int:
        return await sent.result(timeout=5)

    async def work(self) -> None:
        await self._worker.run()

    async def aclose(self) -> None:
        await self._worker.aclose()


CONTENDER = LTQ
