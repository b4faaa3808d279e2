"""huey on SQLite: one worker thread, which is quickest on one file; results kept, no bulk call."""

import asyncio
import importlib
from typing import Any

from benchmarks.peers.contender import POLL, Contender

huey = importlib.import_module("huey")


class Huey(Contender):
    """A consumer with one task. Its calls block, so they are made in place."""

    packages = ("huey",)

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._huey: Any = huey.SqliteHuey("bench", filename=self.url.removeprefix("sqlite:///"))

        def noop(number: int) -> int:
            loop.call_soon_threadsafe(self.tally.ran)
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
        # It polls: 1 ms at first, and after some empty looks no less often than each 10 ms.
        consumer = self._huey.create_consumer(
            workers=1, periodic=False, initial_delay=0.001, max_delay=0.01
        )
        consumer.start()
        try:
            await asyncio.Event().wait()
        finally:
            consumer.stop()
            for _, thread in consumer.worker_threads:
                await asyncio.to_thread(thread.join)

    async def aclose(self) -> None:
        self._huey.storage.close()


CONTENDER = Huey
