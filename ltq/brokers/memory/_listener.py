"""Telling watchers, holders of tasks and idle consumers what happens in a namespace."""

from collections.abc import Callable
from contextlib import suppress

from ltq.broker.feed import Feed
from ltq.brokers._rules.record import Record
from ltq.state import Status, TaskState

Revoke = Callable[[str], None]
"""Tells the holder of a task that it was cancelled; safe to call from any thread."""


class MemoryListener:
    """Passes on what the rules change: `Listener`.

    It adds to `lanes_to_wake` each lane where a claim may give something now, or sooner than
    before. `has_ready` says whether tasks wait in a lane.
    """

    def __init__(self, lanes_to_wake: set[str], has_ready: Callable[[str], bool]) -> None:
        self._lanes_to_wake = lanes_to_wake
        self._has_ready = has_ready
        self._feeds: dict[str, list[Feed]] = {}
        self._holders: dict[str, Revoke] = {}

    def follow(self, task_id: str, feed: Feed) -> None:
        """Put each new state of a task into a feed."""
        self._feeds.setdefault(task_id, []).append(feed)

    def unfollow(self, task_id: str, feed: Feed) -> None:
        """Undo `follow`. Safe to call twice."""
        feeds = self._feeds.get(task_id, [])
        if feed in feeds:
            feeds.remove(feed)
        if not feeds:
            self._feeds.pop(task_id, None)

    def hold(self, task_id: str, revoke: Revoke) -> None:
        """Call `revoke` if a task is cancelled before it stops working."""
        self._holders[task_id] = revoke

    def ready(self, lane: str) -> None:
        """See `Listener`."""
        self._lanes_to_wake.add(lane)

    def freed(self, lane: str) -> None:
        """See `Listener`."""
        if self._has_ready(lane):
            self._lanes_to_wake.add(lane)

    def changed(self, record: Record) -> None:
        """See `Listener`."""
        if record.status is not Status.WORKING:
            self._holders.pop(record.id, None)
        if record.id in self._feeds:
            self._put(record.id, record.state())

    def removed(self, task_id: str) -> None:
        """See `Listener`."""
        self._holders.pop(task_id, None)
        self._put(task_id, None)

    def revoked(self, record: Record) -> None:
        """See `Listener`."""
        revoke = self._holders.get(record.id)
        if revoke is not None:
            revoke(record.id)

    def _put(self, task_id: str, state: TaskState[bytes] | None) -> None:
        for feed in tuple(self._feeds.get(task_id, ())):
            with suppress(RuntimeError):  # its event loop closed at this moment
                feed.put_threadsafe(state)
