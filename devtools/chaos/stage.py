"""Where a run happens: the server to be hurt, a proxy before it, a ledger, worker processes."""

import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Self

import redis

from devtools.chaos import jobs
from devtools.ledger import Ledger
from devtools.proxy import Proxy
from devtools.servers import RedisServer, find_redis_server
from devtools.workers import Fleet, WorkerProcess
from ltq import Task
from ltq.broker import Broker
from ltq.brokers.redis import RedisBroker
from ltq.testing.conformance._support.eventually import eventually

AOF = ("--appendonly", "yes", "--appendfsync", "always")
"""`always`, as the server is killed: with `everysec` Redis holds writes back while it syncs."""


@dataclass(frozen=True)
class _Source:
    """Who a task is sent through."""

    broker: Broker


def through(task: Task[Any, Any], broker: Broker) -> Task[Any, Any]:
    """The task, sent through another broker than its worker's."""
    other = task.with_options()
    other._source = _Source(broker)
    return other


class Stage:
    """Use as an async context manager. Logs of the workers stay in `directory`."""

    def __init__(
        self,
        *,
        lease: float = 15.0,
        arguments: Sequence[str] = AOF,
        directory: Path | None = None,
        seed: int = 0,
    ) -> None:
        self.lease = lease
        self.directory = directory or Path(tempfile.mkdtemp(prefix="ltq-chaos-"))
        executable = find_redis_server()
        if executable is None:
            raise SystemExit("no redis-server: it needs servers of its own")
        self.server = RedisServer(executable, *arguments)
        self._ledger_server = RedisServer(executable)
        self._seed = seed
        self._stack = AsyncExitStack()
        self.proxy: Proxy
        self.ledger: Ledger
        self.admin: redis.Redis
        self.direct: RedisBroker
        """Straight to the server."""
        self.remote: RedisBroker
        """Through the proxy."""
        self.fleet: Fleet

    async def start_worker(
        self, url: str, *arguments: str, shutdown: float = 10.0
    ) -> WorkerProcess:
        """Start a worker process; it need not be consuming yet."""
        return await self.fleet.start(url, *arguments, lease=self.lease, shutdown=shutdown)

    async def start_workers(self, count: int, url: str, *arguments: str) -> list[WorkerProcess]:
        """Start several, and wait until they have said that they begin."""
        workers = [await self.start_worker(url, *arguments) for _ in range(count)]
        for worker in workers:
            await worker.logged(f"worker {jobs.NAME}:", 30)
        return workers

    async def told(self, lines: int, timeout: float = 30.0) -> None:
        """Wait until the ledger has so many lines."""
        await eventually(lambda: self.ledger.count() >= lines, timeout, f"{lines} lines")

    async def answers(self, timeout: float = 30.0) -> float:
        """Wait until the server answers a PING; the moment (Unix seconds)."""

        def pong() -> float:
            with suppress(redis.RedisError):
                self.admin.ping()
                return time.time()
            return 0.0

        return await eventually(pong, timeout, "a PONG")

    async def _kill_all(self) -> None:
        for worker in self.fleet.workers:
            await worker.kill()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.enter_context(self.server)
            stack.enter_context(self._ledger_server)
            self.admin = stack.enter_context(redis.Redis.from_url(self.server.url))
            client = stack.enter_context(redis.Redis.from_url(self._ledger_server.url))
            self.ledger = Ledger(client)
            proxy = Proxy(self.server.port, chance=Random(self._seed))
            self.proxy = await stack.enter_async_context(proxy)
            self.direct = await stack.enter_async_context(RedisBroker(self.server.url))
            self.remote = await stack.enter_async_context(RedisBroker(self.proxy.url))
            self.fleet = Fleet(self._ledger_server.url, self.directory, jobs.TARGET)
            stack.push_async_callback(self._kill_all)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()
