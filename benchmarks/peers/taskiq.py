"""taskiq with its stream broker, which acknowledges, and its result backend; no bulk call."""

import importlib
from typing import Any

from benchmarks.peers.contender import CONCURRENCY, POLL, Contender

redis = importlib.import_module("taskiq_redis")
api = importlib.import_module("taskiq.api")


class Taskiq(Contender):
    """A broker with one task."""

    packages = ("taskiq", "taskiq-redis")

    async def open(self) -> None:
        # redis-py's own socket timeout would end the blocking read of an idle worker.
        backend = redis.RedisAsyncResultBackend(self.url, result_ex_time=3600)
        self._broker: Any = redis.RedisStreamBroker(self.url, socket_timeout=None)
        self._broker = self._broker.with_result_backend(backend)

        @self._broker.task(task_name="noop")  # type: ignore[untyped-decorator]
        async def noop(number: int) -> int:
            self.delivered(number)
            return number

        self._noop: Any = noop
        await self._broker.startup()

    async def send(self, number: int) -> Any:
        return await self._noop.kiq(number)

    async def result(self, sent: Any) -> object:
        return (await sent.wait_result(check_interval=POLL, timeout=5)).return_value

    async def work(self) -> None:
        await api.run_receiver_task(self._broker, max_async_tasks=CONCURRENCY)

    async def aclose(self) -> None:
        await self._broker.shutdown()


CONTENDER = Taskiq
