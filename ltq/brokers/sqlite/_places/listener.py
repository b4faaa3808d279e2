"""Collecting what a transaction will tell: `Listener`."""

from collections.abc import Callable
from functools import lru_cache

from ltq.brokers._rules.record import Record
from ltq.brokers.sqlite._file.database import Database, Notice
from ltq.names import queue_of
from ltq.state import Status

_FINAL = frozenset(status for status in Status if status.is_final)


def task_topic(namespace: str, task_id: str) -> str:
    """What is told when the state of a task has changed, but for its end."""
    return f"task {namespace} {task_id}"


def end_topic(namespace: str, task_id: str) -> str:
    """What is told when a task has become final, or is gone."""
    return f"end {namespace} {task_id}"


def lane_topic(queue: str) -> str:
    """What is told, with the lane, when a task of a queue may be claimed."""
    return f"lane {queue}"


@lru_cache(maxsize=4096)
def _lane_notice(lane: str) -> Notice:
    return lane_topic(queue_of(lane)), lane


def revoked_topic(consumer: str) -> str:
    """What is told, with the id, when a task that a consumer holds was cancelled."""
    return f"revoked {consumer}"


class SqliteListener:
    """Adds to the notices of the transaction. `has_ready` says whether tasks wait in a lane."""

    def __init__(
        self, database: Database, namespace: str, has_ready: Callable[[str], bool]
    ) -> None:
        self._database = database
        self._task_topic, self._end_topic = task_topic(namespace, ""), end_topic(namespace, "")
        """Those of tasks, but for the ids at their ends."""
        self._has_ready = has_ready

    def ready(self, lane: str) -> None:
        """See `Listener`."""
        self._database.notices[_lane_notice(lane)] = None

    def freed(self, lane: str) -> None:
        """See `Listener`."""
        notice = _lane_notice(lane)
        if notice not in self._database.notices and self._has_ready(lane):
            self._database.notices[notice] = None

    def changed(self, record: Record) -> None:
        """See `Listener`."""
        topic = self._end_topic if record.status in _FINAL else self._task_topic
        self._database.notices[topic + record.envelope.id, ""] = None

    def removed(self, task_id: str) -> None:
        """See `Listener`."""
        self._database.notices[self._end_topic + task_id, ""] = None

    def revoked(self, record: Record) -> None:
        """See `Listener`."""
        if record.worker is not None:
            self._database.notices[revoked_topic(record.worker), record.id] = None
