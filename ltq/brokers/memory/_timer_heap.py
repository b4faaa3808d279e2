"""Records in the order of a time that each has."""

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from itertools import count, islice

from ltq.brokers._rules.record import Record

SLACK = 1000
"""How many outdated entries the heap may have before it is rebuilt."""


class TimerHeap:
    """Records in the order of their times: a `Timeline`."""

    def __init__(self) -> None:
        self._entries: dict[Record, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, Record]] = []
        self._numbers = count()

    def __iter__(self) -> Iterator[Record]:
        return iter(self._entries)

    def set(self, record: Record, time: float) -> None:
        """Add a record with its time, or change its time."""
        number = next(self._numbers)
        self._entries[record] = (time, number)
        heappush(self._heap, (time, number, record))
        self._tidy()

    def discard(self, record: Record) -> None:
        """Remove a record, if it is there."""
        if self._entries.pop(record, None) is not None:
            self._tidy()

    def next(self) -> float | None:
        """See `Timeline`."""
        while self._heap:
            time, number, record = self._heap[0]
            if self._entries.get(record) == (time, number):
                return time
            heappop(self._heap)
        return None

    def due(self, now: float, limit: int) -> list[Record]:
        """See `Timeline`. The records are removed at once."""
        return list(islice(self._pop_due(now), limit))

    def _pop_due(self, now: float) -> Iterator[Record]:
        while (time := self.next()) is not None and time <= now:
            record = heappop(self._heap)[2]
            del self._entries[record]
            yield record

    def _tidy(self) -> None:
        """Rebuild the heap if most entries are of records that left or got another time."""
        if len(self._heap) > 2 * len(self._entries) + SLACK:
            self._heap = [(*entry, record) for record, entry in self._entries.items()]
            heapify(self._heap)
