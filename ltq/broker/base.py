"""The broker that has every role, and what all brokers share."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from typing import Protocol, Self

from ltq._display.values import short_repr
from ltq.broker._named.resolve import resolve
from ltq.broker.checks import check_lease
from ltq.broker.consumer_config import DEFAULT_LEASE, ConsumerConfig
from ltq.broker.feed import Following
from ltq.broker.flows import Flows
from ltq.broker.history import Historian
from ltq.broker.listing import Listing
from ltq.broker.moving import Mover
from ltq.broker.roles import (
    Consumer,
    DeadLetters,
    Diagnostics,
    Inspector,
    Presence,
    Publisher,
    Settler,
    Watcher,
)
from ltq.broker.schedule_slots import ScheduleStore
from ltq.broker.schedules import ScheduleKeeper
from ltq.broker.schemes import broker_factory
from ltq.broker.steering import Steering
from ltq.broker.transactions import Enlisted, Enlisting
from ltq.broker.worker_registry import WorkerRegistry
from ltq.errors import ConfigurationError, TaskNotFoundError
from ltq.message import (
    Delivery,
    Finish,
    Lease,
    Receipt,
    Requeue,
)
from ltq.names import check_kinds, check_names, consumer_name
from ltq.options import DEFAULT_RESULT_TTL, Limit, check_wait, seconds
from ltq.state import Status, TaskState


class Broker(
    Publisher,
    Presence,
    WorkerRegistry,
    Settler,
    Watcher,
    Inspector,
    Listing,
    Historian,
    Steering,
    Mover,
    Diagnostics,
    DeadLetters,
    ScheduleStore,
    ScheduleKeeper,
    Flows,
    Enlisting,
    ABC,
):
    """A store of tasks, with every role. Make one with `Broker.from_url(url)`.

    Connections open at first use, one set for each event loop the broker is used from.
    """

    @staticmethod
    def from_url(url: str) -> "Broker":
        """The broker for a URL (`redis://`, `rediss://`, `redis+sentinel://`, `redis+cluster://`,
        `unix://`, `sqlite:///file`, `postgresql://`, `amqp://host/?state=URL`, `memory://name`), or
        for `@name`.

        Names are declared in `ltq.toml`, with `configure_brokers`, or in the environment. Other
        packages add schemes: an entry point in the group `ltq.brokers`, with the name of the
        scheme, loads a callable that takes the URL. Raises `ConfigurationError` for an unknown
        scheme or name, a URL that cannot be read, or a broker whose extra is not installed.
        """
        resolved = resolve(url)
        try:
            return _opened(resolved.url)
        except ConfigurationError as error:
            if not resolved.place:
                raise
            raise ConfigurationError(f"{resolved.place}: {error}") from error

    @property
    @abstractmethod
    def url(self) -> str:
        """Its URL, without user and password."""

    @property
    def is_local(self) -> bool:
        """Whether only this process can reach it."""
        return False

    @property
    def exists(self) -> bool:
        """Whether its store is there. One that is not is made by the first call, and is empty."""
        return True

    @abstractmethod
    def clone(self) -> "Broker":
        """Another broker on the same store, with connections of its own."""

    @abstractmethod
    async def ping(self) -> None:
        """Raise `BrokerError` if the store does not answer."""

    async def hazards(self) -> list[str]:
        """Settings of the store that may lose tasks, as texts. Workers log them at their start."""
        return []

    @property
    def migration(self) -> str:
        """What makes its tables, for the administrator of a database; empty if it needs none."""
        return ""

    async def migrate(self) -> bool:
        """Make its tables, or bring them to the present version; False if nothing had to be done.

        It may be called twice, and by several at once. Raises `BrokerError`.
        """
        return False

    def enlist(self, connection: object) -> Enlisted:
        """See `Enlisting.enlist`. A store that shares no file or server with users' data cannot."""
        raise ConfigurationError(
            f"connection={short_repr(connection)} is not allowed: {self.url} cannot take tasks in "
            "a transaction of a database. Send after the commit, or use a broker on that database, "
            "sqlite:////folder/app.db?shared=1 or postgresql://"
        )

    def consumer(
        self,
        queues: Iterable[str],
        *,
        name: str | None = None,
        lease: float = DEFAULT_LEASE,
        limits: Mapping[str, Limit] | None = None,
        knows: Iterable[str] | None = None,
        max_deliveries: Mapping[str, int] | None = None,
        revoked: Callable[[str], None] | None = None,
        before_sweep: Callable[[str], Awaitable[None]] | None = None,
    ) -> Consumer:
        """A consumer of these queues (or lanes, see `ltq.message.lane_of`).

        `lease` is how many seconds a claim holds without a heartbeat. `limits` are by lane.
        `knows` are the kinds of the tasks that the consumer runs (`ltq.message.kind_of`: their
        names), by default all: its claims move others to lanes of their own, `queue/task`, and it
        serves such lanes of what it knows.
        `max_deliveries`, by the names of tasks, is for a consumer that itself rejects what workers
        died under too often (see `ConsumerConfig`). `revoked` is called in the consumer's event
        loop with the id of each task that is cancelled while the consumer holds it. `before_sweep`
        is awaited before a claim takes back the tasks of dead consumers, so that a consumer can
        renew its own leases after an outage; it gets the shard where that is (`Settler.shard`).
        Raises `ConfigurationError` for a wrong name.
        """
        if isinstance(queues, str | bytes):
            check_names("queue", queues)
        config = ConsumerConfig(
            lanes=tuple(queues),
            name=name or consumer_name(),
            lease=seconds("lease", lease),
            limits=dict(limits or {}),
            knows=None if knows is None else frozenset(check_kinds(knows)),
            max_deliveries=None if max_deliveries is None else dict(max_deliveries),
            revoked=revoked,
            before_sweep=before_sweep,
        )
        return self.open_consumer(config)

    @abstractmethod
    def open_consumer(self, config: ConsumerConfig) -> Consumer:
        """The consumer that `consumer` describes."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close the connections of the running event loop. The broker may be used again.

        If it is cancelled it goes on by itself, or is repeated by another call.
        """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def claim(
        self, consumer: Consumer, limit: int = 1, *, timeout: float = 0.0
    ) -> list[Delivery]:
        """Claim up to `limit` tasks, waiting up to `timeout` seconds for the first."""
        check_wait(timeout)
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
        """Put a task back, to run again after `delay` seconds. `timeout` replaces its timeout.

        Raises `ConfigurationError`.
        """
        check_lease(lease)
        again_in = seconds("delay", delay, zero=True)
        at_most = None if timeout is None else seconds("timeout", timeout)
        return (await self.finish([Requeue(lease, delay=again_in, timeout=at_most)]))[0]

    async def release(
        self,
        lease: Lease,
        *,
        result: bytes = b"",
        status: Status = Status.COMPLETED,
        result_ttl: float = DEFAULT_RESULT_TTL,
    ) -> Receipt:
        """End a task with an encoded result. Its state is kept for `result_ttl` seconds.

        Raises `ConfigurationError`.
        """
        check_lease(lease)
        _check_end(status, result)
        kept = seconds("result_ttl", result_ttl, zero=True)
        outcome = Finish(lease, status, result=result, result_ttl=kept)
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


def _opened(url: str) -> Broker:
    """The broker for a URL. Raises `ConfigurationError`."""
    broker = broker_factory(url)(url)
    if not isinstance(broker, Broker):
        scheme = url.partition("://")[0]
        raise ConfigurationError(f"the entry point of {scheme}:// gave {broker!r}, not a Broker")
    return broker


def _check_end(status: object, result: object) -> None:
    """Raise `ConfigurationError` for a status that is not final, and a result that is not bytes."""
    if not (isinstance(status, Status) and status.is_final):
        raise ConfigurationError(
            f"status={short_repr(status)} is not final: a release needs one, as Status.COMPLETED"
        )
    if not isinstance(result, bytes):
        raise ConfigurationError(f"result={short_repr(result)} is not allowed: encoded, as bytes")


class BrokerSource(Protocol):
    """Something that knows which broker to use, such as a worker."""

    @property
    def broker(self) -> Broker:
        """The broker to use now."""
        ...
