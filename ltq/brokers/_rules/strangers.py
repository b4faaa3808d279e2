"""Tasks that a claim meets and its consumer does not run: each goes to a lane of its own."""

from collections.abc import Iterator, Sequence

from ltq.broker import ConsumerConfig
from ltq.brokers._rules import moves
from ltq.brokers._rules.constants import MAX_LANES, MOST_MOVED
from ltq.brokers._rules.places import Lane, Places
from ltq.brokers._rules.record import Record
from ltq.options import Priority


class Strangers:
    """Finds such tasks during one claim, and moves them."""

    def __init__(self, consumer: ConsumerConfig) -> None:
        self.lanes: dict[str, None] = {}
        """The lanes to which tasks were moved."""
        self._consumer = consumer
        self._left = MOST_MOVED
        self._own: set[tuple[str, str, str]] = set()
        """Lanes with names of tasks and serializers, of tasks that stay in their lanes."""

    def among(self, places: Places, lane: Lane, level: Priority, share: int) -> Iterator[Record]:
        """The tasks of a lane that may be given. What comes before them is moved.

        Who asks for another one has leased the one before. They are read in parts of `share`, the
        first part at once: a store may have to write what was changed before it can read.
        """
        return self._among(places.lanes.first(lane, level, share), places, lane, level, share)

    def _among(
        self, records: Sequence[Record], places: Places, lane: Lane, level: Priority, share: int
    ) -> Iterator[Record]:
        while records:
            for record in records:
                kind = lane.name, record.envelope.task_name, record.envelope.serializer
                if kind in self._own or (other := self._lane_for(places, lane, record)) is None:
                    self._own.add(kind)
                    yield record
                elif self._left == 0:
                    return
                else:
                    self._left -= 1
                    self.lanes[other] = None
                    moves.change_lane(places, record, other)
            records = places.lanes.first(lane, level, share) if len(records) == share else ()

    def _lane_for(self, places: Places, lane: Lane, record: Record) -> str | None:
        queue = record.envelope.queue
        other = self._consumer.lane_for(lane.name, queue, record.kind)
        if other is None or places.lanes.get([other]):
            return other
        return other if len(places.lanes.of(queue)) < MAX_LANES else None
