"""One namespace in memory: its places, and those who follow what happens there."""

from collections.abc import Callable
from contextlib import suppress

from ltq.broker.feed import Feed
from ltq.brokers._rules.places import KeptSlot, Places
from ltq.brokers._rules.record import Record
from ltq.brokers.memory._lanes import MemoryLanes
from ltq.brokers.memory._places import MemoryQueues, MemoryRecords
from ltq.brokers.memory._tables import (
    MemoryDeadRecords,
    MemoryEndCounts,
    MemoryEndedTokens,
    MemoryTable,
)
from ltq.state import Status, TaskState

Revoke = Callable[[str], None]
"""Tells the holder of a task that it was cancelled; safe to call from any thread."""


class Namespace:
    """The places of one namespace, and the `Listener` of what the rules change there.

    `stirred` collects the lanes where a claim may give something now, or sooner than before.
    """

    def __init__(self, stirred: set[str], next_token: Callable[[int], int]) -> None:
        self.lanes = MemoryLanes()
        self.records = MemoryRecords(self.lanes, next_token)
        self.dead = MemoryDeadRecords()
        self.ended = MemoryEndedTokens()
        self.places = Places(
            records=self.records,
            delayed=self.records.delayed,
            leased=self.records.leased,
            final=self.records.final,
            lanes=self.lanes,
            queues=MemoryQueues(self.records, self.lanes),
            dead=self.dead,
            fingerprints=MemoryTable[str](),
            slots=MemoryTable[KeptSlot](),
            ended=self.ended,
            ends=MemoryEndCounts(),
            listener=self,
        )
        self._stirred = stirred
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

    # The listener

    def ready(self, lane: str) -> None:
        self._stirred.add(lane)

    def freed(self, lane: str) -> None:
        if self.lanes.has_ready(lane):
            self._stirred.add(lane)

    def changed(self, record: Record) -> None:
        if record.status is not Status.WORKING:
            self._holders.pop(record.id, None)
        if record.id in self._feeds:
            self._put(record.id, record.state())

    def removed(self, task_id: str) -> None:
        self._holders.pop(task_id, None)
        self._put(task_id, None)

    def revoked(self, record: Record) -> None:
        revoke = self._holders.get(record.id)
        if revoke is not None:
            revoke(record.id)

    def _put(self, task_id: str, state: TaskState[bytes] | None) -> None:
        for feed in tuple(self._feeds.get(task_id, ())):
            with suppress(RuntimeError):  # its loop was closed just now
                feed.put_threadsafe(state)
