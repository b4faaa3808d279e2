"""saq: 100 jobs at a time, results kept; no bulk call without waiting for results."""

import asyncio
import importlib
from typing import Any

from benchmarks.peers.contender import CONCURRENCY, POLL, Contender

saq = importlib.import_module("saq")


class Saq(Contender):
    """A queue and a worker with one function."""

    packages = ("saq",)

    async def open(self) -> None:
        # Its worker needs a connection for each free slot; sends are throttled to 20 at once.
        self._queue: Any = saq.Queue.from_url(self.url, max_concurrent_ops=CONCURRENCY)
        await self._queue.connect()

        async def noop(ctx: object, *, number: int) -> int:
            self.delivered(number)
            return number

        self._functions = [("noop", noop)]

    async def send(self, number: int) -> Any:
        return await self._queue.enqueue("noop", number=number)

    async def result(self, sent: Any) -> object:
        # `refresh(until_complete)` misses what ends before it has subscribed, and then waits on.
        await sent.refresh()
        while not sent.completed:
            await asyncio.sleep(POLL)
            await sent.refresh()
        return sent.result

    async def work(self) -> None:
        worker = saq.Worker(self._queue, self._functions, concurrency=CONCURRENCY)
        await worker.start()

    async def aclose(self) -> None:
        await self._queue.disconnect()


CONTENDER = Saq
