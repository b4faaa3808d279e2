"""What a broker does, by role: small protocols. Their docstrings are the contract."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, Self

import msgspec

from ltq.broker.consumer_config import DEFAULT_LEASE
from ltq.broker.feed import Feed
from ltq.broker.findings import Finding
from ltq.message import (
    DeadLetter,
    Delivery,
    Envelope,
    Lease,
    Outcome,
    Published,
    Receipt,
    Swept,
)
from ltq.state import Items, Progress, QueueStats, TaskState, WorkerInfo

DEFAULT_SCAN = 200_000
"""Entries of a store that `examine` reads by default, which takes a few seconds."""


class Claim(msgspec.Struct, frozen=True):
    """What a claim gave."""

    deliveries: list[Delivery]
    due_in: float | None
    """Seconds until another claim may give more without a wake-up: until a delayed task is due, a
    rate limit allows a start, or a lease ends. None if that is unknown."""
    start_in: float | None = None
    """Seconds until a limit may allow the next start; None if no ready task waits for a limit."""
    isolation: int | None = None
    """How many tasks may run beside a task that was not given because more do, with itself; None
    if there is no such task."""
    moved: tuple[str, ...] = ()
    """The lanes to which it moved tasks that the consumer does not run from where they waited. Then
    `due_in` is 0: there may be more."""
    age: float = 0.0
    """Most seconds that may have passed between the leases of its tasks and the call of `claim`:
    they may have been leased during a `wait`."""


class Publisher(Protocol):
    """Takes tasks."""

    async def publish(self, envelopes: Sequence[Envelope]) -> list[Published]:
        """Enqueue all envelopes; the answers are in their order.

        CREATED, EXISTS, ID_CONFLICT, DUPLICATE or FULL. Raises `ConfigurationError` for a wrong
        name or id in any of them: then none is enqueued.
        """
        ...

    async def first(self, queue: str, fingerprint: str) -> str | None:
        """The id of the task that was sent with a fingerprint; None if that is no longer known.

        `publish` answers DUPLICATE for an envelope with the same fingerprint.
        """
        ...


class Consumer(Protocol):
    """Claims tasks of some queues, under one name."""

    name: str

    async def claim(self, limit: int, running: int = 0, *, ignore_isolation: bool = False) -> Claim:
        """Lease up to `limit` tasks: strictly by priority, first in first out within a lane.

        Priorities are strict within a namespace, and its lanes of one priority take turns. If a
        consumer serves several namespaces, a claim gives what the first one has, then what the next
        one has, and so on; in each claim another one is the first. A task that workers died under
        is given only if few run beside it (`isolation_of`); `running` is how many tasks this
        consumer works on already. With `ignore_isolation` one such task is given even if more run,
        so that it need not wait forever.
        A task that the consumer does not run from where it waits (`ConsumerConfig.lane_for`) goes
        to the back of another lane, with its priority. That is no delivery: nothing that is seen of
        the task changes. A claim moves a limited number of tasks, and says that there may be more.
        With limit 0 nothing is leased, but due tasks are moved and other consumers are woken.
        If it is cancelled, what it has leased is given by the next claim, or waits again, at the
        latest when the consumer is closed: as before the claim, and without a death.
        Calls that overlap are carried out one after the other, in any order.
        """
        ...

    async def wait(self, timeout: float | None, room: int = 0, running: int = 0) -> bool:
        """Wait until there may be something to claim, at most `timeout` seconds.

        Returns whether there may be something. May return early without a reason. A cancelled wait
        loses nothing.
        With `room` the caller claims up to so many tasks right afterwards, beside `running` others.
        A broker may lease them while it waits, to save a call: the next `claim` gives them. If the
        wait is cancelled, or that claim has less room, they wait again, as after a cancelled claim.
        """
        ...

    async def freed(self, lane: str) -> None:
        """A task has ended in a lane that limits how many run at once: another may start now."""
        ...

    async def aclose(self) -> None:
        """Stop waiting. Leases of tasks that `claim` has returned stay as they are.

        If it is cancelled it goes on by itself, or is repeated by another call.
        """
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc_info: object) -> None: ...


class Presence(Protocol):
    """Knows which lanes live consumers serve."""

    async def serve(self, lanes: Sequence[str], duration: float) -> None:
        """A live consumer serves these lanes, for at least `duration` seconds from now.

        Their queues are known from then on. A consumer's claims say so, for the length of its
        lease; a worker that is too busy to claim says so by itself. Lanes are never served for a
        shorter time than was said before. Raises `ConfigurationError` for what is no lane.
        """
        ...

    async def served(self, lanes: Sequence[str]) -> list[float | None]:
        """For how many seconds no live consumer has served each lane; 0 if one does.

        None if none was seen within the last `ltq.options.SERVED_TTL` seconds. Raises
        `ConfigurationError` for what is no lane.
        """
        ...


class Settler(Protocol):
    """Records what became of deliveries.

    Leases are as a claim gave them, and are not checked: one that no claim gave is of a task that
    is GONE.
    """

    def shard(self, queue: str) -> str:
        """The part of the store that has a queue: a namespace has one shard.

        A shard may be away while others answer. A call about several waits for the slowest, and
        raises `BrokerError` if one is away; what it did at others is done. So callers who cannot
        wait, as workers cannot, ask each by itself. A store that is there or not as a whole is one
        shard, "".
        """
        return ""

    async def finish(self, outcomes: Sequence[Outcome]) -> list[Receipt]:
        """Record outcomes, each fenced by its lease. The receipts are in their order.

        If an outcome comes again, it is OK and changes nothing; another outcome for the same lease
        is STALE. Tasks that are requeued to the front stay in the order of their claims.
        """
        ...

    async def heartbeat(self, leases: Sequence[Lease], duration: float) -> list[Lease]:
        """Renew leases for `duration` seconds from now. Returns the leases that are lost."""
        ...

    async def progress(self, lease: Lease, progress: Progress) -> bool:
        """Show progress in the task's state. Returns False if the lease is lost."""
        ...

    async def append(self, lease: Lease, first: int, items: Sequence[bytes], most: int) -> bool:
        """Add items to the stream of a delivery. Returns False if the lease is lost.

        `first` is how many items of this delivery came before these: so a call may be repeated.
        What is there already is not added again; if some are missing there, they are lost. The
        `most` last items are kept, as long as the task's state. The first call of a delivery drops
        those of an earlier one. `TaskState.items` counts them, so who watches the task is told.
        """
        ...

    async def sweep(self, queues: Iterable[str]) -> Swept:
        """Move due tasks and recover those of dead workers, in the queues' namespaces.

        Recovered tasks go behind the others of their lanes, in the order of their claims.
        """
        ...

    async def repair(
        self, queues: Iterable[str], *, lease: float = DEFAULT_LEASE, every: float = 0.0
    ) -> int:
        """Requeue tasks that have lost their place, in the queues' namespaces; return how many.

        Tasks lose it by an eviction, a partial restore, or keys deleted by hand. A waiting task is
        made ready again. A working task without a lease gets one of `lease` seconds, as its worker
        may be alive. Every task is read, in small steps. A namespace that was repaired within the
        last `every` seconds is left out. Workers call this from time to time.
        """
        ...


class Watcher(Protocol):
    """Reads and follows the states of tasks.

    Each call of this and of the following roles raises `ConfigurationError` for what is no name of
    a queue, or no id.
    """

    async def states(self, queue: str, ids: Sequence[str]) -> list[TaskState[bytes] | None]:
        """The present states, with encoded results; None for an unknown or expired id."""
        ...

    async def items(
        self, queue: str, task_id: str, *, attempt: int = 0, after: int = 0, limit: int = 1000
    ) -> Items | None:
        """Up to `limit` items of a task's stream; None for an unknown or expired id.

        They are those of the last delivery: behind its first `after` items if that is `attempt`,
        else from its first one on. Those that are not kept any more are left out. There are fewer
        than `limit` if they are large, but at least one, if there is one.
        """
        ...

    def feed(self, queue: str, task_id: str) -> Feed:
        """Follow one task: the feed gets its present state soon, and each later one.

        The caller closes the feed. The feed may miss a passing state, but never the final one.
        """
        ...


class Inspector(Protocol):
    """Shows and changes queues and tasks from outside."""

    async def queues(self) -> list[str]:
        """The names of all known queues, sorted.

        A queue is known once a task was sent to it, a consumer has claimed from it, or it was
        paused.
        """
        ...

    async def stats(self, queues: Sequence[str]) -> list[QueueStats]:
        """Exact counts of each queue."""
        ...

    async def clear(self, queue: str) -> int:
        """Remove all waiting tasks (ready and delayed) of a queue for good. Returns how many.

        Working tasks go on.
        """
        ...

    async def cancel(self, queue: str, task_id: str, result_ttl: float) -> bool:
        """Make a task CANCELLED, wherever it is. Returns False if it was final already.

        Raises `TaskNotFoundError` for an unknown or expired id.
        """
        ...

    async def find(self, task_id: str) -> TaskState[bytes] | None:
        """The state of a task, searched for in all namespaces; None if there is none."""
        ...

    async def body(self, queue: str, task_id: str) -> bytes | None:
        """The encoded arguments of a task that waits or runs; None for any other."""
        ...

    async def workers(self) -> list[WorkerInfo]:
        """The workers, and the consumers without a worker that hold tasks, sorted by name.

        `WorkerRegistry.announce` says when a worker is alive, silent, and gone. Each is listed
        once, whatever number of namespaces it serves.
        """
        ...


class Diagnostics(Protocol):
    """Says what is wrong with a store and with what is kept there."""

    async def examine(
        self, *, scan: int = DEFAULT_SCAN, on_scan: Callable[[int], object] | None = None
    ) -> list[Finding]:
        """Check the store, the queues, and up to about `scan` of the store's entries.

        Nothing is changed. `on_scan` is called from time to time with the number of entries read.
        Raises `BrokerError` if the store does not answer.
        """
        ...


class DeadLetters(Protocol):
    """Keeps tasks that failed or were rejected, and enqueues them again.

    A letter is kept from its task's death (`Finish.dead`, or too many dead workers) until it is
    replayed or purged, but for at most `ltq.options.DEAD_TTL` seconds, and only the newest
    `MAX_DEAD` of a queue. Each id has one letter: if its task dies again, the letter is replaced.
    """

    async def dead_letters(
        self, queue: str, *, limit: int = 100, offset: int = 0
    ) -> list[DeadLetter]:
        """Up to `limit` letters of a queue, the newest first, without the `offset` newest.

        Of those that one sweep has buried, the one that was claimed last comes first.
        """
        ...

    async def dead_letter(self, queue: str | None, task_id: str) -> DeadLetter:
        """The letter of one task in a queue, or in any queue if that is None.

        Raises `TaskNotFoundError` if there is none.
        """
        ...

    async def replay(self, queue: str, ids: Sequence[str]) -> list[Published]:
        """Enqueue dead tasks of a queue again, now, as they were sent. The answers are in order.

        CREATED: the task was enqueued, and its letter removed in the same step. It keeps its id,
        arguments, `ctx`, options and count of deliveries, but starts without failed runs and dead
        workers. It replaces its own final state. EXISTS: a task with that id waits or works, so
        nothing was enqueued and the letter stays. `max_pending` does not apply.
        """
        ...

    async def purge(
        self, queue: str, ids: Sequence[str] | None = None, *, older_than: float = 0.0
    ) -> int:
        """Remove letters of a queue for good: those with these ids, or all. Returns how many.

        Letters of tasks that died less than `older_than` seconds ago stay.
        """
        ...
