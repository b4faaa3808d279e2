"""Following many tasks by reading their states again, in the same way for all stores.

A notification of a store only says which task may have changed; it does not bring the state. It
marks the task, and all marked tasks are read together. So no change is lost if each task is marked
once after its subscription is confirmed. All tasks are also read again every few seconds, in case a
notification was lost. Without notifications this happens more often: soon after a change, then at
longer and longer intervals.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from typing import Protocol

from ltq._aio.service import Service
from ltq.broker.feed import Feed
from ltq.errors import BrokerError
from ltq.state import TaskState

logger = logging.getLogger("ltq.broker")

SLOW_REREAD = 5.0
"""Seconds between re-reads while notifications arrive."""

FIRST_REREAD = 1.0
"""Seconds until the first of them: it soon finds out that notifications do not arrive."""

FASTEST_POLL, SLOWEST_POLL = 0.005, 1.0
"""Seconds between re-reads while no notifications arrive."""

_SLOWDOWN = 1.5
"""Factor by which the pause grows after each re-read that brings no change."""

_READING_SHARE = 4.0
"""The pause is at least this many times as long as the re-read before it took."""

_AWAY_PAUSE = 0.5
"""Seconds between attempts to read while the store cannot be reached."""

READ_BATCH = 500
"""How many tasks are read in one call."""

TaskKey = tuple[str, str]
"""A namespace and a task's id."""


class Source(Protocol):
    """What a follower needs from a store."""

    async def states(self, namespace: str, ids: Sequence[str]) -> list[TaskState[bytes] | None]:
        """The present states, None for an unknown or expired id. Raises `BrokerError`.

        It may return only the first ones, at least one.
        """
        ...

    def subscribe(self, task: TaskKey) -> None:
        """A task is followed now: mark it once, and then after each change."""
        ...

    def unsubscribe(self, task: TaskKey) -> None:
        """A task is not followed any more."""
        ...


class Follower(Service):
    """The feeds of all tasks that are followed in one event loop.

    It polls until `trust_notifications` is called, and again after `poll`. `on_missed` is called
    when a re-read finds a change of which no notification has told.
    """

    def __init__(self, source: Source, on_missed: Callable[[], None] = lambda: None) -> None:
        super().__init__("ltq-follower", logger)
        self._source = source
        self._on_missed = on_missed
        self._untold: set[TaskKey] = set()
        """Tasks that are read without a notification."""
        self._has_missed = False
        self._feeds: dict[TaskKey, set[Feed]] = {}
        self._dirty: dict[TaskKey, None] = {}
        self._asked: set[TaskKey] = set()
        """What the present read asks for."""
        self._reading: asyncio.Task[None] | None = None
        self._refusal: BrokerError | None = None
        self._is_notified = False
        self._pause = FASTEST_POLL
        self._hurry = asyncio.Event()

    def feed(self, task: TaskKey) -> Feed:
        """Follow one task: the feed gets its present state soon, and each later one."""
        feed = Feed(lambda closed: self._drop(task, closed))
        if self._refusal is not None:
            feed.fail(copy(self._refusal))  # each reader adds its frames to what it raises
            return feed
        is_first = task not in self._feeds
        self._feeds.setdefault(task, set()).add(feed)
        if is_first:
            self._source.subscribe(task)
        if not is_first or not self._is_notified:
            self.mark(task)
        self._pause = FASTEST_POLL
        self.start()
        return feed

    def mark(self, task: TaskKey) -> None:
        """A task may have changed: read it soon, if it is followed."""
        self._untold.discard(task)
        self._mark(task)

    def put_end(
        self, task: TaskKey, state: TaskState[bytes] | None, *, is_later: bool = False
    ) -> None:
        """A task has ended with this state, which was read after all that was put before.

        A feed that has no state yet may have been opened after that read, and a read in progress
        may be older: then it is read again. Not if the state `is_later` than all feeds, and each
        change after it will be told: then what is being read does not count.
        """
        feeds = self._feeds.get(task, ())
        if is_later:
            self._asked.discard(task)
        elif task in self._asked or not all(feed.started for feed in feeds):
            self.mark(task)
            return
        self._untold.discard(task)
        self._dirty.pop(task, None)
        self._put(task, tuple(feeds), state)

    def _mark(self, task: TaskKey) -> None:
        if task not in self._feeds:
            return
        self._dirty[task] = None
        if self._reading is None or self._reading.done():
            self._reading = self._spawn(self._read_dirty(), "read")

    def waits_for_the_end(self, task: TaskKey) -> bool:
        """Whether all readers of a task wait only for its final state."""
        return all(feed.only_end for feed in self._feeds.get(task, ()))

    def trust_notifications(self) -> None:
        """Notifications arrive now. Read all tasks once, and then those that they name."""
        self._is_notified = True
        self._mark_all()

    def poll(self) -> None:
        """Notifications do not arrive (any more). Begin to poll, at once."""
        self._is_notified = False
        self._pause = FASTEST_POLL
        self._hurry.set()

    def refuse(self, error: BrokerError) -> None:
        """Let all feeds fail, also those opened from now on, until `accept` is called."""
        self._refusal = error
        for feed in self._all_feeds():
            feed.fail(copy(error))

    def accept(self) -> None:
        """End what `refuse` began: feeds that are opened from now on work."""
        self._refusal = None

    async def aclose(self) -> None:
        """Stop. Feeds that are still open fail."""
        await super().aclose()
        for feed in self._all_feeds():
            feed.fail(BrokerError("the broker was closed while the task was watched"))
        self._feeds.clear()

    def _drop(self, task: TaskKey, feed: Feed) -> None:
        feeds = self._feeds.get(task)
        if feeds is None:
            return
        feeds.discard(feed)
        if not feeds:
            del self._feeds[task]
            self._source.unsubscribe(task)

    def _all_feeds(self) -> list[Feed]:
        return [feed for feeds in self._feeds.values() for feed in feeds]

    def _mark_all(self) -> None:
        for task in self._feeds:
            self._mark(task)

    # Reading

    async def _run(self) -> None:
        """Read everything again and again: seldom with notifications, often without."""
        loop = asyncio.get_running_loop()
        took, seldom = 0.0, min(FIRST_REREAD, SLOW_REREAD)
        while self._feeds:
            await self._wait_for_reread(took, seldom)
            seldom = SLOW_REREAD
            began = loop.time()
            self._untold = self._feeds.keys() - self._dirty.keys() if self._is_notified else set()
            self._mark_all()
            if self._reading is not None:
                await asyncio.wait([self._reading])
            took = loop.time() - began
            self._untold.clear()
            if self._has_missed:
                self._has_missed = False
                self._on_missed()

    async def _wait_for_reread(self, took: float, seldom: float) -> None:
        """Wait for the next re-read. The last one took `took` seconds."""
        pause = seldom if self._is_notified else max(self._pause, _READING_SHARE * took)
        self._hurry.clear()
        try:
            async with asyncio.timeout(pause):
                await self._hurry.wait()
        except TimeoutError:
            self._pause = min(self._pause * _SLOWDOWN, SLOWEST_POLL)

    async def _read_dirty(self) -> None:
        """Read all marked tasks together, until none is marked."""
        while self._dirty:
            dirty, self._dirty = self._dirty, {}
            if not await self._read_all(dirty):
                self._dirty = dirty | self._dirty
                await asyncio.sleep(_AWAY_PAUSE)

    async def _read_all(self, tasks: Iterable[TaskKey]) -> bool:
        """Read these tasks. Returns False if the store cannot be reached.

        In that case the feeds that have no state yet fail.
        """
        try:
            for namespace, ids in self._batches(tasks):
                while ids:
                    ids = ids[await self._read_first(namespace, ids) :]
        except BrokerError as error:
            for feed in self._all_feeds():
                if not feed.started:
                    feed.fail(error)
            return False
        return True

    async def _read_first(self, namespace: str, ids: list[str]) -> int:
        """Read the first ones of these tasks, as many as the store returns at once."""
        # A feed that is opened meanwhile needs a later read: this one may be too old.
        feeds = [tuple(self._feeds.get((namespace, task_id), ())) for task_id in ids]
        self._asked = {(namespace, task_id) for task_id in ids}
        try:
            states = await self._source.states(namespace, ids)
        finally:
            asked, self._asked = self._asked, set()
        for task_id, asking, state in zip(ids, feeds, states, strict=False):
            if (namespace, task_id) in asked:
                self._put((namespace, task_id), asking, state)
        return len(states)

    def _batches(self, tasks: Iterable[TaskKey]) -> list[tuple[str, list[str]]]:
        """The ids that are still followed, by namespace, in batches."""
        by_namespace: dict[str, list[str]] = {}
        for namespace, task_id in tasks:
            if (namespace, task_id) in self._feeds:
                by_namespace.setdefault(namespace, []).append(task_id)
        return [
            (namespace, ids[start : start + READ_BATCH])
            for namespace, ids in by_namespace.items()
            for start in range(0, len(ids), READ_BATCH)
        ]

    def _put(self, task: TaskKey, asking: Iterable[Feed], state: TaskState[bytes] | None) -> None:
        open_feeds = self._feeds.get(task, ())
        for feed in asking:
            if feed not in open_feeds:
                continue
            had_state = feed.started
            if feed.put_changed(state):
                self._pause = FASTEST_POLL
                # Who waits for the end is not told of changes before it.
                is_told_of = not feed.only_end or state is None or state.status.is_final
                if had_state and is_told_of and task in self._untold:
                    self._has_missed = True
