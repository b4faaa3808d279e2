"""RQ: its worker that runs jobs without a fork for each, which is the quicker one; results kept."""

import asyncio
import importlib
import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

from benchmarks.peers.contender import Contender, run_in_thread

rq = importlib.import_module("rq")
timeouts = importlib.import_module("rq.timeouts")
redis = importlib.import_module("redis")

OPENED: list["RQ"] = []
"""The contender in this process: a job is found by its path, so it belongs to no object."""

LOOK = 16
"""Seconds of `worker_ttl`: a worker that waits looks every second whether it has to end."""

ENDLESS = -1
"""No timeout: in a thread each one would take another thread."""


def noop(number: int) -> int:
    OPENED[-1].ran(number)
    return number


class RQ(Contender):
    """A queue and a worker. Its calls block, so they are made in place."""

    packages = ("rq",)

    async def open(self) -> None:
        OPENED.append(self)
        self._loop = asyncio.get_running_loop()
        self._client: Any = redis.Redis.from_url(self.url)
        self._queue: Any = rq.Queue("bench", connection=self._client, default_timeout=ENDLESS)
        logging.getLogger("rq.worker").setLevel(logging.ERROR)

    def ran(self, number: int) -> None:
        """Tell of a run, in the worker's thread."""
        self._loop.call_soon_threadsafe(self.delivered, number)

    async def send(self, number: int) -> Any:
        await asyncio.sleep(0)
        return self._queue.enqueue(noop, number)

    async def send_many(self, numbers: Sequence[int]) -> None:
        prepare = partial(rq.Queue.prepare_data, noop, timeout=ENDLESS)
        self._queue.enqueue_many([prepare(args=(number,)) for number in numbers])

    async def result(self, sent: Any) -> object:
        result: object = sent.latest_result(timeout=5).return_value
        return result

    async def work(self) -> None:
        class Worker(rq.SimpleWorker):  # type: ignore[name-defined,misc]
            """One that lives in a thread: signals are not for it."""

            death_penalty_class = timeouts.TimerDeathPenalty

            def _install_signal_handlers(self) -> None:
                """None."""

            def stop(self) -> None:
                """What a signal would say."""
                self._stop_requested = True

        client = redis.Redis.from_url(self.url)
        worker = Worker([self._queue], connection=client, worker_ttl=LOOK)
        await run_in_thread(worker.work, worker.stop)

    async def aclose(self) -> None:
        self._client.close()


CONTENDER = RQ
