"""Where the ready tasks of one namespace wait."""

from collections import defaultdict
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf

from ltq.brokers._rules.places import Lane, Spot
from ltq.brokers._rules.record import Record
from ltq.brokers.memory._line import Line
from ltq.names import queue_of
from ltq.options import Priority


@dataclass(slots=True, eq=False)
class MemoryLane(Lane):
    """A lane with its lines, one for each priority."""

    lines: tuple[Line, ...] = field(default_factory=lambda: tuple(Line() for _ in Priority))
    in_turn: list[bool] = field(default_factory=lambda: [False] * len(Priority))
    """Whether it is among those that take turns, for each priority."""

    def add(self, record: Record, spot: Spot) -> None:
        """Add a record to its line."""
        level = record.envelope.priority
        self.lines[level].add(record, spot)
        self.ready[level] += 1

    def discard(self, record: Record) -> None:
        """Remove a record from its line."""
        level = record.envelope.priority
        self.lines[level].discard(record)
        self.ready[level] -= 1


_Turn = tuple[int, int, MemoryLane]
"""The token that a lane was served with last, a number in the order of coming, and the lane."""


class MemoryLanes:
    """The lanes of one namespace. Empty ones that tasks were claimed from are kept."""

    def __init__(self) -> None:
        self._lanes: dict[str, MemoryLane] = {}
        self._by_queue: defaultdict[str, dict[str, MemoryLane]] = defaultdict(dict)
        self._turns: list[list[_Turn]] = [[] for _ in Priority]
        """Heaps of the lanes that take turns. Some may have become empty."""
        self._turn_numbers = count(1)
        self._behind = count(1)
        self._before = count(-1, -1)

    def get(self, names: Iterable[str]) -> list[MemoryLane]:
        """See `Lanes`."""
        return [self._lanes[name] for name in names if name in self._lanes]

    def load(self, queues: Iterable[str]) -> None:
        """Nothing to do: all lanes are in memory."""

    def of(self, queue: str) -> list[MemoryLane]:
        """See `Lanes`."""
        lanes = self._by_queue.get(queue)
        return [] if lanes is None else [*lanes.values()]

    def first(self, lane: Lane, level: Priority, limit: int) -> list[Record]:
        """See `Lanes`."""
        return self.own(lane.name).lines[level].first(limit)

    def in_turn(self, level: Priority) -> Generator[Lane, None, None]:
        """See `Lanes`."""
        turns, begun = self._turns[level], next(self._turn_numbers)
        seen: list[MemoryLane] = []
        try:
            while turns and len(seen) <= len(self._lanes):
                token, number, lane = heappop(turns)
                if token != lane.served[level]:  # it was served after its turn
                    heappush(turns, (lane.served[level], number, lane))
                    continue
                seen.append(lane)
                if lane.ready[level] and number < begun:  # others have come meanwhile
                    yield lane
        finally:
            for lane in seen:
                lane.in_turn[level] = False
                if lane.ready[level]:
                    self._take_turns(lane, level)

    def _take_turns(self, lane: MemoryLane, level: Priority) -> None:
        turns = self._turns[level]
        if len(turns) > 2 * len(self._lanes):  # most are of lanes that are forgotten
            for _, _, one in turns:
                one.in_turn[level] = one.ready[level] > 0
            turns[:] = [turn for turn in turns if turn[2].ready[level]]
            heapify(turns)
        lane.in_turn[level] = True
        heappush(turns, (lane.served[level], next(self._turn_numbers), lane))

    def waiting_since(self, lanes: Iterable[Lane]) -> dict[str, float]:
        """See `Lanes`."""
        heads = (
            record
            for lane in lanes
            if any(lane.ready)
            for line in self.own(lane.name).lines
            for record in line.first(1)
        )
        since: dict[str, float] = {}
        for head in heads:
            since[head.lane] = min(head.waits_since, since.get(head.lane, inf))
        return since

    def save(self, lane: Lane) -> None:
        """Nothing to do: the lane itself is what is kept."""

    def add(self, record: Record, *, front: bool) -> None:
        """Let a record wait behind the others of its lane and priority, or before them."""
        number = next(self._before if front else self._behind)
        lane, level = self.own(record.lane), record.envelope.priority
        lane.add(record, Spot(0.0, number))
        if not lane.in_turn[level]:
            self._take_turns(lane, level)

    def own(self, name: str) -> MemoryLane:
        """The lane with a name. If there is none, it is made."""
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = MemoryLane(name)
            self._by_queue[queue_of(name)][name] = lane
        return lane

    def leave(self, lane: MemoryLane) -> None:
        """Forget the lane of a task, if it is empty and nothing was ever claimed from it.

        Its name may come from anywhere, while those that are claimed from are names of code.
        """
        queue = queue_of(lane.name)
        if lane.name != queue and not any(lane.ready) and not any(lane.served):
            del self._lanes[lane.name], self._by_queue[queue][lane.name]

    def has_ready(self, name: str) -> bool:
        """Whether tasks wait in a lane."""
        lane = self._lanes.get(name)
        return lane is not None and any(lane.ready)
