"""chancy: one queue on its asyncio executor, without its optional plugins; no results."""

import importlib
from collections.abc import Sequence
from typing import Any

from benchmarks.peers.contender import CONCURRENCY, Contender

chancy = importlib.import_module("chancy")

OPENED: list[Contender] = []
"""The contender in this process: a job is found by its path, so it belongs to no object."""


async def noop(number: int) -> None:
    OPENED[-1].delivered(number)


class Chancy(Contender):
    """A worker with one job."""

    packages = ("chancy", "psycopg")

    async def open(self) -> None:
        OPENED.append(self)
        self._chancy: Any = chancy.Chancy(self.url, no_default_plugins=True)
        await self._chancy.__aenter__()
        await self._chancy.migrate()
        await self._chancy.declare(
            chancy.Queue(
                "default",
                concurrency=CONCURRENCY,
                executor=chancy.Chancy.Executor.Async,
                polling_interval=1,
                eager_polling=True,
            )
        )
        self._job: Any = chancy.Job.from_func(noop)

    async def send(self, number: int) -> Any:
        return await self._chancy.push(self._job.with_kwargs(number=number))

    async def send_many(self, numbers: Sequence[int]) -> None:
        jobs = [self._job.with_kwargs(number=number) for number in numbers]
        async for _ in self._chancy.push_many(jobs):
            pass

    async def work(self) -> None:
        async with chancy.Worker(self._chancy, register_signal_handlers=False) as worker:
            await worker.wait_for_shutdown()

    async def aclose(self) -> None:
        await self._chancy.__aexit__(None, None, None)


CONTENDER = Chancy
