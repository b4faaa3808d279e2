"""The broker on Redis 6.2 or newer, or Valkey 7.2 or newer.

Each transition is one Lua script (`lua/`), so a task is always in one place; `_keys.py` names
the keys, `lua/README.md` describes them. Time is the server's.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec.structs import astuple
from redis.asyncio import Redis

from ltq._names import check_name, namespace_of
from ltq.broker import DEFAULT_LEASE, DEFAULT_SCAN, Broker, Finding, redact
from ltq.broker.feed import Feed
from ltq.broker.schedule_slots import ScheduleSlot, SlotReceipt
from ltq.brokers.redis import _dead_letters, _keys, _schedule_slots
from ltq.brokers.redis._busy_poll import parse_busy_poll
from ltq.brokers.redis._consumer import RedisConsumer
from ltq.brokers.redis._doctor.examine import examine
from ltq.brokers.redis._doctor.survey import holders
from ltq.brokers.redis._hazards import hazards
from ltq.brokers.redis._link import PATIENCE, Link
from ltq.brokers.redis._notifications import Notifications, parse_notifications
from ltq.brokers.redis._repair import repair
from ltq.brokers.redis._session import Session
from ltq.brokers.redis._url import new_client, split_url
from ltq.brokers.redis._watch_hub import CHUNK, WatchHub
from ltq.brokers.redis._wire import (
    RECEIPTS,
    by_namespace,
    chunks,
    encode_progress,
    envelope_size,
    outcome_arguments,
    outcome_size,
    queue_of_envelope,
    queue_of_outcome,
    queue_stats,
    task_state,
)
from ltq.errors import TaskNotFoundError
from ltq.message import DeadLetter, Envelope, Lease, Outcome, Published, Receipt, Swept
from ltq.options import DEFAULT_MAX_DELIVERIES, DEFAULT_RESULT_TTL, MAX_SECONDS, Limit
from ltq.state import Progress, QueueStats, TaskState, WorkerInfo

logger: logging.Logger = logging.getLogger("ltq.broker")

PING_PATIENCE = 3.0
"""Seconds `ping` waits: whoever asks wants to know soon."""

_SHORTEST_PATIENCE = 0.5
"""Seconds a heartbeat waits at least, however short the lease is."""

_SWEEP = 200
"""Most tasks of each kind that one script moves: a long one would make everybody else wait."""

_SWEEPS = 5
"""Most scripts of one sweep, as long as there is more to move."""

_FINISH = 100
"""Most outcomes of one script: each costs more than another step does."""

_CLEAR = 1000

_OVERDUE_AFTER = 60.0
"""Seconds after the end of a lease from which it counts as overdue."""


class RedisBroker(Broker):
    """Tasks in Redis, at `redis://`, `rediss://` or `unix://` URLs as redis-py reads them.

    The URL's parameter `notifications` says how tasks are watched: `auto` (default) switches
    keyspace notifications on where they are off, `require` raises `BrokerError` instead, `poll`
    does without. `busy_poll` says for how many microseconds after a call the event loop stays awake
    for the reply, as long as replies come that quickly (default 250; 0: it sleeps). `connect` may
    make the redis-py client instead of the URL (for tests).
    """

    def __init__(self, url: str, *, connect: Callable[[], Redis] | None = None) -> None:
        self._url = url
        self._connect = connect
        self._server_url, own = split_url(url, check=connect is None)
        self.notifications: Notifications = parse_notifications(own["notifications"])
        self._busy_poll = parse_busy_poll(own["busy_poll"])
        self._sessions: dict[asyncio.AbstractEventLoop, Session] = {}
        self._parents: list[dict[asyncio.AbstractEventLoop, Session]] = []
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
        connect = self._connect or partial(new_client, self._server_url)
        return Link(connect, self.url.partition("://")[2], self._busy_poll)

    def _here(self) -> Session:
        """The connections of the running loop; a fork or an ended loop left others behind."""
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop)
        if session is None or self._process != os.getpid():
            if self._process != os.getpid():
                self._parents.append(self._sessions)  # closing them would disturb the parent
                self._process, self._sessions = os.getpid(), {}
            for ended in [known for known in list(self._sessions) if known.is_closed()]:
                self._sessions.pop(ended, None)
            session = self._sessions[loop] = Session(self.new_link(), self.notifications)
        return session

    async def ping(self) -> None:
        """Raise `BrokerError` if the server does not answer, or cannot do what the URL requires."""
        session = self._here()
        await session.link.call("PING", patience=PING_PATIENCE)
        await session.hub.check()

    async def hazards(self) -> list[str]:
        """See `Broker.hazards`."""
        return await hazards(self._here().link)

    async def publish(self, envelopes: Sequence[Envelope]) -> list[Published]:
        """See `Publisher.publish`. Single sends share a call while another one is under way."""
        session = self._here()
        if len(envelopes) == 1:
            sender = session.sender(namespace_of(envelopes[0].queue))
            return [await sender.call(envelopes[0])]
        answers: dict[int, Published] = {}
        for namespace, chunk in chunks(envelopes, queue_of_envelope, envelope_size):
            replies = await session.send(namespace, [envelopes[i] for i in chunk])
            answers.update(zip(chunk, replies, strict=True))
        return [answers[i] for i in range(len(envelopes))]

    async def first(self, queue: str, fingerprint: str) -> str | None:
        """See `Publisher.first`."""
        key = _keys.unique(namespace_of(queue), fingerprint)
        reply: bytes | None = await self._here().link.call("GET", key)
        return None if reply is None else reply.decode("utf-8", "replace")

    def consumer(
        self,
        queues: Iterable[str],
        *,
        name: str | None = None,
        lease: float = DEFAULT_LEASE,
        limits: Mapping[str, Limit] | None = None,
        revoked: Callable[[str], None] | None = None,
        before_sweep: Callable[[], Awaitable[None]] | None = None,
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
            limits=limits or {},
            sweep=self._sweep,
            before_sweep=before_sweep,
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
        for namespace, chunk in chunks(outcomes, queue_of_outcome, outcome_size, _FINISH):
            groups = outcome_arguments([outcomes[i] for i in chunk])
            replies = await link.run("finish", _keys.prefix(namespace), *groups)
            receipts.update((i, RECEIPTS[reply]) for i, reply in zip(chunk, replies, strict=True))
        return [receipts[i] for i in range(len(outcomes))]

    async def heartbeat(self, leases: Sequence[Lease], duration: float) -> list[Lease]:
        """See `Settler.heartbeat`."""
        link = self._here().link
        patience = min(PATIENCE, max(duration / 3, _SHORTEST_PATIENCE))
        lost: list[Lease] = []
        for namespace, chunk in chunks(leases, lambda lease: lease.queue):
            arguments: list[Any] = [duration]
            for i in chunk:
                arguments += (leases[i].id, leases[i].queue, leases[i].token)
            replies = await link.run(
                "heartbeat", _keys.prefix(namespace), *arguments, patience=patience
            )
            lost += [leases[chunk[i]] for i in replies]
        return lost

    async def progress(self, lease: Lease, progress: Progress) -> bool:
        """See `Settler.progress`."""
        prefix = _keys.prefix(namespace_of(lease.queue))
        text = encode_progress(progress)
        return bool(await self._here().link.run("progress", prefix, lease.id, lease.token, text))

    async def sweep(self, queues: Iterable[str]) -> Swept:
        """See `Settler.sweep`."""
        swept = [await self._sweep(name) for name in {namespace_of(queue) for queue in queues}]
        return _sum(swept)

    async def _sweep(self, namespace: str, grace: float = 0.0) -> Swept:
        limits = (_SWEEP, DEFAULT_MAX_DELIVERIES, DEFAULT_RESULT_TTL, min(grace, MAX_SECONDS))
        total = Swept()
        for _ in range(_SWEEPS):
            swept = Swept(*await self._here().link.run("sweep", _keys.prefix(namespace), *limits))
            total = _sum([total, swept])
            if sum(astuple(swept)) < _SWEEP:
                break
        if total.recovered or total.buried:
            text = "%s: of dead workers %d tasks are pending again, %d buried"
            logger.info(text, namespace, total.recovered, total.buried)
        if total.lost:
            logger.warning("%d tasks of %s were lost: see the dead letters", total.lost, namespace)
        return total

    async def repair(
        self, queues: Iterable[str], *, lease: float = DEFAULT_LEASE, every: float = 0.0
    ) -> int:
        """See `Settler.repair`."""
        namespaces = {namespace_of(queue) for queue in queues}
        return await repair(self._here().link, namespaces, lease, every)

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
            lanes |= {reply.decode("utf-8", "replace") for reply in replies}
        return sorted({lane.partition("/")[0] for lane in lanes})

    async def stats(self, queues: Sequence[str]) -> list[QueueStats]:
        """See `Inspector.stats`."""
        link = self._here().link
        stats: dict[str, QueueStats] = {}
        for namespace, positions in by_namespace(queues, str).items():
            names = [queues[i] for i in positions]
            replies = await link.run("stats", _keys.prefix(namespace), _OVERDUE_AFTER, *names)
            stats |= {
                queue: queue_stats(queue, reply)
                for queue, reply in zip(names, replies, strict=True)
            }
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
        link = self._here().link
        answer = await link.run("cancel", prefix, "", task_id, result_ttl, if_repeated="1")
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

    async def workers(self) -> list[WorkerInfo]:
        """See `Inspector.workers`."""
        return await holders(self, self._here().link)

    async def examine(
        self, *, scan: int = DEFAULT_SCAN, on_scan: Callable[[int], object] | None = None
    ) -> list[Finding]:
        """See `Diagnostics.examine`."""
        link = self.new_link()  # a slow look must not hold up calls
        try:
            return await examine(self, link, scan, on_scan)
        finally:
            await link.aclose()

    async def dead_letters(
        self, queue: str, *, limit: int = 100, offset: int = 0
    ) -> list[DeadLetter]:
        """See `DeadLetters.letters`."""
        return await _dead_letters.read(self._here().link, queue, limit, offset)

    async def dead_letter(self, queue: str | None, task_id: str) -> DeadLetter:
        """See `DeadLetters.letter`."""
        namespaces = await self._namespaces() if queue is None else [namespace_of(queue)]
        letter = await _dead_letters.find(self._here().link, namespaces, queue, task_id)
        if letter is None:
            raise TaskNotFoundError(task_id)
        return letter

    async def replay(self, queue: str, ids: Sequence[str]) -> list[Published]:
        """See `DeadLetters.replay`."""
        return await _dead_letters.replay(self._here().link, queue, ids)

    async def purge(
        self, queue: str, ids: Sequence[str] | None = None, *, older_than: float = 0.0
    ) -> int:
        """See `DeadLetters.purge`."""
        return await _dead_letters.purge(self._here().link, queue, ids, older_than)

    async def time(self) -> float:
        """See `ScheduleStore.time`."""
        return await _schedule_slots.time(self._here().link)

    async def fire(self, tick: ScheduleSlot) -> SlotReceipt:
        """See `ScheduleStore.fire`."""
        return await _schedule_slots.fire(self._here().link, tick, self._here().registered)

    async def _namespaces(self) -> list[str]:
        members = await self._here().link.call("SMEMBERS", _keys.NAMESPACES)
        return sorted(member.decode("utf-8", "replace") for member in members)

    async def aclose(self) -> None:
        """Close the connections of the running event loop. The broker may be used again."""
        session = self._sessions.pop(asyncio.get_running_loop(), None)
        if session is not None and self._process == os.getpid():
            await session.aclose()


def _sum(swept: Iterable[Swept]) -> Swept:
    return Swept(*(sum(counts) for counts in zip(*map(astuple, swept), strict=True)))


def _unlisten(hub: WatchHub, channels: Iterable[str]) -> None:
    for channel in channels:
        hub.unlisten(channel)
