"""What the rules need from a store: small protocols by role. Their docstrings are the contract.

A store keeps one `Places` for each namespace, and runs the rules on it step by step. A step is
atomic: others see all of its changes or none. Later calls in a step see what earlier ones changed,
but a store may collect its writes and carry them out together at the end of the step. Single calls
need not be quick: a rule that goes through many tasks announces them first (`Records.load`,
`Lanes.first`), and one that looks at many queues announces these (`Queues.load`, `Lanes.load`).
"""

from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple, Protocol, TypeVar

from ltq.broker import SeenWorker
from ltq.brokers._rules.flow_places.protocols import Arrivals, Endings
from ltq.brokers._rules.record import DeadRecord, Record
from ltq.brokers._rules.slot import Changes, Heard, KeptSlot
from ltq.options import Priority
from ltq.state import Status

V = TypeVar("V")


class Records(Protocol):
    """Tasks by their id. Each is in exactly one place, which its status names."""

    def load(self, ids: Iterable[str]) -> None:
        """`get` will be called with these ids, so a store may read them together."""
        ...

    def get(self, task_id: str) -> Record | None:
        """The record of an id: the same object throughout a step."""
        ...

    def place(
        self, record: Record, status: Status, when: float = inf, *, front: bool = False
    ) -> None:
        """Move a record from its place, if it has one, to the place of a status.

        Sets `record.status` and `record.when`, and saves the record. PENDING tasks go behind the
        others of their lane and priority, or before them with `front`. The other places are in the
        order of `when`.
        """
        ...

    def save(self, record: Record) -> None:
        """Save the changes of a record that stays in its place."""
        ...

    def remove(self, record: Record) -> None:
        """Forget a record, wherever it is."""
        ...

    def next_token(self, above: int, now: float) -> int:
        """A number greater than `above` and than every one given before.

        A store that may lose its last number takes one that is as great as the microseconds of now.
        """
        ...


class Timeline(Protocol):
    """The records of some statuses, in the order of `when`."""

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
    """A lane, where ready tasks of a queue wait, in one line for each priority.

    The store sets `ready` and `working`; they follow each move of a task at once.
    """

    name: str
    ready: list[int] = field(default_factory=lambda: [0] * len(Priority))
    """How many tasks wait, for each priority."""
    working: int = 0
    """How many of its tasks are WORKING."""
    served: list[int] = field(default_factory=lambda: [0] * len(Priority))
    """The token of the task that was claimed last, for each priority."""
    used: float = 0.0
    """How many starts the rate limit counted at `used_at`; they fade one by one, an interval each.

    It is no time, so that it holds for another rate as well."""
    used_at: float = 0.0
    """When the last task started."""


class Lanes(Protocol):
    """The lanes that have, or had, tasks."""

    def load(self, queues: Iterable[str]) -> None:
        """`of` will be called with these queues, so a store may read their lanes together."""
        ...

    def get(self, names: Iterable[str]) -> Sequence[Lane]:
        """Those of these lanes that exist, in this order; the same objects throughout a step."""
        ...

    def of(self, queue: str) -> Sequence[Lane]:
        """The lanes of a queue: the one with its name, and those named `queue/...`."""
        ...

    def in_turn(self, level: Priority) -> "Generator[Lane, None, None]":
        """The lanes in which tasks of a priority wait now, the one served longest ago first.

        A store reads no more of them than are asked for, or not many more. Each comes once. Close
        the iterator within the step.
        """
        ...

    def first(self, lane: Lane, level: Priority, limit: int) -> Sequence[Record]:
        """Up to `limit` ready tasks of a lane and priority, first in first out."""
        ...

    def waiting_since(self, lanes: Iterable[Lane]) -> Mapping[str, float]:
        """By lane, the earliest `waits_since` of the first in its lines. Empty ones have none."""
        ...

    def save(self, lane: Lane) -> None:
        """Save `served`, `used` and `used_at`."""
        ...


class Queues(Protocol):
    """The queues and their tasks."""

    def add(self, queue: str) -> None:
        """Remember the name of a queue that has a task, a consumer, a schedule, or is paused."""
        ...

    def names(self) -> Collection[str]:
        """The names of all queues that were added."""
        ...

    def pause(self, queue: str) -> None:
        """Keep, without an end, that a queue is paused."""
        ...

    def resume(self, queue: str) -> None:
        """Undo `pause`. Safe to call twice."""
        ...

    def paused(self) -> Collection[str]:
        """The names of all queues that are paused."""
        ...

    def load(self, queues: Iterable[str]) -> None:
        """`count` will be called with these queues, so a store may read the counts together."""
        ...

    def count(self, queue: str, status: Status) -> int:
        """How many tasks of a queue have a status."""
        ...

    def waiting(self, queue: str, most: int) -> Sequence[Record]:
        """Up to `most` ready and delayed tasks of a queue, in no particular order."""
        ...

    def first_delayed(self, queues: Collection[str]) -> Mapping[str, float]:
        """When the first delayed task of each of these queues is due. Some have none."""
        ...

    def working(self) -> Sequence[Record]:
        """The WORKING tasks of all queues, in no particular order."""
        ...

    def ended_leases(self, before: float) -> Mapping[str, Sequence[float]]:
        """By queue, when the leases of its WORKING tasks ended: those that did before a time."""
        ...


class Spot(NamedTuple):
    """Where a task is in a line: all are in the order of their spots, and no two have the same."""

    moment: float
    number: int


Spotted = tuple[Spot, Record]


class Lines(Protocol):
    """Tasks in an order, of which any part is read without what comes before and behind it.

    A spot may be given whose task has left meanwhile: what comes next is behind where it was.
    """

    def ready(
        self, lane: Lane, level: Priority, after: Spot | None, limit: int
    ) -> Sequence[Spotted]:
        """Up to `limit` ready tasks of a lane and priority behind a spot, first in first out.

        What comes to the back of the lane is behind all spots that were there before, and what
        comes to the front is before them.
        """
        ...

    def spot(self, record: Record) -> Spot:
        """Where a ready task is in its line."""
        ...

    def delayed(self, queue: str, after: Spot | None, limit: int) -> Sequence[Spotted]:
        """Up to `limit` delayed tasks of a queue behind a spot, in the order of `when`.

        That is the `moment` of their spots.
        """
        ...

    def final(self, queue: str, most: int, after: Spot | None, limit: int) -> Sequence[Spotted]:
        """Up to `limit` of the `most` final tasks of a queue that ended last, the latest first.

        Their states may have expired.
        """
        ...


class DeadRecords(Protocol):
    """The dead tasks of all queues, one for each id. Times are those of their death.

    A task that died at `after` or earlier does not count, and may be forgotten.
    """

    def put(self, dead: DeadRecord, *, most: int) -> None:
        """Keep the newest `most` of its queue, by their deaths. One with its id is replaced."""
        ...

    def get(self, task_id: str, after: float) -> DeadRecord | None: ...

    def newest(self, queue: str, after: float, limit: int, offset: int) -> Sequence[DeadRecord]:
        """Up to `limit` of a queue, the newest first, without the `offset` newest."""
        ...

    def counts(self, queues: Collection[str], after: float) -> Mapping[str, int]:
        """How many each of these queues has. Those that are left out have none."""
        ...

    def remove(
        self, queue: str, ids: Collection[str] | None, after: float = -inf, until: float = inf
    ) -> int:
        """Forget tasks of a queue (all, or these ids) that died at `until` or earlier.

        Returns how many they were.
        """
        ...


class Table(Protocol[V]):
    """Values by a key, each until it expires."""

    def get(self, key: str, now: float) -> V | None:
        """The value, unless it has expired."""
        ...

    def several(self, keys: Collection[str], now: float) -> Mapping[str, V]:
        """The values of these keys, without those that `get` has none for."""
        ...

    def expiry(self, key: str, now: float) -> float:
        """When the value expires; 0 if there is none, or it has expired."""
        ...

    def set(self, key: str, value: V, *, expires: float, now: float) -> None:
        """Keep a value; it replaces the one that is there. Expired values may be forgotten."""
        ...

    def remove(self, key: str) -> None:
        """Forget a value, if there is one."""
        ...

    def values(self, now: float) -> Sequence[V]:
        """All values that have not expired, in no particular order."""
        ...


class EndedTokens(Protocol):
    """The tokens and statuses of tasks that ended without leaving a state, by id."""

    def get(self, task_id: str) -> tuple[int, Status] | None: ...

    def put(self, task_id: str, ended: tuple[int, Status], *, most: int) -> None:
        """Keep a token and a status. Only the `most` latest are kept."""
        ...


class EndCounts(Protocol):
    """How many tasks of each queue ended in a worker, by step of time."""

    def add(self, queue: str, step: int, many: int, *, oldest: int) -> None:
        """Count so many more in a step. Steps before `oldest` may be forgotten."""
        ...

    def totals(self, queues: Collection[str], first: int, last: int) -> Mapping[str, int]:
        """How many ended in the steps from `first` to `last`. Queues without any are left out."""
        ...


class HistoryFigures(Protocol):
    """What was counted in each minute, as whole numbers by name (`ltq.broker.history`)."""

    def add(self, queue: str, minute: int, figures: Mapping[str, int], *, oldest: int) -> None:
        """Add to the figures of a minute. Minutes before `oldest` may be forgotten."""
        ...

    def read(self, queue: str, first: int, last: int) -> Mapping[int, Mapping[str, int]]:
        """The figures of the minutes from `first` to `last` in which anything was counted."""
        ...


class Items(Protocol):
    """The encoded items of streams. A task has those of one delivery."""

    def append(self, record: Record, items: Sequence[bytes], most: int) -> None:
        """Add items behind the `record.items` that there were, and keep the `most` last ones."""
        ...

    def read(self, record: Record, after: int, limit: int) -> tuple[int, Sequence[bytes]]:
        """Up to `limit` items behind the first `after` ones, and how many came before them."""
        ...

    def clear(self, record: Record) -> None:
        """Forget the items of a task."""
        ...


class Listener(Protocol):
    """Is told of each change within a step. A store passes the news on when the step is over."""

    def ready(self, lane: str) -> None:
        """A task of a lane may be claimed now, or is due before all others."""
        ...

    def freed(self, lane: str) -> None:
        """A task has left a lane: if the lane's limit held others back, one may start now."""
        ...

    def changed(self, record: Record) -> None:
        """The state that watchers of a task see has changed."""
        ...

    def removed(self, task_id: str) -> None:
        """A task does not exist any more."""
        ...

    def revoked(self, record: Record) -> None:
        """A task was cancelled while its worker runs it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """All that a store keeps of one namespace."""

    records: Records
    delayed: Timeline
    leased: Timeline
    final: Timeline
    lanes: Lanes
    queues: Queues
    lines: Lines
    dead: DeadRecords
    fingerprints: Table[str]
    """By fingerprint, the id of the task that was sent with it. Until it expires, no other is."""
    served: Table[float]
    """By lane, until when a live consumer serves it."""
    workers: Table[SeenWorker]
    """By name, the workers that have a queue here."""
    slots: Table[KeptSlot]
    """By the name of the schedule."""
    schedule_changes: Changes
    """By the name of the schedule."""
    schedulers: Table[Heard]
    """By the id of the run."""
    endings: Endings
    arrivals: Arrivals
    items: Items
    ended_tokens: EndedTokens
    end_counts: EndCounts
    history: HistoryFigures | None
    """None if nothing is to be counted."""
    listener: Listener
