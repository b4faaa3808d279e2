"""The calls of a broker as steps in a file."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from ltq.broker.moving import Parcel
from ltq.broker.schedule_slots import ScheduleSlot, SlotReceipt
from ltq.brokers._rules.places import Places
from ltq.brokers._rules.store import Store
from ltq.brokers.sqlite._file.database import Database
from ltq.brokers.sqlite._places.namespace import new_places
from ltq.message import Envelope, Published
from ltq.names import namespace_of

_LEAST_BYTES = 1000
"""About how many bytes a task without arguments takes in the file."""


class SqliteStore(Store):
    """Tasks in a file that is open in this thread.

    A step begins a transaction, or goes on in the one that is open. Whoever calls the store ends
    it, so that many steps may share one.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.keeps_history: bool = True
        """Whether the present step counts for `history`."""
        self._known: dict[str, tuple[int, Places]] = {}
        """By the name of a namespace: its number in the file, and its places."""
        self._sure: set[str] = set()
        """The namespaces whose numbers are still those of the file."""
        database.add(self)

    def has_lost(self, namespaces: Iterable[str]) -> bool:
        """Whether leases may have ended, whose tasks a claim would take back."""
        with self._step() as now:
            return any(one.leased.due(now, 1) for one in map(self._places, namespaces))

    # New tasks do not get the last room of the disk

    def publish(self, envelopes: Sequence[Envelope]) -> list[Published]:
        """See `Store`."""
        with self._step():
            self.database.check_room(sum(map(_bytes_of, envelopes)))
        return super().publish(envelopes)

    def adopt(self, packed: Sequence[Parcel]) -> list[Published]:
        """See `Store`."""
        with self._step():
            self.database.check_room(sum(_bytes_of(parcel.envelope) for parcel in packed))
        return super().adopt(packed)

    def rerun(self, queue: str, ids: Sequence[str]) -> list[str]:
        """See `Store`."""
        with self._step():
            self.database.check_room()
        return super().rerun(queue, ids)

    def fire(self, slot: ScheduleSlot) -> SlotReceipt:
        """See `Store`."""
        if slot.envelope is not None:
            with self._step():
                self.database.check_room(_bytes_of(slot.envelope))
        return super().fire(slot)

    @contextmanager
    def _step(self, queues: Iterable[str] = ()) -> Iterator[float]:
        self.database.begin(writes=True)
        yield self.database.clock()

    @contextmanager
    def _read_step(self) -> Iterator[float]:
        self.database.begin(writes=False)
        yield self.database.clock()

    def _seen(self, queue: str, now: float) -> Places:
        return self._places(namespace_of(queue))

    def _namespaces(self) -> Iterable[str]:
        return self.database.namespaces()

    def _places(self, namespace: str) -> Places:
        places = self._all_places(namespace)
        return places if self.keeps_history else replace(places, history=None)

    def _all_places(self, namespace: str) -> Places:
        number, known = self._known.get(namespace, (0, None))
        if known is not None and namespace in self._sure:
            return known
        present = self.database.namespace(namespace)
        if known is None or present != number:
            known = new_places(self.database, namespace, present)
            self._known[namespace] = present, known
        if present:
            self._sure.add(namespace)
        return known

    def flush(self) -> None:
        """See `Part`."""

    def committed(self) -> None:
        """See `Part`."""

    def forget(self) -> None:
        """See `Part`: a backup that was restored into the file may have other numbers."""
        self._sure.clear()


def _bytes_of(envelope: Envelope) -> int:
    """About how many bytes a task takes in the file."""
    return _LEAST_BYTES + len(envelope.body)
