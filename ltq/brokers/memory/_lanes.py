"""Where the ready tasks of one namespace wait."""

from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from ltq.brokers._rules.places import Lane
from ltq.brokers._rules.record import Record
from ltq.names import queue_of
from ltq.options import Priority


@dataclass(slots=True, eq=False)
class MemoryLane(Lane):
    """A lane with its lines, one for each priority."""

    lines: tuple[OrderedDict[str, Record], ...] = field(
        default_factory=lambda: tuple(OrderedDict() for _ in Priority)
    )

    def add(self, record: Record, *, front: bool) -> None:
        """Add a record to its line."""
        level = record.envelope.priority
        self.lines[level][record.id] = record
        self.ready[level] += 1
        if front:
            self.lines[level].move_to_end(record.id, last=False)

    def discard(self, record: Record) -> None:
        """Remove a record from its line."""
        level = record.envelope.priority
        del self.lines[level][record.id]
        self.ready[level] -= 1


class MemoryLanes:
    """The lanes of one namespace. Empty ones that tasks were claimed from are kept."""

    def __init__(self) -> None:
        self._lanes: dict[str, MemoryLane] = {}
        self._by_queue: defaultdict[str, dict[str, MemoryLane]] = defaultdict(dict)

    def get(self, names: Iterable[str]) -> list[MemoryLane]:
        """See `Lanes`."""
        return [self._lanes[name] for name in names if name in self._lanes]

    def of(self, queue: str) -> list[MemoryLane]:
        """See `Lanes`."""
        lanes = self._by_queue.get(queue)
        return [] if lanes is None else [*lanes.values()]

    def first(self, lane: Lane, level: Priority, limit: int) -> list[Record]:
        """See `Lanes`."""
        return list(islice(self.own(lane.name).lines[level].values(), limit))

    def save(self, lane: Lane) -> None:
        """Nothing to do: the lane itself is what is kept."""

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
