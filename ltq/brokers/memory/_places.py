"""Where the tasks of one namespace are, and how many each queue has."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable
from itertools import count, islice
from math import inf

from ltq.brokers._rules.places import Lane, Spot, Spotted
from ltq.brokers._rules.record import Record
from ltq.brokers.memory._lanes import MemoryLanes
from ltq.brokers.memory._line import Line
from ltq.brokers.memory._timer_heap import TimerHeap
from ltq.options import Priority
from ltq.state import Status

NextToken = Callable[[int, float], int]
"""See `Records.next_token`."""


class MemoryRecords:
    """The tasks by id, each in the place of its status: `Records`."""

    def __init__(self, lanes: MemoryLanes, next_token: NextToken) -> None:
        self.next_token = next_token
        self.delayed = TimerHeap()
        self.leased = TimerHeap()
        self.final = TimerHeap()
        self.counts: Counter[tuple[str, Status]] = Counter()
        self.delayed_of: defaultdict[str, Line] = defaultdict(Line)
        """The delayed tasks of each queue."""
        self.final_of: defaultdict[str, Line] = defaultdict(Line)
        """The final tasks of each queue, the latest first."""
        self._numbers = count(1)
        self._lanes = lanes
        self._records: dict[str, Record] = {}

    def __len__(self) -> int:
        return len(self._records)

    def load(self, ids: Iterable[str]) -> None:
        """Nothing to do: all records are in memory."""

    def get(self, task_id: str) -> Record | None:
        """See `Records`."""
        return self._records.get(task_id)

    def place(
        self, record: Record, status: Status, when: float = inf, *, front: bool = False
    ) -> None:
        """See `Records`."""
        if record.id in self._records:
            self._leave(record)
        self._records[record.id] = record
        record.status, record.when = status, when
        self.counts[record.queue, status] += 1
        if status is Status.PENDING:
            self._lanes.add(record, front=front)
        else:
            self._timeline(status).set(record, when)
        if status is Status.DELAYED:
            self.delayed_of[record.queue].add(record, Spot(when, next(self._numbers)))
        elif status.is_final:
            self.final_of[record.queue].add(record, Spot(0.0, -next(self._numbers)))
        elif status is Status.WORKING:
            self._lanes.own(record.lane).working += 1

    def save(self, record: Record) -> None:
        """Nothing to do: the record itself is what is kept."""

    def remove(self, record: Record) -> None:
        """See `Records`."""
        del self._records[record.id]
        self._leave(record)

    def _leave(self, record: Record) -> None:
        status = record.status
        self.counts[record.queue, status] -= 1
        if status is Status.PENDING:
            lane = self._lanes.own(record.lane)
            lane.discard(record)
            self._lanes.leave(lane)
        else:
            self._timeline(status).discard(record)
        if status is Status.DELAYED:
            self.delayed_of[record.queue].discard(record)
        elif status.is_final:
            self.final_of[record.queue].discard(record)
        elif status is Status.WORKING:
            self._lanes.own(record.lane).working -= 1

    def _timeline(self, status: Status) -> TimerHeap:
        if status is Status.WORKING:
            return self.leased
        return self.delayed if status is Status.DELAYED else self.final


class MemoryQueues:
    """The queues and their tasks: `Queues`."""

    def __init__(self, records: MemoryRecords, lanes: MemoryLanes) -> None:
        self._records = records
        self._lanes = lanes
        self._names: set[str] = set()
        self._paused: set[str] = set()

    def add(self, queue: str) -> None:
        """See `Queues`."""
        self._names.add(queue)

    def names(self) -> set[str]:
        """See `Queues`."""
        return self._names

    def pause(self, queue: str) -> None:
        """See `Queues`."""
        self._paused.add(queue)

    def resume(self, queue: str) -> None:
        """See `Queues`."""
        self._paused.discard(queue)

    def paused(self) -> set[str]:
        """See `Queues`."""
        return self._paused

    def load(self, queues: Iterable[str]) -> None:
        """Nothing to do: all counts are in memory."""

    def count(self, queue: str, status: Status) -> int:
        """See `Queues`."""
        return self._records.counts[queue, status]

    def waiting(self, queue: str, most: int) -> list[Record]:
        """See `Queues`."""
        lines = [line for lane in self._lanes.of(queue) for line in lane.lines]
        lines.append(self._records.delayed_of[queue])
        return [*islice((one for line in lines for one in line.first(most)), most)]

    def first_delayed(self, queues: Collection[str]) -> dict[str, float]:
        """See `Queues`."""
        lines = self._records.delayed_of
        heads = (lines[queue].first(1) for queue in queues if queue in lines)
        return {record.queue: record.when for head in heads for record in head}

    def working(self) -> list[Record]:
        """See `Queues`."""
        return list(self._records.leased)

    def ended_leases(self, before: float) -> dict[str, list[float]]:
        """See `Queues`."""
        ended: dict[str, list[float]] = {}
        for record in self._records.leased:
            if record.when < before:
                ended.setdefault(record.queue, []).append(record.when)
        return ended


class MemoryLines:
    """Parts of what is in an order: `Lines`."""

    def __init__(self, records: MemoryRecords, lanes: MemoryLanes) -> None:
        self._records = records
        self._lanes = lanes

    def ready(self, lane: Lane, level: Priority, after: Spot | None, limit: int) -> list[Spotted]:
        """See `Lines`."""
        found = self._lanes.get([lane.name])  # it may have been forgotten in this step
        return found[0].lines[level].read(after, limit) if found else []

    def spot(self, record: Record) -> Spot:
        """See `Lines`."""
        return self._lanes.own(record.lane).lines[record.envelope.priority].spot(record)

    def delayed(self, queue: str, after: Spot | None, limit: int) -> list[Spotted]:
        """See `Lines`."""
        return self._records.delayed_of[queue].read(after, limit)

    def final(self, queue: str, most: int, after: Spot | None, limit: int) -> list[Spotted]:
        """See `Lines`."""
        line = self._records.final_of[queue]
        found, end = line.read(after, limit), line.nth(most)
        return found if end is None else [each for each in found if each[0] < end]
