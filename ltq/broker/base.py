"""The broker that has every role, and what all brokers share."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from typing import Protocol, Self

from ltq.broker.consumer_config import DEFAULT_LEASE, ConsumerConfig
from ltq.broker.feed import Following
from ltq.broker.roles import (
    Consumer,
    DeadLetters,
    Diagnostics,
    Inspector,
    Publisher,
    Settler,
    Watcher,
)
from ltq.broker.schedule_slots import ScheduleStore
from ltq.broker.schemes import broker_factory
from ltq.errors import ConfigurationError, TaskNotFoundError
from ltq.message import (
    Delivery,
    Finish,
    Lease,
    Receipt,
    Requeue,
)
from ltq.names import consumer_name
from ltq.options import DEFAULT_RESULT_TTL, Limit
from ltq.state import Status, TaskState


class Broker(Publisher, Settler, Watcher, Inspector, Diagnostics, DeadLetters, ScheduleStore, ABC):
    """A store of tasks, with every role. Make one with `Broker.from_url(url)`.

    Connections open at first use, one set for each event loop the broker is used from.
    """

    @staticmethod
    def from_url(url: str) -> "Broker":
        """The broker for a URL: `redis://`, `rediss://`, `unix://`, `memory://name`.

        Other packages add schemes: an entry point in the group `ltq.brokers`, with the name of the
        scheme, loads a callable that takes the URL. Raises `ConfigurationError` for an unknown
        scheme or a URL that cannot be read.
        """
        broker = broker_factory(url)(url)
        if not isinstance(broker, Broker):
            scheme = url.partition("://")[0]
            raise ConfigurationError(
                f"the entry point of {scheme}:// gave {broker!r}, not a Broker"
            )
        return broker

    @property
    @abstractmethod
    def url(self) -> str:
        """Its URL, without user and password."""

    @property
    def is_local(self) -> bool:
        """Whether only this process can reach it."""
        return False

    @abstractmethod
    def clone(self) -> "Broker":
        """Another broker on the same store, with connections of its own."""

    @abstractmethod
    async def ping(self) -> None:
        """Raise `BrokerError` if the store does not answer."""

    async def hazards(self) -> list[str]:
        """Settings of the store that may lose tasks, as texts. Workers log them at their start."""
        return []

    def consumer(
        self,
        queues: Iterable[str],
        *,
        name: str | None = None,
        lease: float = DEFAULT_LEASE,
        limits: Mapping[str, Limit] | None = None,
        revoked: Callable[[str], None] | None = None,
        before_sweep: Callable[[], Awaitable[None]] | None = None,
    ) -> Consumer:
        """A consumer of these queues (or lanes, see `ltq.message.lane_of`).

        `lease` is how many seconds a claim holds without a heartbeat. `limits` are by lane.
        `revoked` is called in the consumer's event loop with the id of each task that is cancelled
        while the consumer holds it. `before_sweep` is awaited before a claim takes back the tasks
        of dead consumers, so that a consumer can renew its own leases after an outage.
        """
        config = ConsumerConfig(
            lanes=tuple(queues),
            name=name or consumer_name(),
            lease=lease,
            limits=dict(limits or {}),
            revoked=revoked,
            before_sweep=before_sweep,
        )
        return self.open_consumer(config)

    @abstractmethod
    def open_consumer(self, config: ConsumerConfig) -> Consumer:
        """The consumer that `consumer` describes."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close the connections of the running event loop. The broker may be used again."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def claim(
        self, consumer: Consumer, limit: int = 1, *, timeout: float = 0.0
    ) -> list[Delivery]:
        """Claim up to `limit` tasks, waiting up to `timeout` seconds for the first."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while True:
            claim = await consumer.claim(limit)
            left = deadline - loop.time()
            if claim.deliveries or left <= 0:
                return claim.deliveries
            await consumer.wait(left if claim.due_in is None else min(left, claim.due_in))

    async def requeue(
        self, lease: Lease, *, delay: float = 0.0, timeout: float | None = None
    ) -> Receipt:
        """Put a task back, to run again after `delay` seconds. `timeout` replaces its timeout."""
        return (await self.finish([Requeue(lease, delay=delay, timeout=timeout)]))[0]

    async def release(
        self,
        lease: Lease,
        *,
        result: bytes = b"",
        status: Status = Status.COMPLETED,
        result_ttl: float = DEFAULT_RESULT_TTL,
    ) -> Receipt:
        """End a task with an encoded result. Its state is kept for `result_ttl` seconds."""
        if not status.is_final:
            raise ConfigurationError(f"status {status.value!r} is not final: a release needs one")
        outcome = Finish(lease, status, result=result, result_ttl=result_ttl)
        return (await self.finish([outcome]))[0]

    async def state(self, queue: str, task_id: str) -> TaskState[bytes]:
        """The present state. Raises `TaskNotFoundError` for an unknown or expired id."""
        (state,) = await self.states(queue, [task_id])
        if state is None:
            raise TaskNotFoundError(task_id)
        return state

    async def watch(
        self, queue: str, task_id: str, *, timeout: float | None = None
    ) -> AsyncGenerator[TaskState[bytes], None]:
        """Follow a task: its present state first, then each change seen, the final one last.

        Raises `TaskNotFoundError` if the task does not exist (any more), `ResultTimeoutError` if it
        is not final after `timeout` seconds.
        """
        with Following(self.feed(queue, task_id), task_id, timeout) as following:
            last: TaskState[bytes] | None = None
            while last is None or not last.status.is_final:
                state = await following.next()
                if state != last:
                    last = state
                    yield state

    async def wait(
        self, queue: str, task_id: str, *, timeout: float | None = None
    ) -> TaskState[bytes]:
        """Wait for the final state. Raises what `watch` raises."""
        feed = self.feed(queue, task_id)
        feed.only_end = True
        with Following(feed, task_id, timeout) as following:
            while True:
                state = await following.next()
                if state.status.is_final:
                    return state


class BrokerSource(Protocol):
    """Something that knows which broker to use, such as a worker."""

    @property
    def broker(self) -> Broker:
        """The broker to use now."""
        ...
