"""huey on SQLite or Redis: a consumer with one thread, the quickest; results kept, no bulk call."""

import asyncio
import importlib
from typing import Any

from benchmarks.peers.contender import POLL, Contender, run_in_thread

huey = importlib.import_module("huey")


class Huey(Contender):
    """A consumer with one task. Its calls block, so they are made in place."""

    packages = ("huey",)

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        if self.url.startswith("sqlite:"):
            file = self.url.removeprefix("sqlite:///")
            self._huey: Any = huey.SqliteHuey("bench", filename=file)
        else:  # it waits for tasks with a blocking pop
            self._huey = huey.RedisHuey("bench", url=self.url)

        def noop(number: int) -> int:
            loop.call_soon_threadsafe(self.delivered, number)
            return number

        self._noop: Any = self._huey.task()(noop)

    async def send(self, number: int) -> Any:
        await asyncio.sleep(0)
        return self._noop(number)

    async def result(self, sent: Any) -> object:
        result = sent.get()
        while result is None:
            await asyncio.sleep(POLL)
            result = sent.get()
        return result

    async def work(self) -> None:
        # On a file it polls: 1 ms at first, after some empty looks no less often than each 10 ms.
        consumer = self._huey.create_consumer(
            workers=1, periodic=False, initial_delay=0.001, max_delay=0.01
        )
        consumer.start()
        threads = [thread for _, thread in consumer.worker_threads]
        await run_in_thread(threads[0].join, consumer.stop)

    async def aclose(self) -> None:
        if hasattr(self._huey.storage, "close"):
            self._huey.storage.close()


CONTENDER = Huey
