"""Collecting what a step will tell: `Listener`."""

from collections.abc import Callable

from ltq.brokers._rules.record import Record
from ltq.brokers.postgres._places.step import Step
from ltq.names import queue_of

_TELL = "SELECT ltq.tell(%s, %s, %s::text[])"


class PostgresListener:
    """Tells who waits when the step is over. `has_ready` says whether tasks wait in a lane."""

    def __init__(self, step: Step, namespace: str, has_ready: Callable[[str], bool]) -> None:
        self._step = step
        self._namespace = namespace
        self._has_ready = has_ready
        self._lanes: dict[str, None] = {}
        self._freed: dict[str, None] = {}
        self._tasks: dict[str, None] = {}
        self._revoked: dict[str, str] = {}

    def ready(self, lane: str) -> None:
        """See `Listener`."""
        self._lanes[lane] = None

    def freed(self, lane: str) -> None:
        """See `Listener`."""
        self._freed[lane] = None

    def changed(self, record: Record) -> None:
        """See `Listener`."""
        self._tasks[record.id] = None

    def removed(self, task_id: str) -> None:
        """See `Listener`."""
        self._tasks[task_id] = None

    def revoked(self, record: Record) -> None:
        """See `Listener`."""
        if record.worker is not None:
            self._revoked[record.id] = record.worker

    def tell(self) -> None:
        """Send what was collected to those who wait for it."""
        if not (self._lanes or self._freed or self._tasks or self._revoked):
            return
        lanes = dict.fromkeys(f"lane {queue_of(lane)}" for lane in (*self._lanes, *self._freed))
        own = f"task {self._namespace}"
        ((topics,),) = self._step.rows("SELECT ltq.awaited(%s::text[])", [*lanes, own])
        awaited = set(topics)
        for lane in self._freed:
            if f"lane {queue_of(lane)}" in awaited and self._has_ready(lane):
                self.ready(lane)
        ready = [lane for lane in self._lanes if f"lane {queue_of(lane)}" in awaited]
        if ready:
            self._step.write(_TELL, "lane", "", ready)
        if self._tasks and own in awaited:
            self._step.write(_TELL, "end", self._namespace, [*self._tasks])
        for task_id, consumer in self._revoked.items():
            self._step.write(_TELL, "revoked", consumer, [task_id])
