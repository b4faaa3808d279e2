"""ltq 0.4.0: no bulk call, no results. It has `await broker.publish` behind each send."""

import importlib
from typing import Any

from benchmarks.peers.contender import CONCURRENCY, Contender

ltq = importlib.import_module("ltq")


class LTQ04(Contender):
    """A worker with one task."""

    packages = ("ltq",)

    def __init__(self, url: str) -> None:
        super().__init__(url)
        # redis-py raises where more are wanted than its pool may open, 100 if nobody says more.
        url += "?max_connections=1000"
        self._worker: Any = ltq.Worker("bench", broker_url=url, concurrency=CONCURRENCY)

        async def noop(number: int) -> int:
            self.delivered(number)
            return number

        noop.__qualname__ = "noop"  # its queue is named so
        self._noop = self._worker.task()(noop)

    async def send(self, number: int) -> None:
        await self._noop.send(number)

    async def work(self) -> None:
        await self._worker.run()

    async def aclose(self) -> None:
        await self._worker.broker.close()


CONTENDER = LTQ04
