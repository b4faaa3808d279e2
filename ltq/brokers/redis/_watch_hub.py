"""Watching over one Pub/Sub connection: keyspace notifications tell which tasks may have changed.

The order is always: subscribe, wait for the confirmation, read. A confirmation marks its task,
which is then read. After a reconnect everything is confirmed and read again. `ltq.brokers._follow`
reads what is marked, and polls if the server sends no notifications.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from ltq.broker.feed import Feed
from ltq.brokers._follow import FASTEST_POLL, SLOWEST_POLL, Follower, Target
from ltq.brokers.redis._operations.tasks import read_first_states
from ltq.brokers.redis._server import keys
from ltq.brokers.redis._server.channels import Channels
from ltq.brokers.redis._server.info import write_probe
from ltq.brokers.redis._server.link import Link, RefusedError
from ltq.brokers.redis._server.notifications import NEEDED, Notifications, are_on
from ltq.errors import BrokerError
from ltq.names import namespace_of, new_id
from ltq.state import TaskState

logger = logging.getLogger("ltq.broker")

_PROBES, _PROBE_TIME = 3, 0.1
"""How many times a probe changes its key, and the seconds it waits for each notification."""

_RETRY_PAUSE = 0.5
"""Seconds between attempts to read the server's settings while it cannot be reached."""

_PASSING = frozenset(("hset", "hdel"))
"""Events of a task's key before the end. At the end the key gets a TTL or is deleted."""


class WatchHub:
    """All watches of one broker in one event loop."""

    def __init__(self, link: Link, notifications: Notifications) -> None:
        self._link = link
        self._wanted = notifications
        self._database = link.database
        self._targets: dict[str, Target] = {}
        self._listeners: dict[str, Callable[[str], None]] = {}
        self._confirmations: dict[str, asyncio.Future[None]] = {}
        self._warned = False
        self._lacks_channels = False
        """Whether, on this connection, the user has no right to the channels of keys."""
        self._follower = Follower(self)
        self._channels = Channels(
            link,
            on_subscribed=self._confirm,
            on_message=self._receive,
            on_refused=self._refused,
            on_connected=self._check_notifications,
            on_lost=self._lost,
        )

    async def check(self) -> None:
        """Raise `RefusedError` if notifications are required and the server does not send them."""
        if self._wanted == "require":
            await are_on(self._link, self._wanted, self._probe)

    def feed(self, queue: str, task_id: str) -> Feed:
        """Follow one task."""
        return self._follower.feed((namespace_of(queue), task_id))

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
        return await read_first_states(self._link, namespace, ids)

    def subscribe(self, target: Target) -> None:
        """See `Source`."""
        if self._wanted != "poll":
            channel = self._channel(target)
            self._targets[channel] = target
            self._channels.add(channel)

    def unsubscribe(self, target: Target) -> None:
        """See `Source`."""
        channel = self._channel(target)
        self._targets.pop(channel, None)
        self._channels.drop(channel)

    def _channel(self, target: Target) -> str:
        return keys.keyspace(self._database, keys.task(*target))

    # What arrives on the connection

    def _confirm(self, channel: str) -> None:
        """A channel is subscribed to now: read what changed before."""
        target = self._targets.get(channel)
        if target is not None:
            self._follower.mark(target)
        self._answer(channel)

    def _answer(self, channel: str) -> None:
        """Whoever waits for a channel need not wait any longer."""
        confirmation = self._confirmations.pop(channel, None)
        if confirmation is not None and not confirmation.done():
            confirmation.set_result(None)

    def _receive(self, channel: str, text: str) -> None:
        target = self._targets.get(channel)
        if target is None:
            if channel in self._listeners:
                self._listeners[channel](text)
        elif text not in _PASSING or not self._follower.waits_for_the_end(target):
            self._follower.mark(target)

    def _refused(self, channels: list[str], error: Exception) -> None:
        """The user has no right to these channels. All that uses them can do without."""
        for channel in channels:
            self._answer(channel)
        if keys.is_keyspace(channels[0]):
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

    async def _check_notifications(self) -> None:
        """Check, at each new connection, whether the server sends notifications."""
        try:
            are_sent = await self._are_sent()
        except RefusedError as error:
            self._follower.refuse(error)
            return
        if self._lacks_channels:
            return
        self._follower.accept()
        if are_sent:
            self._follower.trust_notifications()
        elif self._wanted != "poll" and not self._warned:
            self._warned = True
            logger.warning(
                "the server sends no keyspace notifications and does not let us switch them on "
                "(notify-keyspace-events needs %s): watching polls instead, every %g to %g s",
                NEEDED,
                FASTEST_POLL,
                SLOWEST_POLL,
            )

    async def _are_sent(self) -> bool:
        """Whether the server sends notifications. Asks until it answers.

        Raises `RefusedError` if the URL requires them and they are off.
        """
        while True:
            try:
                return await are_on(self._link, self._wanted, self._probe)
            except RefusedError:
                raise
            except BrokerError as error:
                logger.debug("cannot ask the server about notifications now: %s", error)
                await asyncio.sleep(_RETRY_PAUSE)

    async def _probe(self) -> bool:
        """Try out, on a key that is gone a second later, whether notifications arrive."""
        key = keys.probe(new_id())
        channel = keys.keyspace(self._database, key)
        received = asyncio.Event()
        self.listen(channel, lambda _: received.set())
        try:
            for _ in range(_PROBES):
                if await self._is_notified_of(key, received):
                    return True
        except RefusedError as refused:
            logger.debug("notifications cannot be tried out: %s", refused)
        finally:
            self.unlisten(channel)
        return False

    async def _is_notified_of(self, key: str, received: asyncio.Event) -> bool:
        """Change a key, and return whether a notification of that arrives soon."""
        await write_probe(self._link, key)
        try:
            async with asyncio.timeout(_PROBE_TIME):
                return await received.wait()
        except TimeoutError:
            return False
