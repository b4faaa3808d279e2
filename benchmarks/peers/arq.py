"""arq: 100 jobs at a time, a look at the queue every 10 ms (its default is 500); no bulk call."""

import importlib
from typing import Any

from benchmarks.peers.contender import CONCURRENCY, POLL, Contender

arq = importlib.import_module("arq")
connections = importlib.import_module("arq.connections")

LOOK = 0.01


class Arq(Contender):
    """A pool and a worker with one function."""

    packages = ("arq",)

    async def open(self) -> None:
        self._settings = connections.RedisSettings.from_dsn(self.url)
        self._pool: Any = await arq.create_pool(self._settings)

    async def send(self, number: int) -> Any:
        return await self._pool.enqueue_job("noop", number)

    async def result(self, sent: Any) -> object:
        result: object = await sent.result(timeout=5, poll_delay=POLL)
        return result

    async def work(self) -> None:
        async def noop(ctx: object, number: int) -> int:
            self.delivered(number)
            return number

        worker = arq.Worker(
            [arq.worker.func(noop, name="noop")],
            redis_settings=self._settings,
            max_jobs=CONCURRENCY,
            poll_delay=LOOK,
            handle_signals=False,
        )
        try:
            await worker.async_run()
        finally:
            await worker.close()

    async def aclose(self) -> None:
        await self._pool.aclose()


CONTENDER = Arq
