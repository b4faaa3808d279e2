"""Following many tasks over one Pub/Sub connection.

A notification is only ever a hint: it makes a task "dirty", and dirty tasks are read together.
Subscribing makes dirty as well, so the order is always subscribe, confirmation, read, and after
a reconnect everything is read again. A slow re-read of all covers whatever was lost; where
notifications cannot be had, the same re-read runs quickly, and adapts.
"""

import asyncio
import logging
from collections.abc import Callable

from ltq._names import namespace_of, new_id
from ltq.broker.feed import Feed
from ltq.brokers.redis import _keys
from ltq.brokers.redis._channels import Channels
from ltq.brokers.redis._link import Link, RefusedError
from ltq.brokers.redis._notifications import NEEDED, Notifications, are_on
from ltq.brokers.redis._tasks import read_states
from ltq.errors import BrokerError
from ltq.state import TaskState

logger = logging.getLogger("ltq.broker")

SLOW_REREAD = 5.0
"""Seconds between re-reads while notifications come."""

FASTEST_POLL, SLOWEST_POLL = 0.005, 1.0
"""Seconds between re-reads while they do not: fast after a change, slower in silence."""

_POLL_SHARE = 4.0
"""A re-read is followed by a pause of at least so many times its own length."""

_PROBES, _PROBE_TIME = 3, 0.1
"""Times, and seconds each, a server has to send the notification that tries it out."""

_AWAY_PAUSE = 0.5
"""Seconds between attempts to read while the server is away."""

CHUNK = 500
"""Tasks read in one call."""

_PASSING = frozenset(("hset", "hdel"))
"""What is said of a task's key while it goes on; at its end it gets a TTL, too, or is deleted."""

Target = tuple[str, str]
"""A namespace and a task's id."""


class WatchHub:
    """All watches of one broker in one event loop."""

    def __init__(self, link: Link, notifications: Notifications) -> None:
        self._link = link
        self._wanted = notifications
        self._database = link.database
        self._feeds: dict[Target, set[Feed]] = {}
        self._targets: dict[str, Target] = {}
        self._listeners: dict[str, Callable[[str], None]] = {}
        self._confirmed: dict[str, asyncio.Future[None]] = {}
        self._dirty: dict[Target, None] = {}
        self._cleaner: asyncio.Task[None] | None = None
        self._poller: asyncio.Task[None] | None = None
        self._notified = False
        self._refused: RefusedError | None = None
        self._warned = False
        self._pause = FASTEST_POLL
        self._hurry = asyncio.Event()
        self._channels = Channels(
            link,
            on_subscribed=self._subscribed,
            on_message=self._said,
            on_connected=self._connected,
            on_lost=self._lost,
        )

    async def check(self) -> None:
        """Raise `RefusedError` where notifications are required and cannot be had."""
        if self._wanted == "require":
            await are_on(self._link, self._wanted, self._probe)

    def feed(self, queue: str, task_id: str) -> Feed:
        """Follow one task."""
        target = (namespace_of(queue), task_id)
        feed = Feed(lambda closed: self._drop(target, closed))
        if self._refused is not None:
            feed.fail(self._refused)
            return feed
        feeds = self._feeds.setdefault(target, set())
        feeds.add(feed)
        if len(feeds) == 1 and self._wanted != "poll":
            channel = self._channel(target)
            self._targets[channel] = target
            self._channels.add(channel)
        if len(feeds) > 1 or not self._notified:
            self._mark(target)
        self._pause = FASTEST_POLL
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll())
        return feed

    def listen(self, channel: str, heard: Callable[[str], None]) -> "asyncio.Future[None]":
        """Call `heard` with what is published on a channel. Nothing is said of what was missed.

        The future is done when the channel is subscribed to for the first time.
        """
        self._listeners[channel] = heard
        confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._confirmed[channel] = confirmed
        self._channels.add(channel)
        return confirmed

    def unlisten(self, channel: str) -> None:
        """Undo `listen`."""
        self._listeners.pop(channel, None)
        self._confirmed.pop(channel, None)
        self._channels.drop(channel)

    async def aclose(self) -> None:
        """Stop; feeds that are still open fail."""
        tasks = [task for task in (self._cleaner, self._poller) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, self._channels.aclose(), return_exceptions=True)
        for feed in self._all_feeds():
            feed.fail(BrokerError("the broker was closed while the task was watched"))
        self._feeds.clear()

    def _channel(self, target: Target) -> str:
        return _keys.keyspace(self._database, _keys.task(*target))

    def _drop(self, target: Target, feed: Feed) -> None:
        feeds = self._feeds.get(target)
        if feeds is None:
            return
        feeds.discard(feed)
        if not feeds:
            del self._feeds[target]
            channel = self._channel(target)
            self._targets.pop(channel, None)
            self._channels.drop(channel)

    def _all_feeds(self) -> list[Feed]:
        return [feed for feeds in self._feeds.values() for feed in feeds]

    def _subscribed(self, channel: str) -> None:
        target = self._targets.get(channel)
        if target is not None:
            self._mark(target)
        confirmed = self._confirmed.pop(channel, None)
        if confirmed is not None and not confirmed.done():
            confirmed.set_result(None)

    def _said(self, channel: str, text: str) -> None:
        target = self._targets.get(channel)
        if target is not None:
            if text not in _PASSING or not all(feed.only_end for feed in self._feeds[target]):
                self._mark(target)
        elif channel in self._listeners:
            self._listeners[channel](text)

    async def _connected(self) -> None:
        """At each new connection, find out again whether it brings notifications."""
        try:
            notified = await self._ask()
        except RefusedError as error:
            self._refused = error
            for feed in self._all_feeds():
                feed.fail(error)
            return
        self._refused = None
        if notified:
            self._notified = True
            for target in self._feeds:  # what changed while they were off
                self._mark(target)
        elif self._wanted != "poll" and not self._warned:
            self._warned = True
            logger.warning(
                "the server sends no keyspace notifications and does not let us switch them on "
                "(notify-keyspace-events needs %s): watching polls instead, every %g to %g s",
                NEEDED,
                FASTEST_POLL,
                SLOWEST_POLL,
            )

    async def _ask(self) -> bool:
        while True:
            try:
                return await are_on(self._link, self._wanted, self._probe)
            except RefusedError:
                raise
            except BrokerError:
                await asyncio.sleep(_AWAY_PAUSE)

    def _lost(self) -> None:
        """Without a connection, poll."""
        self._notified = False
        self._pause = FASTEST_POLL
        self._hurry.set()

    async def _probe(self) -> bool:
        """Try notifications out, on a key that is gone a second later."""
        key = _keys.probe(new_id())
        channel = _keys.keyspace(self._database, key)
        heard = asyncio.Event()
        self.listen(channel, lambda _: heard.set())
        try:
            for _ in range(_PROBES):
                await self._link.call("HSET", key, "probe", "1")
                await self._link.call("PEXPIRE", key, 1000)
                try:
                    async with asyncio.timeout(_PROBE_TIME):
                        return await heard.wait()
                except TimeoutError:
                    continue
        except RefusedError as refused:
            logger.debug("notifications cannot be tried out: %s", refused)
        finally:
            self.unlisten(channel)
        return False

    def _mark(self, target: Target) -> None:
        self._dirty[target] = None
        if self._cleaner is None:
            self._cleaner = asyncio.create_task(self._clean())

    async def _clean(self) -> None:
        """Read what is dirty, together, until nothing is."""
        try:
            while self._dirty:
                dirty, self._dirty = self._dirty, {}
                try:
                    await self._read(list(dirty))
                except BrokerError as error:
                    self._dirty = dirty | self._dirty
                    for feed in self._all_feeds():
                        if not feed.started:
                            feed.fail(error)
                    await asyncio.sleep(_AWAY_PAUSE)
        finally:
            self._cleaner = None

    async def _read(self, targets: list[Target]) -> None:
        by_namespace: dict[str, list[str]] = {}
        for target in targets:
            if target in self._feeds:
                by_namespace.setdefault(target[0], []).append(target[1])
        for namespace, ids in by_namespace.items():
            for start in range(0, len(ids), CHUNK):
                chunk = ids[start : start + CHUNK]
                states = await read_states(self._link, namespace, chunk)
                for task_id, state in zip(chunk, states, strict=True):
                    self._show((namespace, task_id), state)

    def _show(self, target: Target, state: TaskState[bytes] | None) -> None:
        for feed in list(self._feeds.get(target, ())):
            if feed.put_changed(state):
                self._pause = FASTEST_POLL

    async def _poll(self) -> None:
        """Read everything again, slowly beside notifications, quickly without."""
        loop = asyncio.get_running_loop()
        spent = 0.0
        while self._feeds:
            pause = SLOW_REREAD if self._notified else max(self._pause, _POLL_SHARE * spent)
            self._hurry.clear()
            try:
                async with asyncio.timeout(pause):
                    await self._hurry.wait()
            except TimeoutError:
                self._pause = min(self._pause * 1.5, SLOWEST_POLL)
            start = loop.time()
            for target in self._feeds:
                self._mark(target)
            if self._cleaner is not None:
                await asyncio.wait([self._cleaner])
            spent = loop.time() - start
