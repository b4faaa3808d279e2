"""Torrelque: a bare queue. The loop that stands for a worker takes and gives back up to 100."""

import asyncio
import importlib
from collections.abc import Sequence
from typing import Any

from benchmarks.peers.contender import CONCURRENCY, POLL, Contender

redis = importlib.import_module("redis.asyncio")
torrelque = importlib.import_module("torrelque")


class Torrelque(Contender):
    """A queue, with and without a pipeline."""

    packages = ("torrelque",)

    async def open(self) -> None:
        # redis-py's own socket timeout would end a blocking dequeue.
        self._client: Any = redis.Redis.from_url(self.url, socket_timeout=None)
        self._queue: Any = torrelque.Torrelque(self._client, queue="bench")

    async def send(self, number: int) -> str:
        task_id: str = await self._queue.enqueue({"number": number})
        return task_id

    async def send_many(self, numbers: Sequence[int]) -> None:
        async with self._client.pipeline(transaction=True) as pipeline:
            for number in numbers:
                await self._queue.enqueue({"number": number}, pipeline=pipeline)
            await pipeline.execute()

    async def result(self, sent: str) -> object:
        # Its `watch` reads before it subscribes, and misses what ends between.
        while True:
            state = await self._queue.get_task_state(sent)
            if state.status.isfinal():
                result: object = state.result
                return result
            await asyncio.sleep(POLL)

    async def work(self) -> None:
        self._queue.schedule_sweep()
        try:
            while True:
                await self._turn(await self._queue.dequeue(max_tasks=CONCURRENCY))
        finally:
            self._queue.unschedule_sweep()

    async def _turn(self, tasks: Sequence[tuple[str, dict[str, int]]]) -> None:
        results = await asyncio.gather(*(self._noop(**task) for _, task in tasks))
        async with self._client.pipeline(transaction=True) as pipeline:
            for (task_id, _), result in zip(tasks, results, strict=True):
                await self._queue.release(task_id, result=result, pipeline=pipeline)
            await pipeline.execute()

    async def _noop(self, number: int) -> int:
        self.delivered(number)
        return number

    async def aclose(self) -> None:
        await self._client.aclose()


CONTENDER = Torrelque
