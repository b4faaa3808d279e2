"""Watching over one Pub/Sub connection: keyspace notifications tell which tasks may have changed.

On the same channels `finish` tells the state of a task that has completed, if its result is small.

The order is always: subscribe, wait for the confirmation, read. A confirmation marks its task,
which is then read. After a reconnect everything is confirmed and read again. `ltq.brokers._follow`
reads what is marked, and polls if the server sends no notifications.

The first read of a task that was sent a moment ago waits a little if only its end is wanted: as a
rule the notification of a quick task comes first, and saves a call. Where a task had ended before
that, as those of an idle worker nearby do, the next ones are read at once, until some had not.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import Context
from functools import partial

from ltq.broker.feed import Feed
from ltq.brokers._follow import FASTEST_POLL, SLOWEST_POLL, Follower, TaskKey
from ltq.brokers.redis._operations.tasks import read_first_states
from ltq.brokers.redis._scripts.replies import told_state
from ltq.brokers.redis._server.channels import Channels
from ltq.brokers.redis._server.info import write_probe
from ltq.brokers.redis._server.keys import is_keyspace, keyspace
from ltq.brokers.redis._server.link import Link
from ltq.brokers.redis._server.notifications import NEEDED, Notifications, are_on
from ltq.brokers.redis._server.refusals import RefusedError
from ltq.errors import BrokerError
from ltq.names import namespace_of, new_id
from ltq.state import TaskState

logger = logging.getLogger("ltq.broker")

_PROBES, _PROBE_TIME, _LONG_PROBE_TIME = 3, 0.1, 1.0
"""How many times a probe changes its key, and the seconds it waits for each notification: at first,
and when it decides that notifications do not arrive any more."""

_CONFIRM_WITHIN = 2.0
"""Seconds until a probe's subscription is confirmed. Without that the connection counts as dead."""

RECHECK = 30.0
"""Seconds after which a server that sends no notifications is asked again."""

_RETRY_PAUSE = 0.5
"""Seconds between attempts to read the server's settings while it cannot be reached."""

_JUST_SENT = 0.0005
"""Seconds after its sending for which a task has hardly ended."""

_FIRST_READ = 0.001
"""Seconds by which the first read of such a task waits for its notification."""

_AT_ONCE_FOR = 16
"""First reads that wait for nothing after one that waited in vain. Timers may be 1 ms late."""

_PASSING = frozenset((b"hset", b"hdel"))
"""Events of a task's key before the end. At the end the key gets a TTL or is deleted, and `finish`
may tell the state."""


class WatchHub:
    """All watches of one link. Unless it `keeps` its connection, it has none while it is unused."""

    def __init__(self, link: Link, notifications: Notifications, *, keeps: bool = True) -> None:
        self._link = link
        self._wanted = notifications
        self._database = link.database
        self._tasks: dict[str, TaskKey] = {}
        self._listeners: dict[str, Callable[[str], None]] = {}
        self._confirmations: dict[str, asyncio.Future[None]] = {}
        self._sent: tuple[TaskKey, float] | None = None
        """The task that was sent last, and when by the clock of the event loop."""
        self._first_reads: set[TaskKey] = set()
        """Followed tasks that were just sent, and are not read yet."""
        self._reads_at_once = 0
        """How many of the next ones are: one had ended before its channel was subscribed to."""
        self._unconfirmed: set[TaskKey] = set()
        """Followed tasks whose channels the server has not confirmed yet."""
        self._only_later: set[TaskKey] = set()
        """Those with one feed, which was there before all that arrives on their channels."""
        self._warned = False
        self._has_told_of_change = False
        self._doubt = asyncio.Event()
        """Set when a change was missed: notifications may not arrive any more."""
        self._lacks_channels = False
        """Whether, on this connection, the user has no right to the channels of keys."""
        self._follower = Follower(self, self._doubt.set)
        self._channels = Channels(
            link,
            on_subscribed=self._confirm,
            on_message=self._receive,
            on_refused=self._refused,
            on_connected=self._keep_notified,
            on_lost=self._lost,
            keeps=keeps,
        )
        link.on_moved = self._channels.reconnect

    async def check(self) -> None:
        """Raise `RefusedError` if notifications are required and the server does not send them."""
        if self._wanted == "require":
            await are_on(self._link, self._wanted, self._probe)

    def note_sent(self, namespace: str, task_id: str) -> None:
        """A new task was sent in this moment."""
        self._sent = (namespace, task_id), asyncio.get_running_loop().time()

    def feed(self, queue: str, task_id: str) -> Feed:
        """Follow one task."""
        task = namespace_of(queue), task_id
        self._unconfirmed.discard(task)
        self._only_later.discard(task)  # the new feed may be later than what is on its way
        if self._sent is not None and self._sent[0] == task:
            if asyncio.get_running_loop().time() - self._sent[1] < _JUST_SENT:
                self._first_reads.add(task)
            self._sent = None
        return self._follower.feed(task)

    def listen(self, channel: str, receive: Callable[[str], None]) -> "asyncio.Future[None]":
        """Call `receive` with each text published on a channel.

        A message that is missed, while the connection is lost, does not come again. The future is
        done when the channel is subscribed to for the first time.
        """
        self._listeners[channel] = receive
        confirmation: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._confirmations[channel] = confirmation
        self._channels.add(channel)
        return confirmation

    def unlisten(self, channel: str) -> None:
        """Undo `listen`."""
        self._listeners.pop(channel, None)
        self._confirmations.pop(channel, None)
        self._channels.drop(channel)

    async def aclose(self) -> None:
        """Stop. Feeds that are still open fail."""
        await self._follower.aclose()
        await self._channels.aclose()

    def abandon(self) -> None:
        """Stop without waiting, in the event loop or after that was closed."""
        self._follower.abandon()
        self._channels.abandon()

    # `Source`: what the follower asks for

    async def states(self, namespace: str, ids: Sequence[str]) -> list[TaskState[bytes] | None]:
        """See `Source`."""
        states = await read_first_states(self._link, namespace, ids)
        for task_id, state in zip(ids, states, strict=False):
            if (namespace, task_id) in self._first_reads:
                self._first_reads.discard((namespace, task_id))
                self._note_first(ended_early=state is None or state.status.is_final)
        return states

    def subscribe(self, task: TaskKey) -> None:
        """See `Source`."""
        if self._wanted != "poll":
            channel = self._channel(task)
            self._tasks[channel] = task
            if self._channels.add(channel):
                self._unconfirmed.add(task)

    def unsubscribe(self, task: TaskKey) -> None:
        """See `Source`."""
        channel = self._channel(task)
        self._tasks.pop(channel, None)
        self._unconfirmed.discard(task)
        self._first_reads.discard(task)
        self._only_later.discard(task)
        self._channels.drop(channel)

    def _channel(self, task: TaskKey) -> str:
        return keyspace(self._database, self._link.keys.task(*task))

    # What arrives on the connection

    def _confirm(self, channel: str) -> None:
        """A channel is subscribed to now: read what changed before."""
        task = self._tasks.get(channel)
        if task is not None:
            if task in self._unconfirmed:
                self._unconfirmed.discard(task)
                self._only_later.add(task)
            self._mark_confirmed(task)
        self._answer(channel)

    def _mark_confirmed(self, task: TaskKey) -> None:
        may_wait = task in self._first_reads and not self._reads_at_once
        if may_wait and self._follower.waits_for_the_end(task):
            loop = asyncio.get_running_loop()
            loop.call_later(_FIRST_READ, self._read_first, task, context=Context())
        else:
            self._follower.mark(task)

    def _read_first(self, task: TaskKey) -> None:
        """No notification has come: the task may have ended before they were subscribed to."""
        if task in self._first_reads:
            self._follower.mark(task)

    def _note_first(self, *, ended_early: bool) -> None:
        """A task that was just sent is read, or need not be."""
        self._reads_at_once = _AT_ONCE_FOR if ended_early else max(0, self._reads_at_once - 1)

    def _answer(self, channel: str) -> None:
        """Whoever waits for a channel need not wait any longer."""
        confirmation = self._confirmations.pop(channel, None)
        if confirmation is not None and not confirmation.done():
            confirmation.set_result(None)

    def _receive(self, channel: str, text: bytes) -> None:
        task = self._tasks.get(channel)
        if task is None:
            if channel in self._listeners:
                self._listeners[channel](text.decode("utf-8", "replace"))
        elif text not in _PASSING or not self._follower.waits_for_the_end(task):
            if task in self._first_reads:  # it was not read yet: so it ends after the confirmation
                self._first_reads.discard(task)
                self._note_first(ended_early=False)
            # One of others may be of an earlier life than what was read: reads may overtake it.
            state = told_state(task[1], text) if task in self._only_later else None
            if state is None:
                self._follower.mark(task)
            else:
                self._follower.put_end(task, state, is_later=True)

    def _refused(self, channels: list[str], error: Exception) -> None:
        """The user has no right to these channels. All that uses them can do without."""
        for channel in channels:
            self._answer(channel)
        if is_keyspace(channels[0]):
            self._lacks_channels = True
            self._follower.poll()
            if self._wanted == "require":
                text = f"the broker URL says notifications=require, but: {error}"
                self._follower.refuse(RefusedError(text))
        if not self._warned:
            self._warned = True
            logger.warning(
                "the user may not subscribe to channels such as %s (%s): watching polls, and a "
                "worker learns from its next heartbeat that a running task was cancelled; "
                "`ACL SETUSER NAME &*` grants all channels",
                channels[0],
                error,
            )

    def _lost(self) -> None:
        self._lacks_channels = False
        self._follower.poll()

    async def _keep_notified(self) -> None:
        """Check, beside each new connection, whether the server sends notifications.

        It checks again when a change was missed, and from time to time while there are none.
        """
        is_doubted = False
        while self._wanted != "poll":
            self._doubt.clear()
            are_sent = await self._check_notifications(is_doubted)
            try:
                async with asyncio.timeout(None if are_sent else RECHECK):
                    is_doubted = await self._doubt.wait()
            except TimeoutError:
                logger.debug("asking the server again for notifications")

    async def _check_notifications(self, is_doubted: bool) -> bool:
        """Let the follower know whether the server sends notifications; return it, too."""
        try:
            are_sent = await self._are_sent(is_doubted)
        except RefusedError as error:
            self._follower.refuse(error)
            return False
        if self._lacks_channels:
            return False
        self._follower.accept()
        if are_sent:
            self._follower.trust_notifications()
            return True
        self._follower.poll()
        if not self._warned:
            self._warned = True
            logger.warning(
                "the server sends no keyspace notifications and does not let us switch them on "
                "(notify-keyspace-events needs %s), or something on the way holds them back: "
                "watching polls instead, every %g to %g s",
                NEEDED,
                FASTEST_POLL,
                SLOWEST_POLL,
            )
        return False

    async def _are_sent(self, is_doubted: bool) -> bool:
        """Whether the server sends notifications. Asks until it answers.

        Raises `RefusedError` if the URL requires them and they do not come.
        """
        probe = partial(self._probe, _LONG_PROBE_TIME if is_doubted else _PROBE_TIME)
        while True:
            try:
                return await are_on(
                    self._link,
                    self._wanted,
                    probe,
                    is_doubted=is_doubted,
                    on_changed=self._tell_of_change if is_doubted else lambda _: None,
                )
            except RefusedError:
                raise
            except BrokerError as error:
                logger.debug("cannot ask the server about notifications now: %s", error)
                await asyncio.sleep(_RETRY_PAUSE)

    def _tell_of_change(self, flags: str) -> None:
        if not self._has_told_of_change:
            self._has_told_of_change = True
            logger.warning(
                "somebody has changed notify-keyspace-events of the server to %r: results came "
                "late, and what they need (%s) is switched on again",
                flags,
                NEEDED,
            )

    async def _probe(self, within: float = _PROBE_TIME) -> bool:
        """Try out, on a key that is gone a second later, whether notifications arrive.

        Raises `BrokerError` if the connection is silent: that says nothing about the server.
        """
        key = self._link.keys.probe(self._link.home, new_id())
        received = asyncio.Event()
        try:
            async with self._listening(key, lambda _: received.set()):
                for _ in range(_PROBES):
                    if await self._is_notified_of(key, received, within):
                        return True
                async with self._listening(self._link.keys.probe(self._link.home, new_id())):
                    return received.is_set()
        except RefusedError as refused:
            logger.debug("notifications cannot be tried out: %s", refused)
        return False

    @asynccontextmanager
    async def _listening(
        self, key: str, receive: Callable[[str], None] = lambda _: None
    ) -> AsyncIterator[None]:
        """Listen to a key, from the confirmation on: what was sent before it has arrived then."""
        channel = keyspace(self._database, key)
        confirmation = self.listen(channel, receive)
        try:
            await self._wait_for(confirmation)
            yield
        finally:
            self.unlisten(channel)

    async def _wait_for(self, confirmation: "asyncio.Future[None]") -> None:
        """Wait for a confirmation. If it does not come, another connection is opened."""
        try:
            async with asyncio.timeout(_CONFIRM_WITHIN):
                await confirmation
        except TimeoutError:
            await self._channels.break_off()
            raise BrokerError(
                f"Redis did not confirm a subscription within {_CONFIRM_WITHIN:g} s"
            ) from None

    async def _is_notified_of(self, key: str, received: asyncio.Event, within: float) -> bool:
        """Change a key, and return whether a notification of that arrives soon."""
        await write_probe(self._link, key)
        try:
            async with asyncio.timeout(within):
                return await received.wait()
        except TimeoutError:
            return False
