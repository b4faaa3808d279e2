"""What the rules ask of a store: small protocols by role, whose docstrings are the contract.

A store keeps one `Places` for each namespace, and runs the rules on it step by step. A step is
atomic: others see all of its changes or none. Whatever a method here changes is seen by the
methods called after it in the same step, so a store may collect its writes and carry them out
together at the end. It need not be quick one by one: where a rule goes through many tasks it says
so first (`Records.load`, `Lanes.first`).
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Protocol, TypeVar

from ltq.brokers._rules.record import DeadRecord, Record
from ltq.options import Priority
from ltq.state import Status

V = TypeVar("V")


class Records(Protocol):
    """Tasks by their id. Each is in exactly one place: its status says in which."""

    def load(self, ids: Iterable[str]) -> None:
        """`get` is about to be called with these: a store may read them together."""
        ...

    def get(self, task_id: str) -> Record | None:
        """The record of an id: the same object throughout a step."""
        ...

    def place(
        self, record: Record, status: Status, when: float = inf, *, front: bool = False
    ) -> None:
        """Take a record out of the place where it is, if any, and put it into that of a status.

        Sets `record.status` and `record.when`, and saves the record. PENDING: behind the others of
        its lane and priority, or before them with `front`. All others are in the order of `when`.
        """
        ...

    def save(self, record: Record) -> None:
        """Keep what has changed in a record that stays in its place."""
        ...

    def remove(self, record: Record) -> None:
        """Forget a record, wherever it is."""
        ...

    def next_token(self, above: int) -> int:
        """A number greater than `above` and than every one given before."""
        ...


class Timeline(Protocol):
    """The records of some statuses in the order of their `when`."""

    def next(self) -> float | None:
        """The earliest `when`, or None if there is no record."""
        ...

    def due(self, now: float, limit: int) -> Sequence[Record]:
        """Up to `limit` records whose `when` has come, the earliest first.

        The caller places or removes each of them within the step.
        """
        ...


@dataclass(slots=True, eq=False)
class Lane:
    """What is known of a lane, where ready tasks of a queue wait in lines, one a priority.

    `ready` and `working` are the store's, and follow each change of a place at once.
    """

    name: str
    ready: list[int] = field(default_factory=lambda: [0] * len(Priority))
    """How many tasks wait, for each priority."""
    working: int = 0
    """How many of its tasks are WORKING."""
    served: list[int] = field(default_factory=lambda: [0] * len(Priority))
    """The token of the task that it gave last, for each priority."""
    unused_from: float = 0.0
    """When the rate limit would be wholly unused again, if nothing more was started."""


class Lanes(Protocol):
    """The lanes that have, or had, tasks."""

    def get(self, names: Iterable[str]) -> Sequence[Lane]:
        """Those of these lanes that exist, in this order; each the same object in all of a step."""
        ...

    def of(self, queue: str) -> Sequence[Lane]:
        """The lanes of a queue: the one with its name, and those named `queue/...`."""
        ...

    def first(self, lane: Lane, level: Priority, limit: int) -> Sequence[Record]:
        """Up to `limit` ready tasks of a lane and priority, first in first out."""
        ...

    def save(self, lane: Lane) -> None:
        """Keep `served` and `unused_from`."""
        ...


class Queues(Protocol):
    """What is known of queues."""

    def add(self, queue: str) -> None:
        """A task was sent to a queue: from now on its name is known."""
        ...

    def names(self) -> Collection[str]:
        """All that were added."""
        ...

    def count(self, queue: str, status: Status) -> int:
        """How many tasks of a queue have a status."""
        ...

    def waiting(self, queue: str) -> Sequence[Record]:
        """The ready and the delayed tasks of a queue, in no particular order."""
        ...

    def working(self) -> Sequence[Record]:
        """The tasks of all queues that work, in no particular order."""
        ...


class DeadRecords(Protocol):
    """The dead tasks of all queues, one for each id. Times are those when they died.

    What died at `after` or earlier does not count, and may be forgotten.
    """

    def put(self, dead: DeadRecord, *, most: int) -> None:
        """Keep a dead task as the newest of its queue, instead of one with the same id.

        Of each queue only the newest `most` stay.
        """
        ...

    def get(self, task_id: str, after: float) -> DeadRecord | None: ...

    def newest(self, queue: str, after: float, limit: int, offset: int) -> Sequence[DeadRecord]:
        """Up to `limit` of a queue, the newest first, without the `offset` newest."""
        ...

    def count(self, queue: str, after: float) -> int: ...

    def remove(
        self, queue: str, ids: Collection[str] | None, after: float = -inf, until: float = inf
    ) -> int:
        """Forget those of a queue, or only of these ids, that died at `until` or earlier.

        Returns how many there were.
        """
        ...


class Table(Protocol[V]):
    """Values by a key, each until it expires."""

    def get(self, key: str, now: float) -> V | None:
        """The value, unless it has expired."""
        ...

    def set(self, key: str, value: V, *, expires: float, now: float) -> None:
        """Keep a value instead of the one that may be there. What has expired may be forgotten."""
        ...


class EndedTokens(Protocol):
    """The tokens of tasks that ended without leaving a state, by id."""

    def get(self, task_id: str) -> int | None: ...

    def put(self, task_id: str, token: int, *, most: int) -> None:
        """Only the `most` latest stay."""
        ...


class EndCounts(Protocol):
    """How many tasks of a queue ended in a worker, by steps of time."""

    def add(self, queue: str, step: int, *, oldest: int) -> None:
        """One more ended in a step. What is older than `oldest` may be forgotten."""
        ...

    def total(self, queue: str, first: int, last: int) -> int:
        """How many ended in the steps from `first` to `last`."""
        ...


class Listener(Protocol):
    """Is told what a step changes, as it changes: a store tells others once the step is over."""

    def ready(self, lane: str) -> None:
        """A task of a lane may be claimed, or is due sooner than any other was."""
        ...

    def freed(self, lane: str) -> None:
        """A task of a lane went: where others wait that it held back, one may start."""
        ...

    def changed(self, record: Record) -> None:
        """The state that watchers of a task see is another one now."""
        ...

    def removed(self, task_id: str) -> None:
        """There is no such task any more."""
        ...

    def revoked(self, record: Record) -> None:
        """A task was cancelled that its worker still runs."""
        ...


@dataclass(frozen=True, slots=True)
class KeptSlot:
    """The last slot of a schedule."""

    spec: str
    last: int
    due: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """All that a store keeps of one namespace."""

    records: Records
    delayed: Timeline
    leased: Timeline
    final: Timeline
    lanes: Lanes
    queues: Queues
    dead: DeadRecords
    fingerprints: Table[str]
    """The id of the first task with a fingerprint, as long as it stands for others like it."""
    slots: Table[KeptSlot]
    """By the name of the schedule."""
    ended_tokens: EndedTokens
    end_counts: EndCounts
    listener: Listener
