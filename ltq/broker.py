"""The seam between LTQ and its stores: small protocols by role, and the broker that has them all.

A broker is a reliable queue of its own, for people who want no Worker:

    async with Broker.from_url("redis://localhost:6379") as broker:
        await broker.publish([Envelope(id=new_id(), queue="email", task_name="email", body=b"{}")])
        async with broker.consumer(["email"]) as consumer:
            for delivery in await broker.claim(consumer, 10, timeout=5):
                await broker.release(delivery.lease, result=b'"sent"')

Whatever the store, the rules are the same (`tests/conformance` holds every broker to them):

- A task is in one place: ready, delayed, leased (working) or final. It moves in one atomic step.
- The broker's clock counts; times are Unix seconds, durations seconds.
- A claim gives a lease with a token. An outcome, a heartbeat or progress with another token than
  the task's present one changes nothing.
- A lease not renewed within its duration is void: `sweep` (any consumer's `claim` does it too)
  makes its task pending again, or buries it when it has killed too many workers.
- Every call may be repeated after a lost reply without doing its work twice.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Protocol, Self

import msgspec

from ltq._feed import Feed, Following
from ltq._schemes import broker_factory
from ltq._schemes import redact as redact
from ltq._ticks import Ticker
from ltq.errors import ConfigurationError, TaskNotFoundError
from ltq.message import (
    DeadLetter,
    Delivery,
    Envelope,
    Finish,
    Lease,
    Outcome,
    Published,
    Receipt,
    Requeue,
    Swept,
)
from ltq.options import DEFAULT_RESULT_TTL, Limit
from ltq.state import Progress, QueueStats, Status, TaskState

DEFAULT_LEASE = 15.0


class Claim(msgspec.Struct, frozen=True):
    """What a claim gave."""

    deliveries: list[Delivery]
    due_in: float | None
    """Seconds until a claim may give more without a wake-up (a delayed task's due time, a rate
    limit's next start, the end of a lease), or None if nothing is known."""
    start_in: float | None = None
    """Seconds until a limit may allow the next start, where ready tasks wait for it."""
    company: int | None = None
    """Where a ready task was left because too much runs beside it: how many may, with itself."""


class Publisher(Protocol):
    """Takes tasks."""

    async def publish(self, envelopes: Sequence[Envelope]) -> list[Published]:
        """Enqueue all envelopes; the answers are in their order."""
        ...

    async def first(self, queue: str, fingerprint: str) -> str | None:
        """The id of the task that was sent with a fingerprint, as long as that is kept.

        It is what `publish` means by SAME.
        """
        ...


class Consumer(Protocol):
    """Claims tasks of some queues, under one name."""

    name: str

    async def claim(self, limit: int, running: int = 0) -> Claim:
        """Lease up to `limit` tasks: strictly by priority, first in first out within one.

        A task that workers died under is only given where few run beside it, see
        `ltq.options.company`; `running` is how many this consumer works on already, -1 to take
        one of them all the same.
        Strict within a namespace; where a consumer serves several, they take turns. Calls that
        overlap are carried out one after the other.
        With limit 0 nothing is leased, but what is due is moved and other consumers are woken.
        """
        ...

    async def wait(self, timeout: float | None) -> bool:
        """Wait until there may be something to claim, at most `timeout` seconds.

        True if there may be, False if the time is over. May return early without a reason. A
        cancelled wait loses nothing.
        """
        ...

    async def freed(self, lane: str) -> None:
        """Tell that a task of a lane with a limit of running ones has ended: another may start."""
        ...

    async def aclose(self) -> None:
        """Give up waiting. Leases stay as they are."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc_info: object) -> None: ...


class Settler(Protocol):
    """Takes what became of deliveries."""

    async def finish(self, outcomes: Sequence[Outcome]) -> list[Receipt]:
        """Record outcomes, each fenced by its lease; the receipts are in their order."""
        ...

    async def heartbeat(self, leases: Sequence[Lease], duration: float) -> list[Lease]:
        """Renew leases for `duration` seconds from now; return those that are lost."""
        ...

    async def progress(self, lease: Lease, progress: Progress) -> bool:
        """Show progress in the task's state; False if the lease is lost."""
        ...

    async def sweep(self, queues: Iterable[str]) -> Swept:
        """Move what is due and recover what dead workers left, in the queues' namespaces."""
        ...

    async def repair(
        self, queues: Iterable[str], *, lease: float = DEFAULT_LEASE, every: float = 0.0
    ) -> int:
        """Put tasks back that have lost their place, in the queues' namespaces; return how many.

        That takes an eviction, a partial restore, or keys deleted by hand: a task that waits is
        ready again, one that works without a lease gets one of `lease` seconds, as its worker may
        be alive. Looks at every task, in small steps. With `every`, only where nobody has done so
        within so many seconds. Workers do it.
        """
        ...


class Watcher(Protocol):
    """Tells how tasks stand."""

    async def states(self, queue: str, ids: Sequence[str]) -> list[TaskState[bytes] | None]:
        """The present states (results still encoded), None for an unknown or expired id."""
        ...

    def feed(self, queue: str, task_id: str) -> Feed:
        """Follow one task: the feed gets its present state soon, and each later one.

        The caller closes the feed. A passing state may be missed, the final one may not.
        """
        ...


class Inspector(Protocol):
    """Shows and changes queues from outside."""

    async def queues(self) -> list[str]:
        """The names of all queues known, sorted."""
        ...

    async def stats(self, queues: Sequence[str]) -> list[QueueStats]:
        """Exact counts of each queue."""
        ...

    async def clear(self, queue: str) -> int:
        """Remove all waiting tasks (ready and delayed) of a queue for good; return how many.

        Working tasks go on.
        """
        ...

    async def cancel(self, queue: str, task_id: str, result_ttl: float) -> bool:
        """Make a task CANCELLED, wherever it is; False if it was final already.

        Raises `TaskNotFoundError` for an unknown or expired id.
        """
        ...

    async def find(self, task_id: str) -> TaskState[bytes] | None:
        """Look for a task in all namespaces."""
        ...


class DeadLetters(Protocol):
    """Keeps tasks that failed or were rejected, and enqueues them again.

    A letter is there from its task's death (`Finish.dead`, or too many dead workers) until it is
    replayed or purged: `ltq.options.DEAD_TTL` seconds at most, and the latest `MAX_DEAD` of a
    queue. There is one for each id; a task that dies again has only its latest.
    """

    async def letters(self, queue: str, *, limit: int = 100, offset: int = 0) -> list[DeadLetter]:
        """Up to `limit` letters of a queue, the newest first, without the `offset` newest."""
        ...

    async def letter(self, queue: str | None, task_id: str) -> DeadLetter:
        """The letter of one task, of this queue or (None) of any.

        Raises `TaskNotFoundError` where there is none.
        """
        ...

    async def replay(self, queue: str, ids: Sequence[str]) -> list[Published]:
        """Enqueue tasks of a queue again, now, as they were sent; the answers are in order.

        Each letter goes in the step that enqueues its task: CREATED. The task has its id,
        arguments, `ctx` and options of before and goes on counting its deliveries, but no run of
        it has failed yet, and no worker died. It takes the place of its own final state. Where a
        task with that id waits or works, nothing is enqueued and the letter stays: EXISTS.
        `max_pending` does not hold it up.
        """
        ...

    async def purge(
        self, queue: str, ids: Sequence[str] | None = None, *, older_than: float = 0.0
    ) -> int:
        """Remove letters of a queue for good: these, or (None) all; return how many.

        Only those of tasks that died `older_than` seconds ago or earlier.
        """
        ...


class Broker(Publisher, Settler, Watcher, Inspector, DeadLetters, Ticker, ABC):
    """A store of tasks, with every role. Make one with `Broker.from_url(url)`.

    Connections open at first use, one set for each event loop the broker is used from.
    """

    @staticmethod
    def from_url(url: str) -> "Broker":
        """The broker for a URL: `redis://`, `rediss://`, `unix://`, `memory://name`.

        Other packages add schemes by an entry point in the group `ltq.brokers`, named by the
        scheme, that loads a callable taking the URL. Raises `ConfigurationError` for a scheme
        nobody knows or a URL that cannot be read.
        """
        broker: Broker = broker_factory(url)(url)
        return broker

    @property
    @abstractmethod
    def url(self) -> str:
        """Where it connects, without a password."""

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
        """What about the store may lose tasks, in words; workers log it when they start."""
        return []

    @abstractmethod
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

        `lease` is how many seconds a claim holds without a heartbeat; `limits` are lanes';
        `revoked` is called in the consumer's event loop with the id of a task it holds that was
        cancelled. `before_sweep` is awaited before a claim takes back what dead consumers left:
        the time to renew one's own leases after an outage.
        """

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
        """Give a task back, to run again after `delay` seconds; `timeout` replaces its timeout."""
        return (await self.finish([Requeue(lease, delay=delay, timeout=timeout)]))[0]

    async def release(
        self,
        lease: Lease,
        *,
        result: bytes = b"",
        status: Status = Status.COMPLETED,
        result_ttl: float = DEFAULT_RESULT_TTL,
    ) -> Receipt:
        """End a task with an encoded result; its state stays `result_ttl` seconds."""
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

        Raises `TaskNotFoundError` when there is no such task (any more), `ResultTimeoutError`
        when it is not final after `timeout` seconds.
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
    """Whoever knows which broker to use: a worker."""

    @property
    def broker(self) -> Broker:
        """The broker to use now."""
        ...
