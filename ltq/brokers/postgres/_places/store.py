"""The calls of a broker as steps in PostgreSQL: those that the functions in `sql/` do not do."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

from ltq.broker import Parcel
from ltq.broker.schedule_slots import ScheduleSlot, SlotReceipt
from ltq.broker.selection import Selection
from ltq.brokers._rules.flows import waiting
from ltq.brokers._rules.places import Places
from ltq.brokers._rules.steering.cancel_many import Reached
from ltq.brokers._rules.store import Store
from ltq.brokers._rules.unclaim import unclaim
from ltq.brokers.postgres._places.dead import PostgresDeadRecords
from ltq.brokers.postgres._places.lanes import PostgresLanes
from ltq.brokers.postgres._places.listener import PostgresListener
from ltq.brokers.postgres._places.namespace import new_places
from ltq.brokers.postgres._places.step import Step, Transaction
from ltq.brokers.postgres._schema.names import Schema
from ltq.message import Lease, Published
from ltq.names import namespace_of

T = TypeVar("T")

_NAMESPACES = """
SELECT namespace FROM ltq.every_queue()
UNION SELECT namespace FROM ltq.kept UNION SELECT namespace FROM ltq.schedule_changes ORDER BY 1"""


_LOCK = """
SELECT set_config('lock_timeout', '500ms', true), ltq.adopt(%s),
    extract(epoch FROM clock_timestamp())::float8
FROM pg_advisory_xact_lock(%s, hashtext(%s))"""
"""Others wait for a step, so it waits for no row for long that a session of a user's holds."""

_CANCEL = "SELECT ltq.cancel_waiting(%s, %s::text[], %s::float8, %s, %s::float8)"

_LOST = """
SELECT id, queue, token FROM ltq.tasks
WHERE status = 2 AND namespace = %s AND worker = %s AND last_dequeue_time >= %s
AND NOT id = ANY(%s)
ORDER BY token"""


class PostgresStore(Store):
    """Runs one step of the rules.

    A step that writes has the namespace for itself, except for those who send: functions in `sql/`
    that change tasks wait for it, and it for them.
    """

    def __init__(self, transaction: Transaction, schema: Schema, *, keeps_history: bool) -> None:
        self._transaction = transaction
        self._schema = schema
        self._keeps_history = keeps_history
        self._step_now = Step(transaction, schema)
        self._is_writing = False
        self._counts_exactly = False
        self._dead_ids: Sequence[str] = ()
        """Tasks that are read together, before the rule asks for them one by one."""
        self._known: dict[str, Places] = {}
        self._locked: set[str] = set()
        """The namespaces that the present step has for itself."""
        self._listeners: list[PostgresListener] = []

    def run(self, step: Callable[["PostgresStore"], T]) -> T:
        """Run a step: one call of a method of `Store`."""
        return step(self)

    def replay(self, queue: str, ids: Sequence[str]) -> list[Published]:
        """See `Store.replay`."""
        self._dead_ids = ids
        return super().replay(queue, ids)

    def pack_dead(self, queue: str, ids: Sequence[str]) -> list[Parcel | None]:
        """See `Store.pack_dead`."""
        self._dead_ids = ids
        return super().pack_dead(queue, ids)

    def adopt(self, packed: Sequence[Parcel]) -> list[Published]:
        """See `Store.adopt`."""
        self._dead_ids = [one.envelope.id for one in packed if one.is_dead]
        return super().adopt(packed)

    def drop(self, packed: Sequence[Parcel]) -> list[str]:
        """See `Store.drop`."""
        self._dead_ids = [one.envelope.id for one in packed if one.is_dead]
        return super().drop(packed)

    def fire(self, slot: ScheduleSlot) -> SlotReceipt:
        """See `Store.fire`: how many tasks wait may matter, see `Envelope.max_pending`."""
        self._counts_exactly = True
        return super().fire(slot)

    def cancel_some(
        self, queue: str, selection: Selection, reached: Reached | None, most: int
    ) -> tuple[int, Reached | None]:
        """See `Store.cancel_some`: a line's tasks are counted when the call comes to it."""
        self._counts_exactly = reached is None or reached.left <= most
        return super().cancel_some(queue, selection, reached, most)

    def cancel_each(self, queue: str, ids: Sequence[str], result_ttl: float) -> int:
        """See `Store.cancel_each`: a tree may have many nodes, of which most wait."""
        with self._step([queue]) as now:
            own = namespace_of(queue), list(ids), result_ttl, self._keeps_history, now
            ((done,),) = self._step_now.rows(_CANCEL, *own)
            gone = set(done)
            left = [one for one in ids if one not in gone]
            if not left:
                return len(gone)
            places = self._open(queue, now)
            rest = waiting.cancel_each(places, now, ids=left, result_ttl=result_ttl)
            return len(gone) + rest

    def take_lost(
        self, namespaces: Iterable[str], worker: str, since: float, known: Sequence[str]
    ) -> None:
        """Undo the claims of a worker that it does not know of: their answers were lost."""
        with self._step() as now:
            for namespace in namespaces:
                places = self._places(namespace)
                rows = self._step_now.rows(_LOST, namespace, worker, since, known)
                unclaim(places, [Lease(*row) for row in rows], now)

    @contextmanager
    def _step(self, queues: Iterable[str] = ()) -> Iterator[float]:
        with self._transact(writes=True) as now:
            for namespace in sorted(set(map(namespace_of, queues))):
                now = self._lock(namespace)  # others may have claimed while it was waited for
            yield now

    @contextmanager
    def _read_step(self) -> Iterator[float]:
        with self._transact(writes=False) as now:
            yield now

    @contextmanager
    def _transact(self, *, writes: bool) -> Iterator[float]:
        self._is_writing = writes
        self._step_now.is_exact = not writes or self._counts_exactly
        now = self._transaction.begin(writes=writes)
        try:
            yield now
            self._step_now.flush()
            for listener in self._listeners:
                listener.tell()
            self._transaction.commit()
        except BaseException:
            self._transaction.rollback()
            raise

    def _open(self, queue: str, now: float) -> Places:
        return self._places(namespace_of(queue))

    def _namespaces(self) -> Iterable[str]:
        return [namespace for (namespace,) in self._step_now.rows(_NAMESPACES)]

    def _lock(self, namespace: str) -> float:
        """Have a namespace for this step alone. Returns the time since when."""
        ((_, _, now),) = self._step_now.rows(_LOCK, namespace, self._schema.lock, namespace)
        self._locked.add(namespace)
        return float(now)

    def _places(self, namespace: str) -> Places:
        known = self._known.get(namespace)
        if known is None:
            if self._is_writing and namespace not in self._locked:
                self._lock(namespace)
            lanes = PostgresLanes(self._step_now, namespace)
            listener = PostgresListener(self._step_now, namespace, lanes.has_ready)
            self._listeners.append(listener)
            dead = PostgresDeadRecords(self._step_now, namespace)
            dead.load(self._dead_ids)
            known = new_places(self._step_now, namespace, listener, lanes, dead)
            self._known[namespace] = known
        return known if self._keeps_history else replace(known, history=None)
