"""The places where the tasks of one namespace are. Each task is in exactly one of them."""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from itertools import count, islice

from ltq.brokers.memory._record import Letter, Record
from ltq.options import DEAD_TTL, MAX_DEAD, Priority, Rate
from ltq.state import Status

BATCH = 1000
"""How many records one call moves at most, of each kind."""


class TimerHeap:
    """Records with a time each; those whose time has come leave it, the earliest first."""

    def __init__(self) -> None:
        self._entries: dict[Record, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, Record]] = []
        self._numbers = count()

    def __iter__(self) -> Iterator[Record]:
        return iter(self._entries)

    def set(self, record: Record, time: float) -> None:
        """Give a record its time, instead of the one it may have."""
        number = next(self._numbers)
        self._entries[record] = (time, number)
        heappush(self._heap, (time, number, record))
        self._tidy()

    def discard(self, record: Record) -> None:
        if self._entries.pop(record, None) is not None:
            self._tidy()

    @property
    def next(self) -> float | None:
        """The earliest time, or None."""
        while self._heap:
            time, number, record = self._heap[0]
            if self._entries.get(record) == (time, number):
                return time
            heappop(self._heap)
        return None

    def due(self, now: float) -> list[Record]:
        """The first records whose time has come; the caller moves each of them elsewhere."""
        return list(islice(self._pop_due(now), BATCH))

    def _pop_due(self, now: float) -> Iterator[Record]:
        while (time := self.next) is not None and time <= now:
            record = heappop(self._heap)[2]
            del self._entries[record]
            yield record

    def _tidy(self) -> None:
        """Rebuild the heap when most of it stands for records that left or got another time."""
        if len(self._heap) > 2 * len(self._entries) + BATCH:
            self._heap = [(*entry, record) for record, entry in self._entries.items()]
            heapify(self._heap)


class Lane:
    """Where ready tasks wait: a line for each priority, and one rate limit for all of them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: tuple[OrderedDict[str, Record], ...] = tuple(OrderedDict() for _ in Priority)
        self.working = 0
        """How many of its tasks run."""
        self.served = [0] * len(Priority)
        """For each priority, when it was served last: a number that grows."""
        self._full_at = 0.0

    def __len__(self) -> int:
        return sum(map(len, self.lines))

    def add(self, record: Record, *, front: bool) -> None:
        line = self.lines[record.envelope.priority]
        line[record.id] = record
        if front:
            line.move_to_end(record.id, last=False)

    def discard(self, record: Record) -> None:
        self.lines[record.envelope.priority].pop(record.id, None)

    def first(self, level: Priority) -> Record:
        """The one whose turn it is at a priority that has some."""
        return next(iter(self.lines[level].values()))

    def serve(self, level: Priority, *, number: int, rate: Rate | None, now: float) -> Record:
        """The first record of a line, which starts now: note it for the turn and the rate."""
        self.served[level] = number
        if rate is not None:
            self._full_at = max(self._full_at, now) + rate.interval
        return self.first(level)

    def next_start(self, rate: Rate) -> float:
        """When the next task may start (GCRA): the allowance of a burst before its full use."""
        return self._full_at - (rate.burst - 1) * rate.interval


class Letters:
    """The latest dead letters of one queue, the oldest first."""

    def __init__(self) -> None:
        self._letters: OrderedDict[str, Letter] = OrderedDict()

    def add(self, letter: Letter) -> None:
        self.discard(letter.envelope.id)
        self._letters[letter.envelope.id] = letter
        if len(self._letters) > MAX_DEAD:
            self._letters.popitem(last=False)
        self._forget(letter.time)

    def discard(self, task_id: str) -> bool:
        """Remove a letter; whether it was there."""
        return self._letters.pop(task_id, None) is not None

    def get(self, task_id: str, now: float) -> Letter | None:
        self._forget(now)
        return self._letters.get(task_id)

    def all(self, now: float) -> list[Letter]:
        """Every letter, the newest first."""
        self._forget(now)
        return list(reversed(self._letters.values()))

    def count(self, now: float) -> int:
        self._forget(now)
        return len(self._letters)

    def _forget(self, now: float) -> None:
        while self._letters:
            oldest = next(iter(self._letters.values()))
            if oldest.time > now - DEAD_TTL:
                return
            self._letters.popitem(last=False)


class Places:
    """All places of one namespace; a record leaves the one where it is for the next.

    Lanes and counts stay when they are empty: there are as many as names of queues and tasks.
    """

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.lanes: dict[str, Lane] = {}
        self.delayed = TimerHeap()
        self.leased = TimerHeap()
        self.final = TimerHeap()
        self.counts: Counter[tuple[str, Status]] = Counter()

    def lane(self, name: str) -> Lane:
        lane = self.lanes.get(name)
        if lane is None:
            lane = self.lanes[name] = Lane(name)
        return lane

    def enqueue(self, record: Record, *, front: bool = False) -> None:
        """Put a record among the ready ones: PENDING."""
        self._place(record, Status.PENDING)
        self.lane(record.lane).add(record, front=front)

    def delay(self, record: Record, due: float) -> None:
        """Put a record aside until it is due: DELAYED."""
        self._place(record, Status.DELAYED)
        self.delayed.set(record, due)

    def lease(self, record: Record, deadline: float) -> None:
        """Give a record out of hand: WORKING."""
        self._place(record, Status.WORKING)
        self.leased.set(record, deadline)

    def settle(self, record: Record, status: Status, expires: float) -> None:
        """Keep a record for those who ask what became of it: final."""
        self._place(record, status)
        record.expires = expires
        self.final.set(record, expires)

    def remove(self, record: Record) -> None:
        """Forget a record, wherever it is."""
        del self.records[record.id]
        self._leave(record)

    def count_by_priority(self, queue: str) -> dict[str, int]:
        """How many records of a queue are ready, by the name of their priority."""
        counts = {priority.name.lower(): 0 for priority in Priority}
        for lane in self._lanes_of(queue):
            for priority in Priority:
                counts[priority.name.lower()] += len(lane.lines[priority])
        return counts

    def heads(self, queue: str) -> list[Record]:
        """The first record of each line of a queue's lanes."""
        lanes = self._lanes_of(queue)
        return [next(iter(line.values())) for lane in lanes for line in lane.lines if line]

    def waiting(self, queue: str) -> list[Record]:
        """The delayed and ready records of a queue."""
        found = [record for record in self.delayed if record.queue == queue]
        for lane in self._lanes_of(queue):
            found += [record for line in lane.lines for record in line.values()]
        return found

    def _lanes_of(self, queue: str) -> list[Lane]:
        prefix = f"{queue}/"
        names = (name for name in self.lanes if name == queue or name.startswith(prefix))
        return [self.lanes[name] for name in names]

    def _place(self, record: Record, status: Status) -> None:
        if record.id in self.records:
            self._leave(record)
        self.records[record.id] = record
        record.status = status
        self.counts[record.queue, status] += 1
        self.lane(record.lane).working += status is Status.WORKING

    def _leave(self, record: Record) -> None:
        self.counts[record.queue, record.status] -= 1
        self.lane(record.lane).working -= record.status is Status.WORKING
        if record.status is Status.PENDING:
            self.lane(record.lane).discard(record)
        elif record.status is Status.DELAYED:
            self.delayed.discard(record)
        elif record.status is Status.WORKING:
            self.leased.discard(record)
        else:
            self.final.discard(record)
