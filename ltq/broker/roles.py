"""What a broker does, by role: small protocols whose docstrings are the contract."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, Self

import msgspec

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
from ltq.state import Progress, QueueStats, TaskState, WorkerInfo

DEFAULT_LEASE = 15.0

DEFAULT_SCAN = 200_000
"""Entries of a store that `examine` looks at: some seconds."""


class Claim(msgspec.Struct, frozen=True):
    """What a claim gave."""

    deliveries: list[Delivery]
    due_in: float | None
    """Seconds until a claim may give more without a wake-up (a delayed task's due time, a rate
    limit's next start, the end of a lease), or None if nothing is known."""
    start_in: float | None = None
    """Seconds until a limit may allow the next start, where ready tasks wait for it."""
    isolation: int | None = None
    """Where a ready task was left because too much runs beside it: how many may, with itself."""


class Publisher(Protocol):
    """Takes tasks."""

    async def publish(self, envelopes: Sequence[Envelope]) -> list[Published]:
        """Enqueue all envelopes; the answers are in their order."""
        ...

    async def first(self, queue: str, fingerprint: str) -> str | None:
        """The id of the task that was sent with a fingerprint, as long as that is kept.

        It is what `publish` means by DUPLICATE.
        """
        ...


class Consumer(Protocol):
    """Claims tasks of some queues, under one name."""

    name: str

    async def claim(self, limit: int, running: int = 0, *, ignore_isolation: bool = False) -> Claim:
        """Lease up to `limit` tasks: strictly by priority, first in first out within one.

        Priorities are strict within a namespace; where a consumer serves several, they take turns.
        A task that workers died under is only given where few run beside it, see `isolation_of`:
        `running` is how many this consumer works on already. With `ignore_isolation` one such task
        is given although more run: it was waited for in vain.
        With limit 0 nothing is leased, but what is due is moved and other consumers are woken.
        Calls that overlap are carried out one after the other.
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

    async def workers(self) -> list[WorkerInfo]:
        """The consumers that hold tasks now, sorted by name."""
        ...


class Diagnostics(Protocol):
    """Tells what is wrong with a store and what is kept there."""

    async def examine(
        self, *, scan: int = DEFAULT_SCAN, on_scan: Callable[[int], object] | None = None
    ) -> list[Finding]:
        """Check the store, the queues, and up to about `scan` of the store's entries.

        Nothing is changed. `on_scan` is called now and then with how many entries were looked at.
        Raises `BrokerError` if the store does not answer.
        """
        ...


class DeadLetters(Protocol):
    """Keeps tasks that failed or were rejected, and enqueues them again.

    A letter is there from its task's death (`Finish.dead`, or too many dead workers) until it is
    replayed or purged: `ltq.options.DEAD_TTL` seconds at most, and the latest `MAX_DEAD` of a
    queue. There is one for each id; a task that dies again has only its latest.
    """

    async def dead_letters(
        self, queue: str, *, limit: int = 100, offset: int = 0
    ) -> list[DeadLetter]:
        """Up to `limit` letters of a queue, the newest first, without the `offset` newest."""
        ...

    async def dead_letter(self, queue: str | None, task_id: str) -> DeadLetter:
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
