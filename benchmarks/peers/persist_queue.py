"""persist-queue: a bare queue with acknowledgements. A thread stands for its worker."""

import asyncio
import importlib
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

from benchmarks.peers.contender import POLL, Contender, run_in_thread

persistqueue = importlib.import_module("persistqueue")


class PersistQueue(Contender):
    """A queue in a file. Its calls block, so they are made in place."""

    packages = ("persist-queue",)

    async def open(self) -> None:
        folder = str(Path(self.url.removeprefix("sqlite:///")).parent)
        self._queue: Any = persistqueue.SQLiteAckQueue(
            folder, db_file_name="jobs.db", multithreading=True
        )

    async def send(self, number: int) -> Any:
        await asyncio.sleep(0)
        return self._queue.put({"number": number})

    async def work(self) -> None:
        over = Event()
        await run_in_thread(partial(self._take, asyncio.get_running_loop(), over), over.set)

    def _take(self, loop: asyncio.AbstractEventLoop, over: Event) -> None:
        while not over.is_set():
            try:
                taken = self._queue.get(block=False, raw=True)
            except persistqueue.Empty:
                over.wait(POLL)
                continue
            loop.call_soon_threadsafe(self.delivered, taken["data"]["number"])
            self._queue.ack(id=taken["pqid"])

    async def aclose(self) -> None:
        self._queue.close()


CONTENDER = PersistQueue
