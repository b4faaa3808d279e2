"""What a Redis server says about itself, tried out where it can be. Nothing is changed.

`checks` judges it.
"""

import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ltq._names import namespace_of
from ltq.broker import Broker
from ltq.brokers.redis import _keys
from ltq.brokers.redis._doctor.permissions import Rights, try_out
from ltq.brokers.redis._link import Link, RefusedError
from ltq.brokers.redis._server import is_notified, server_info, server_time
from ltq.errors import BrokerError
from ltq.state import TaskState, WorkerInfo

_OPTIONS = (
    *("notify-keyspace-events", "appendonly", "appendfsync", "save"),
    *("maxmemory-policy", "maxclients", "min-replicas-to-write"),
)
_PINGS = 20
"""Round trips that are measured."""

_NOTIFIED_WITHIN = 1.0
"""Seconds a server has to send the notification that tries it out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server and the way to it."""

    info: Mapping[str, str] = field(default_factory=dict)
    """What INFO says; empty where it is refused."""
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


async def look_at_server(link: Link) -> Server:
    """Ask the server about itself. Raises `BrokerError` where it does not answer."""
    info = await server_info(link)
    pings, clock = await _ping(link)
    try:
        rights = await try_out(link)
        notified = await is_notified(link, _NOTIFIED_WITHIN)
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
        at = await _clock(link)
        took = time.perf_counter() - start
        pings.append(took)
        if took < best and at is not None:
            best, clock = took, at - (began + took / 2)
    return pings, clock


async def _clock(link: Link) -> float | None:
    """The server's time, None where it is not told."""
    try:
        return await server_time(link)
    except RefusedError:
        return None


async def holders(broker: Broker, link: Link) -> list[WorkerInfo]:
    """The workers that hold leased tasks, sorted by name."""
    states: list[TaskState[bytes]] = []
    for stats in await broker.stats(await broker.queues()):
        if stats.working:
            key = _keys.leases(namespace_of(stats.queue), stats.queue)
            ids = [reply.decode("utf-8", "replace") for reply in await _members(link, key)]
            found = await broker.states(stats.queue, ids)
            states += [state for state in found if state is not None]
    return _by_holder(states)


async def _members(link: Link, key: str) -> Sequence[Any]:
    reply: Sequence[Any] = await link.call("ZRANGE", key, 0, -1)
    return reply


def _by_holder(states: Iterable[TaskState[bytes]]) -> list[WorkerInfo]:
    held: dict[str, list[TaskState[bytes]]] = {}
    for state in states:
        if state.worker is not None and not state.status.is_final:
            held.setdefault(state.worker, []).append(state)
    return [
        WorkerInfo(
            name=name,
            running=tuple(sorted(state.id for state in own)),
            task_names=tuple(sorted({state.task_name for state in own})),
            since=min((s.last_dequeue_time for s in own if s.last_dequeue_time), default=None),
        )
        for name, own in sorted(held.items())
    ]
