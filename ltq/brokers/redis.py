"""The broker on Redis 6.2 or newer, or Valkey 7.2 or newer.

Each transition is one Lua script (`lua/`), so a task is always in one place; `_keys.py` names
the keys, `lua/README.md` describes them. Time is the server's.
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from redis.asyncio import Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ltq._batcher import Batcher
from ltq._feed import Feed
from ltq._names import check_name, namespace_of
from ltq.broker import DEFAULT_LEASE, Broker, redact
from ltq.brokers import _dead, _keys
from ltq.brokers._consumer import RedisConsumer
from ltq.brokers._link import Link
from ltq.brokers._notify import Notifications, parse_notifications
from ltq.brokers._watch import CHUNK, WatchHub
from ltq.brokers._wire import (
    by_namespace,
    encode_progress,
    envelope_arguments,
    outcome_arguments,
    task_state,
)
from ltq.errors import ConfigurationError, TaskNotFoundError
from ltq.message import DeadLetter, Envelope, Lease, Outcome, Published, Receipt, Swept
from ltq.options import DEFAULT_MAX_DELIVERIES, DEFAULT_RESULT_TTL, Rate
from ltq.state import Progress, QueueStats, TaskState

BATCH = 500
"""Tasks of one script call: a long script would make everybody else wait."""

PING_PATIENCE = 3.0
"""Seconds `ping` waits: whoever asks wants to know soon."""

_SWEEP = 1000
_CLEAR = 1000


class _Session:
    """What a broker has in one event loop."""

    def __init__(self, broker: "RedisBroker") -> None:
        self.link = broker.new_link()
        self.hub = WatchHub(self.link, broker.notifications)
        self.senders: dict[str, Batcher[Envelope, Published]] = {}
        self.registered: set[str] = set()

    def sender(self, namespace: str) -> Batcher[Envelope, Published]:
        """Joins single sends of one namespace."""
        sender = self.senders.get(namespace)
        if sender is None:
            sender = Batcher(lambda batch: self.send(namespace, batch), BATCH)
            self.senders[namespace] = sender
        return sender

    async def send(self, namespace: str, envelopes: Sequence[Envelope]) -> list[Published]:
        """One `send` script."""
        await self.register(namespace)
        arguments: list[Any] = []
        for envelope in envelopes:
            arguments += envelope_arguments(envelope)
        replies = await self.link.run("send", _keys.prefix(namespace), *arguments)
        return [_PUBLISHED[reply] for reply in replies]

    async def register(self, namespace: str) -> None:
        """Make the namespace known to tools, once for each connection set."""
        if namespace not in self.registered:
            await self.link.call("SADD", _keys.NAMESPACES, namespace)
            self.registered.add(namespace)

    async def aclose(self) -> None:
        await self.hub.aclose()
        await self.link.aclose()


class RedisBroker(Broker):
    """Tasks in Redis, at `redis://`, `rediss://` or `unix://` URLs as redis-py reads them.

    The URL's parameter `notifications` says how tasks are watched: `auto` (default) switches
    keyspace notifications on where they are off, `require` raises `BrokerError` instead, `poll`
    does without. `connect` may make the redis-py client instead of the URL (for tests).
    """

    def __init__(self, url: str, *, connect: Callable[[], Redis] | None = None) -> None:
        self._url = url
        self._connect = connect
        self._server_url, wanted = _split_url(url, check=connect is None)
        self.notifications: Notifications = parse_notifications(wanted)
        self._sessions: dict[asyncio.AbstractEventLoop, _Session] = {}
        self._process = os.getpid()

    @property
    def url(self) -> str:
        """Where it connects, without a password."""
        return redact(self._url)

    def clone(self) -> "RedisBroker":
        """Another broker on the same store, with connections of its own."""
        return RedisBroker(self._url, connect=self._connect)

    def new_link(self) -> Link:
        """Connections of their own, for one event loop."""
        return Link(self._connect or self._client, self.url.partition("://")[2])

    def _client(self) -> Redis:
        # Deadlines are kept by the callers (see `_link.PATIENCE`), repeats are theirs too.
        return Redis.from_url(
            self._server_url,
            protocol=2,
            socket_timeout=None,
            socket_connect_timeout=3.0,
            socket_keepalive=True,
            retry=Retry(NoBackoff(), 0),
        )

    def _here(self) -> _Session:
        """The connections of the running loop; a fork or an ended loop left others behind."""
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop)
        if session is None or self._process != os.getpid():
            if self._process != os.getpid():
                self._process, self._sessions = os.getpid(), {}
            for ended in [known for known in self._sessions if known.is_closed()]:
                self._sessions.pop(ended, None)
            session = self._sessions[loop] = _Session(self)
        return session

    async def ping(self) -> None:
        """Raise `BrokerError` if the server does not answer."""
        await self._here().link.call("PING", patience=PING_PATIENCE)

    async def publish(self, envelopes: Sequence[Envelope]) -> list[Published]:
        """See `Publisher.publish`. Single sends of one turn of the loop share a call."""
        session = self._here()
        if len(envelopes) == 1:
            sender = session.sender(namespace_of(envelopes[0].queue))
            return [await sender.submit(envelopes[0])]
        answers: dict[int, Published] = {}
        for namespace, positions in by_namespace(envelopes, lambda item: item.queue).items():
            for start in range(0, len(positions), BATCH):
                chunk = positions[start : start + BATCH]
                replies = await session.send(namespace, [envelopes[i] for i in chunk])
                answers.update(zip(chunk, replies, strict=True))
        return [answers[i] for i in range(len(envelopes))]

    def consumer(
        self,
        queues: Iterable[str],
        *,
        name: str | None = None,
        lease: float = DEFAULT_LEASE,
        rates: Mapping[str, Rate] | None = None,
        revoked: Callable[[str], None] | None = None,
    ) -> RedisConsumer:
        """See `Broker.consumer`."""
        session = self._here()
        queues = list(queues)
        namespaces = {namespace_of(queue) for queue in queues}
        consumer = RedisConsumer(
            session.link,
            queues,
            name=name,
            lease=lease,
            rates=rates or {},
            sweep=self._sweep,
            on_close=lambda: _unlisten(session.hub, channels),
        )
        channels = [_keys.revoked(namespace, consumer.name) for namespace in namespaces]
        if revoked is not None:
            consumer.listening = [session.hub.listen(channel, revoked) for channel in channels]
        return consumer

    async def finish(self, outcomes: Sequence[Outcome]) -> list[Receipt]:
        """See `Settler.finish`."""
        link = self._here().link
        receipts: dict[int, Receipt] = {}
        for namespace, positions in by_namespace(outcomes, lambda item: item.lease.queue).items():
            for start in range(0, len(positions), BATCH):
                chunk = positions[start : start + BATCH]
                arguments: list[Any] = []
                for i in chunk:
                    arguments += outcome_arguments(outcomes[i])
                replies = await link.run("finish", _keys.prefix(namespace), *arguments)
                receipts.update(
                    (i, _RECEIPTS[reply]) for i, reply in zip(chunk, replies, strict=True)
                )
        return [receipts[i] for i in range(len(outcomes))]

    async def heartbeat(self, leases: Sequence[Lease], duration: float) -> list[Lease]:
        """See `Settler.heartbeat`."""
        link = self._here().link
        lost: list[Lease] = []
        for namespace, positions in by_namespace(leases, lambda item: item.queue).items():
            for start in range(0, len(positions), BATCH):
                chunk = [leases[i] for i in positions[start : start + BATCH]]
                arguments: list[Any] = [duration]
                for lease in chunk:
                    arguments += (lease.id, lease.queue, lease.token)
                replies = await link.run("heartbeat", _keys.prefix(namespace), *arguments)
                lost += [chunk[i] for i in replies]
        return lost

    async def progress(self, lease: Lease, progress: Progress) -> bool:
        """See `Settler.progress`."""
        prefix = _keys.prefix(namespace_of(lease.queue))
        text = encode_progress(progress)
        return bool(await self._here().link.run("progress", prefix, lease.id, lease.token, text))

    async def sweep(self, queues: Iterable[str]) -> Swept:
        """See `Settler.sweep`."""
        swept = [await self._sweep(name) for name in {namespace_of(queue) for queue in queues}]
        return Swept(
            sum(one.recovered for one in swept),
            sum(one.promoted for one in swept),
            sum(one.buried for one in swept),
        )

    async def _sweep(self, namespace: str) -> Swept:
        limits = (_SWEEP, DEFAULT_MAX_DELIVERIES, DEFAULT_RESULT_TTL)
        return Swept(*await self._here().link.run("sweep", _keys.prefix(namespace), *limits))

    async def states(self, queue: str, ids: Sequence[str]) -> list[TaskState[bytes] | None]:
        """See `Watcher.states`."""
        link, prefix = self._here().link, _keys.prefix(namespace_of(queue))
        states: list[TaskState[bytes] | None] = []
        for start in range(0, len(ids), CHUNK):
            chunk = ids[start : start + CHUNK]
            replies = await link.run("states", prefix, *chunk)
            states += [
                task_state(task_id, reply) for task_id, reply in zip(chunk, replies, strict=True)
            ]
        return states

    def feed(self, queue: str, task_id: str) -> Feed:
        """See `Watcher.feed`."""
        return self._here().hub.feed(queue, task_id)

    async def queues(self) -> list[str]:
        """See `Inspector.queues`."""
        link = self._here().link
        lanes: set[str] = set()
        for namespace in await self._namespaces():
            replies = await link.call("SMEMBERS", _keys.lanes(namespace))
            lanes |= {reply.decode() for reply in replies}
        return sorted({lane.partition("/")[0] for lane in lanes})

    async def stats(self, queues: Sequence[str]) -> list[QueueStats]:
        """See `Inspector.stats`."""
        link = self._here().link
        stats: dict[str, QueueStats] = {}
        for namespace, positions in by_namespace(queues, str).items():
            names = [queues[i] for i in positions]
            replies = await link.run("stats", _keys.prefix(namespace), *names)
            for queue, (pending, delayed, working, dead) in zip(names, replies, strict=True):
                stats[queue] = QueueStats(
                    queue=queue, pending=pending, delayed=delayed, working=working, dead=dead
                )
        return [stats[queue] for queue in queues]

    async def clear(self, queue: str) -> int:
        """See `Inspector.clear`."""
        link, prefix = self._here().link, _keys.prefix(namespace_of(check_name("queue", queue)))
        cleared = 0
        while removed := await link.run("clear", prefix, queue, _CLEAR):
            cleared += removed
        return cleared

    async def cancel(self, queue: str, task_id: str, result_ttl: float) -> bool:
        """See `Inspector.cancel`."""
        prefix = _keys.prefix(namespace_of(queue))
        answer = await self._here().link.run("cancel", prefix, task_id, result_ttl)
        if answer == b"gone":
            raise TaskNotFoundError(task_id)
        return bool(answer == b"cancelled")

    async def find(self, task_id: str) -> TaskState[bytes] | None:
        """See `Inspector.find`."""
        link = self._here().link
        for namespace in await self._namespaces():
            (reply,) = await link.run("states", _keys.prefix(namespace), task_id)
            state = task_state(task_id, reply)
            if state is not None:
                return state
        return None

    async def letters(self, queue: str, *, limit: int = 100, offset: int = 0) -> list[DeadLetter]:
        """See `DeadLetters.letters`."""
        return await _dead.read(self._here().link, queue, limit, offset)

    async def letter(self, queue: str | None, task_id: str) -> DeadLetter:
        """See `DeadLetters.letter`."""
        namespaces = await self._namespaces() if queue is None else [namespace_of(queue)]
        letter = await _dead.find(self._here().link, namespaces, queue, task_id)
        if letter is None:
            raise TaskNotFoundError(task_id)
        return letter

    async def replay(self, queue: str, ids: Sequence[str]) -> list[Published]:
        """See `DeadLetters.replay`."""
        return await _dead.replay(self._here().link, queue, ids)

    async def purge(
        self, queue: str, ids: Sequence[str] | None = None, *, older_than: float = 0.0
    ) -> int:
        """See `DeadLetters.purge`."""
        return await _dead.purge(self._here().link, queue, ids, older_than)

    async def _namespaces(self) -> list[str]:
        members = await self._here().link.call("SMEMBERS", _keys.NAMESPACES)
        return sorted(member.decode() for member in members)

    async def aclose(self) -> None:
        """Close the connections of the running event loop. The broker may be used again."""
        session = self._sessions.pop(asyncio.get_running_loop(), None)
        if session is not None and self._process == os.getpid():
            await session.aclose()


_PUBLISHED = {answer.value.encode(): answer for answer in Published}
_RECEIPTS = {answer.value.encode(): answer for answer in Receipt}


def _unlisten(hub: WatchHub, channels: Iterable[str]) -> None:
    for channel in channels:
        hub.unlisten(channel)


def _split_url(url: str, *, check: bool) -> tuple[str, str]:
    """The URL for redis-py, and the parameter that is LTQ's own."""
    try:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query))
        wanted = query.pop("notifications", "auto")
        server_url = urlunsplit(parts._replace(query=urlencode(query)))
        if check:
            parse_url(server_url)
    except ValueError:  # its text may hold part of a password
        raise ConfigurationError(
            f"broker URL {redact(url)!r} cannot be read: it should be like "
            "redis://user:password@host:6379/0 (special characters in a password as %XX)"
        ) from None
    return server_url, wanted
