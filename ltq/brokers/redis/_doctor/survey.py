"""What `ltq doctor` looks at: a Redis server, LTQ's keys in it, its queues. Nothing is changed.

Judging it is `_checks`' part.
"""

import asyncio
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import RedisError

from ltq._names import namespace_of, new_id
from ltq.broker import Broker
from ltq.brokers.redis import _keys
from ltq.brokers.redis._doctor.permissions import Rights, try_out
from ltq.brokers.redis._link import Link, RefusedError
from ltq.errors import BrokerError
from ltq.options import Priority
from ltq.state import QueueStats, TaskState

_OPTIONS = (
    *("notify-keyspace-events", "appendonly", "appendfsync", "save"),
    *("maxmemory-policy", "maxclients", "min-replicas-to-write"),
)
_PINGS = 20
_PROBE_TIME = 1.0
"""Seconds a server has to send the notification that tries it out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server and the way to it."""

    info: Mapping[str, str] = field(default_factory=dict)
    """All that INFO says; empty where it is refused."""
    config: Mapping[str, str] | None = None
    """Settings by name, None where CONFIG is refused."""
    median_ping: float = 0.0
    worst_ping: float = 0.0
    """Seconds."""
    clock: float = 0.0
    """Seconds that the server's clock is ahead of this machine's."""
    notified: bool | None = None
    """Whether a notification came; None where that could not be tried."""
    rights: Rights | None = None
    """None where the server takes no writes now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A queue at one moment."""

    stats: QueueStats
    overdue: int = 0
    """Working tasks whose lease ended long ago."""
    oldest: float | None = None
    """Seconds that the first ready task has waited."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A consumer that holds tasks."""

    name: str
    tasks: int
    since: float | None
    """When it claimed the one it has held longest."""
    names: tuple[str, ...]
    """Names of these tasks, sorted."""


async def look_at_server(link: Link) -> Server:
    """Ask the server about itself. Raises `BrokerError` where it does not answer."""
    info = await _info(link)
    pings, clock = await _ping(link)
    try:
        rights = await try_out(link)
        notified = await _probe(link)
    except BrokerError:
        rights, notified = None, None
    return Server(
        info=info,
        config=await _config(link),
        median_ping=statistics.median(pings),
        worst_ping=max(pings),
        clock=clock,
        notified=notified,
        rights=rights,
    )


async def _info(link: Link) -> dict[str, str]:
    try:
        reply: bytes = await link.call("INFO")
    except RefusedError:
        return {}
    lines = reply.decode("utf-8", "replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


async def _config(link: Link) -> dict[str, str] | None:
    config = {}
    try:
        for option in _OPTIONS:
            reply = await link.call("CONFIG", "GET", option)
            if reply:
                config[option] = reply[1].decode("utf-8", "replace")
    except RefusedError:
        return None
    return config


async def _ping(link: Link) -> tuple[list[float], float]:
    """Round trips, and how far the server's clock is ahead, by the quickest of them."""
    pings, best, clock = [], float("inf"), 0.0
    for _ in range(_PINGS):
        start, began = time.perf_counter(), time.time()
        at = await _time(link)
        took = time.perf_counter() - start
        pings.append(took)
        if took < best and at is not None:
            best, clock = took, at - (began + took / 2)
    return pings, clock


async def _time(link: Link) -> float | None:
    """The server's time, None where it is not told."""
    try:
        seconds, micros = await link.call("TIME")
    except RefusedError:
        return None
    return int(seconds) + int(micros) / 1e6


async def _probe(link: Link) -> bool | None:
    """Write a key of one second and see whether the server tells of it."""
    key = _keys.probe(new_id())
    connection = link.new_connection()
    try:
        await link.connect(connection)
        async with asyncio.timeout(_PROBE_TIME):
            await connection.send_command("SUBSCRIBE", _keys.keyspace(link.database, key))
            await connection.read_response()
            await link.call("HSET", key, "probe", "1")
            await link.call("PEXPIRE", key, 1000)
            await connection.read_response()
    except TimeoutError:
        return False
    except (RedisError, RefusedError):
        return None
    finally:
        await connection.disconnect(nowait=True)
    return True


async def look_at_queues(broker: Broker, link: Link, *, overdue_after: float = 60.0) -> list[Queue]:
    """Every queue that anything was ever sent to, sorted by name.

    A lease is overdue when it ended more than `overdue_after` seconds ago.
    """
    seconds, micros = await link.call("TIME")
    now = int(seconds) + int(micros) / 1e6
    queues = []
    for stats in await broker.stats(await broker.queues()):
        leases = _keys.leases(namespace_of(stats.queue), stats.queue)
        ends = 1000 * (now - overdue_after)
        overdue = await _or_zero(link, "ZCOUNT", leases, "-inf", ends)
        oldest = await _oldest(broker, link, stats.queue) if stats.pending else None
        waited = None if oldest is None else max(0.0, now - oldest)
        queues.append(Queue(stats=stats, overdue=overdue, oldest=waited))
    return queues


async def _or_zero(link: Link, *command: str | float) -> int:
    """A count; 0 where the key has a wrong type, which another check tells."""
    try:
        return int(await link.call(*command))
    except RefusedError:
        return 0


async def _oldest(broker: Broker, link: Link, queue: str) -> float | None:
    """Since when the task waits that waits longest at the head of a list."""
    ids = []
    for key in await _ready_lists(link, queue):
        try:
            head = await link.call("LINDEX", key, 0)
        except RefusedError:
            continue
        if head is not None:
            ids.append(head.decode("utf-8", "replace"))
    states = await broker.states(queue, ids)
    return min((_since(state) for state in states if state is not None), default=None)


def _since(state: TaskState[bytes]) -> float:
    return max(state.enqueue_time or 0.0, state.last_requeue_time or 0.0)


async def _ready_lists(link: Link, queue: str) -> list[str]:
    namespace = namespace_of(queue)
    lanes = [
        lane.decode("utf-8", "replace")
        for lane in await link.call("SMEMBERS", _keys.lanes(namespace))
    ]
    own = [lane for lane in lanes if lane.partition("/")[0] == queue]
    return [_keys.ready(namespace, lane, priority) for lane in own for priority in Priority]


async def waiting_by_priority(link: Link, queue: str) -> dict[str, int]:
    """How many tasks of a queue are ready, by the name of their priority."""
    counts = dict.fromkeys((priority.name.lower() for priority in Priority), 0)
    for position, key in enumerate(await _ready_lists(link, queue)):
        priority = Priority(position % len(Priority))
        counts[priority.name.lower()] += await _or_zero(link, "LLEN", key)
    return counts


async def holders(broker: Broker, link: Link, limit: int) -> tuple[list[Holder], int]:
    """Who holds leased tasks, and how many tasks were not looked at: more than `limit`."""
    states: list[TaskState[bytes]] = []
    left, total = limit, 0
    for stats in await broker.stats(await broker.queues()):
        total += stats.working
        if not stats.working or left <= 0:
            continue
        key = _keys.leases(namespace_of(stats.queue), stats.queue)
        ids = [reply.decode("utf-8", "replace") for reply in await _leased(link, key, left)]
        left -= len(ids)
        states += [state for state in await broker.states(stats.queue, ids) if state is not None]
    return _by_holder(states), max(0, total - limit)


async def _leased(link: Link, key: str, limit: int) -> Sequence[Any]:
    reply: Sequence[Any] = await link.call("ZRANGE", key, 0, limit - 1)
    return reply


def _by_holder(states: Iterable[TaskState[bytes]]) -> list[Holder]:
    held: dict[str, list[TaskState[bytes]]] = {}
    for state in states:
        if state.worker is not None and not state.status.is_final:
            held.setdefault(state.worker, []).append(state)
    return [
        Holder(
            name,
            len(own),
            min((s.last_dequeue_time for s in own if s.last_dequeue_time), default=None),
            tuple(sorted({state.task_name for state in own})),
        )
        for name, own in sorted(held.items())
    ]
