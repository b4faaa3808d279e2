"""procrastinate: an app with one task; finished jobs are kept, results are not."""

import importlib
from collections.abc import Sequence
from typing import Any

from benchmarks.peers.contender import CONCURRENCY, Contender

procrastinate = importlib.import_module("procrastinate")


class Procrastinate(Contender):
    """A worker with one task, woken by notifications."""

    packages = ("procrastinate", "psycopg")

    async def open(self) -> None:
        connector = procrastinate.PsycopgConnector(conninfo=self.url, max_size=10)
        self._app: Any = procrastinate.App(connector=connector)

        async def noop(number: int) -> None:
            self.delivered(number)

        self._noop: Any = self._app.task(name="noop")(noop)
        await self._app.open_async()
        await self._app.schema_manager.apply_schema_async()

    async def send(self, number: int) -> Any:
        return await self._noop.defer_async(number=number)

    async def send_many(self, numbers: Sequence[int]) -> None:
        await self._noop.batch_defer_async(*({"number": number} for number in numbers))

    async def work(self) -> None:
        await self._app.run_worker_async(
            concurrency=CONCURRENCY, install_signal_handlers=False, shutdown_graceful_timeout=0
        )

    async def aclose(self) -> None:
        await self._app.close_async()


CONTENDER = Procrastinate
