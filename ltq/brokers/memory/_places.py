"""Where the tasks of one namespace are, and how many each queue has."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from heapq import nlargest
from itertools import chain, islice
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
            lane = self._lanes.own(record.lane)
            lane.discard(record)
            self._lanes.leave(lane)
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

    def count(self, queue: str, status: Status) -> int:
        """See `Queues`."""
        return self._records.counts[queue, status]

    def waiting(self, queue: str, most: int | None = None) -> list[Record]:
        """See `Queues`."""
        lines = (line for lane in self._lanes.of(queue) for line in lane.lines)
        ready = (record for line in lines for record in line.values())
        return [*islice(chain(ready, self._delayed(queue)), most)]

    def delayed(self, queue: str) -> list[Record]:
        """See `Queues`."""
        return [*self._delayed(queue)]

    def next_delayed(self, queue: str) -> float | None:
        """See `Queues`."""
        return min((record.when for record in self._delayed(queue)), default=None)

    def _delayed(self, queue: str) -> Iterator[Record]:
        return (record for record in self._records.delayed if record.queue == queue)

    def working(self) -> list[Record]:
        """See `Queues`."""
        return list(self._records.leased)

    def final(self, queue: str, most: int) -> list[Record]:
        """See `Queues`."""
        ended = (record for record in self._records.final if record.queue == queue)
        return nlargest(most, ended, key=lambda one: (one.release_time or 0.0, one.id))
