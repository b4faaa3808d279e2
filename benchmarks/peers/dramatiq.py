"""dramatiq on Redis: a worker with its eight threads, results kept; no bulk call."""

import asyncio
import importlib
from threading import Event
from typing import Any

from benchmarks.peers.contender import Contender, run_in_thread

dramatiq = importlib.import_module("dramatiq")
brokers = importlib.import_module("dramatiq.brokers.redis")
results = importlib.import_module("dramatiq.results")
backends = importlib.import_module("dramatiq.results.backends")


class Dramatiq(Contender):
    """A broker with one actor. Its calls block, so they are made in place."""

    packages = ("dramatiq",)

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._broker: Any = brokers.RedisBroker(url=self.url)
        self._backend: Any = backends.RedisBackend(url=self.url)
        self._broker.add_middleware(results.Results(backend=self._backend, store_results=True))

        def noop(number: int) -> int:
            loop.call_soon_threadsafe(self.delivered, number)
            return number

        self._noop: Any = dramatiq.actor(noop, broker=self._broker, actor_name="noop")

    async def send(self, number: int) -> Any:
        await asyncio.sleep(0)
        return self._noop.send(number)

    async def result(self, sent: Any) -> object:
        result: object = sent.get_result(backend=self._backend, block=True, timeout=5_000)
        return result

    async def work(self) -> None:
        worker, over = dramatiq.Worker(self._broker, worker_threads=8), Event()
        worker.start()
        try:
            await run_in_thread(over.wait, over.set)
        finally:
            worker.stop(timeout=3_000)

    async def aclose(self) -> None:
        self._broker.close()


CONTENDER = Dramatiq
