"""docket: 100 tasks at a time, a look every 10 ms (default: 250), results kept, `add_many`."""

import importlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from benchmarks.peers.contender import CONCURRENCY, Contender

docket = importlib.import_module("docket")

LOOK = timedelta(milliseconds=10)


class Docket(Contender):
    """A docket with one task."""

    packages = ("pydocket",)

    async def open(self) -> None:
        async def noop(number: int) -> int:
            self.delivered(number)
            return number

        self._noop = noop
        # redis-py raises where more are wanted than its pool may open, 100 if nobody says more.
        url = f"{self.url}?max_connections=1000"
        self._docket: Any = docket.Docket(name="bench", url=url)
        await self._docket.__aenter__()
        self._docket.register(noop)

    async def send(self, number: int) -> Any:
        return await self._docket.add(self._noop)(number)

    async def send_many(self, numbers: Sequence[int]) -> None:
        calls = [self._docket.call(self._noop)(number) for number in numbers]
        await self._docket.add_many(calls)

    async def result(self, sent: Any) -> object:
        result: object = await sent.get_result(timeout=timedelta(seconds=5))
        return result

    async def work(self) -> None:
        options = {"concurrency": CONCURRENCY, "minimum_check_interval": LOOK}
        async with docket.Worker(self._docket, **options) as worker:
            await worker.run_forever()

    async def aclose(self) -> None:
        await self._docket.__aexit__(None, None, None)


CONTENDER = Docket
