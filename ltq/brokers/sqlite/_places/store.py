"""The calls of a broker as steps in a file."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from ltq.brokers._rules.places import Places
from ltq.brokers._rules.store import Store
from ltq.brokers.sqlite._file.database import Database
from ltq.brokers.sqlite._places.namespace import new_places
from ltq.names import namespace_of


class SqliteStore(Store):
    """Tasks in a file that is open in this thread.

    A step begins a transaction, or goes on in the one that is open. Whoever calls the store ends
    it, so that many steps may share one.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.keeps_history: bool = True
        """Whether the present step counts for `history`."""
        self._known: dict[str, Places] = {}
        self._undone = database.undone

    def clock(self) -> float:
        """The time of a step that begins now."""
        return self.database.clock()

    def has_lost(self, namespaces: Iterable[str]) -> bool:
        """Whether leases may have ended, whose tasks a claim would take back."""
        with self._step() as now:
            return any(one.leased.due(now, 1) for one in map(self._places, namespaces))

    @contextmanager
    def _step(self) -> Iterator[float]:
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
        if self._undone != self.database.undone:  # perhaps a namespace is not in the file now
            self._undone = self.database.undone
            self._known.clear()
        known = self._known.get(namespace)
        if known is None:
            number = self.database.namespace(namespace)
            known = new_places(self.database, namespace, number)
            if number:
                self._known[namespace] = known
        return known
