"""Where a run happens: the store to be hurt, a ledger that nothing is done to, worker processes."""

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import redis

from devtools.chaos import jobs
from devtools.chaos.timeline import Fault, Kind
from devtools.ledger import Event, Ledger
from devtools.redis_versions import find_redis_server
from devtools.servers import RedisServer
from devtools.workers import Fleet, WorkerProcess
from ltq import Task
from ltq.broker import Broker
from ltq.testing.conformance._support.eventually import eventually

Way = Callable[[Fault], Awaitable[bool]]
"""Carries out a fault, and returns whether it could."""


@dataclass(frozen=True)
class _Source:
    """Who a task is sent through."""

    broker: Broker


def through(task: Task[Any, Any], broker: Broker) -> Task[Any, Any]:
    """The task, sent through another broker than its worker's."""
    other = task.with_options()
    other._source = _Source(broker)
    return other


class Stage(ABC):
    """Use as an async context manager. Logs of the workers stay in `directory`."""

    direct: Broker
    """The nearest way to the store."""
    remote: Broker
    """Another way to it."""

    def __init__(
        self, *, lease: float = 15.0, directory: Path | None = None, seed: int = 0
    ) -> None:
        self.lease = lease
        self.seed = seed
        self.directory = directory or Path(tempfile.mkdtemp(prefix="ltq-chaos-"))
        executable = find_redis_server()
        if executable is None:
            raise SystemExit("no redis-server: it needs servers of its own")
        self.executable = executable
        self._ledger_server = RedisServer(executable)
        self._stack = AsyncExitStack()
        self.ledger: Ledger
        self.fleet: Fleet

    @property
    @abstractmethod
    def urls(self) -> tuple[str, str]:
        """The two ways to the store, for workers."""

    @property
    @abstractmethod
    def ways(self) -> Mapping[Kind, Way]:
        """The faults that can be done to the store, and to what leads there."""

    @abstractmethod
    async def left(self) -> list[str]:
        """What the store has that it should not have when all is done."""

    @abstractmethod
    async def _open(self, stack: AsyncExitStack) -> None:
        """Set up the store and both brokers, and let the stack close them."""

    async def events(self) -> list[Event]:
        """What the ledger has."""
        return self.ledger.events()

    async def start_worker(
        self, url: str, *arguments: str, shutdown: float = 10.0, target: str = jobs.TARGET
    ) -> WorkerProcess:
        """Start a worker process; it need not be consuming yet."""
        return await self.fleet.start(
            url, *arguments, lease=self.lease, shutdown=shutdown, target=[target]
        )

    async def start_workers(self, count: int, url: str, *arguments: str) -> list[WorkerProcess]:
        """Start several, and wait until they have said that they begin."""
        workers = [await self.start_worker(url, *arguments) for _ in range(count)]
        for worker in workers:
            await worker.logged(f"worker {jobs.NAME}:", 30)
        return workers

    async def told(self, lines: int, timeout: float = 30.0) -> None:
        """Wait until the ledger has so many lines."""
        await eventually(lambda: self.ledger.count() >= lines, timeout, f"{lines} lines")

    async def _kill_all(self) -> None:
        for worker in self.fleet.workers:
            await worker.kill()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.enter_context(self._ledger_server)
            client = stack.enter_context(redis.Redis.from_url(self._ledger_server.url))
            self.ledger = Ledger(client)
            await self._open(stack)
            self.fleet = Fleet(self._ledger_server.url, self.directory, jobs.TARGET)
            stack.push_async_callback(self._kill_all)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()
