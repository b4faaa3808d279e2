"""Where the tasks of one namespace are, and how many each queue has."""

from collections import Counter
from collections.abc import Callable, Iterable
from math import inf

from ltq.brokers._rules.record import Record
from ltq.brokers.memory._lanes import MemoryLanes
from ltq.brokers.memory._timer_heap import TimerHeap
from ltq.state import Status

NextToken = Callable[[int], int]
"""See `Records.next_token`."""


class MemoryRecords:
    """The tasks by id, each in the place of its status: `Records`."""

    def __init__(self, lanes: MemoryLanes, next_token: NextToken) -> None:
        self.next_token = next_token
        self.delayed = TimerHeap()
        self.leased = TimerHeap()
        self.final = TimerHeap()
        self.counts: Counter[tuple[str, Status]] = Counter()
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
            self._lanes.own(record.lane).add(record, front=front)
        else:
            self._timeline(status).set(record, when)
        if status is Status.WORKING:
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
            self._lanes.own(record.lane).discard(record)
        else:
            self._timeline(status).discard(record)
        if status is Status.WORKING:
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

    def add(self, queue: str) -> None:
        """See `Queues`."""
        self._names.add(queue)

    def names(self) -> set[str]:
        """See `Queues`."""
        return self._names

    def count(self, queue: str, status: Status) -> int:
        """See `Queues`."""
        return self._records.counts[queue, status]

    def waiting(self, queue: str) -> list[Record]:
        """See `Queues`."""
        found = [record for record in self._records.delayed if record.queue == queue]
        for lane in self._lanes.of(queue):
            found += [record for line in lane.lines for record in line.values()]
        return found

    def working(self) -> list[Record]:
        """See `Queues`."""
        return list(self._records.leased)
