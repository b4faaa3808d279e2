"""streaq: 100 tasks at a time, results kept, `enqueue_many`. It has a Redis client of its own."""

import importlib
from collections.abc import Sequence
from typing import Any

from benchmarks.peers.contender import CONCURRENCY, Contender

streaq = importlib.import_module("streaq")


class Streaq(Contender):
    """One worker that sends, another that runs: one cannot be entered twice."""

    packages = ("streaq", "coredis")

    def _worker(self) -> Any:
        worker = streaq.Worker(redis_url=self.url, concurrency=CONCURRENCY, handle_signals=False)

        async def noop(number: int) -> int:
            self.delivered(number)
            return number

        return worker, worker.task(name="noop", silent=True)(noop)

    async def open(self) -> None:
        self._sender, self._noop = self._worker()
        await self._sender.__aenter__()

    async def send(self, number: int) -> Any:
        return await self._noop.enqueue(number)

    async def send_many(self, numbers: Sequence[int]) -> None:
        await self._sender.enqueue_many([self._noop.enqueue(number) for number in numbers])

    async def result(self, sent: Any) -> object:
        result: object = (await sent.result(timeout=5)).result
        return result

    async def work(self) -> None:
        worker, _ = self._worker()
        await worker.run_async()

    async def aclose(self) -> None:
        await self._sender.__aexit__(None, None, None)


CONTENDER = Streaq
