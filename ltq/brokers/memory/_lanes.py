"""Where the ready tasks of one namespace wait."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from ltq.brokers._rules.places import Lane
from ltq.brokers._rules.record import Record
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
    """The lanes of one namespace. Empty ones are kept: there are only a few per queue."""

    def __init__(self) -> None:
        self._lanes: dict[str, MemoryLane] = {}

    def get(self, names: Iterable[str]) -> list[MemoryLane]:
        """See `Lanes`."""
        return [self._lanes[name] for name in names if name in self._lanes]

    def of(self, queue: str) -> list[MemoryLane]:
        """See `Lanes`."""
        prefix = f"{queue}/"
        names = (name for name in self._lanes if name == queue or name.startswith(prefix))
        return [self._lanes[name] for name in names]

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
        return lane

    def has_ready(self, name: str) -> bool:
        """Whether tasks wait in a lane."""
        lane = self._lanes.get(name)
        return lane is not None and any(lane.ready)
