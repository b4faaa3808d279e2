"""What a Redis server says about itself, tried out if possible. Nothing is changed.

`checks` judges the result.
"""

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from ltq.brokers.redis._doctor.permissions import Rights, told, try_out
from ltq.brokers.redis._server.info import is_notified, server_info, server_time
from ltq.brokers.redis._server.link import Link
from ltq.brokers.redis._server.refusals import RefusedError
from ltq.errors import BrokerError

_OPTIONS = (
    "notify-keyspace-events",
    "appendonly",
    "appendfsync",
    "save",
    "maxmemory-policy",
    "maxclients",
    "min-replicas-to-write",
)
_PINGS = 20
"""How many round trips are measured."""

_NOTIFIED_WITHIN = 1.0
"""Seconds within which the server has to send a notification."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server, and the connection to it."""

    info: Mapping[str, str] = field(default_factory=dict)
    """What INFO says; empty if it is refused."""
    is_node: bool = False
    """Whether the broker knows that it is a node of a cluster."""
    awaited: int = 0
    """How many replicas a send waits for."""
    config: Mapping[str, str] | None = None
    """Settings by name; None if CONFIG is refused."""
    median_ping: float = 0.0
    worst_ping: float = 0.0
    """Seconds."""
    clock: float = 0.0
    """Seconds by which the server's clock is ahead of this machine's."""
    notified: bool | None = None
    """Whether a notification arrived; None if that could not be tried."""
    rights: Rights | None = None
    """What the user may do; None if that could not be tried."""
    refusal: str = ""
    """What the server says if it takes no writes now."""


async def survey_server(link: Link, *, is_node: bool = False) -> Server:
    """Ask the server about itself; `is_node` if the broker knows that it is one of a cluster.

    Raises `BrokerError` if it does not answer.
    """
    info = await server_info(link)
    pings, clock = await _ping(link)
    rights, notified, refusal = None, None, ""
    try:
        rights = await try_out(link)
        refusal = rights.refusal
        notified = await is_notified(link, _NOTIFIED_WITHIN)
    except BrokerError as error:
        refusal = refusal or told(error)
    return Server(
        info=info,
        is_node=is_node,
        awaited=link.replicas,
        config=await _config(link),
        median_ping=statistics.median(pings),
        worst_ping=max(pings),
        clock=clock,
        notified=notified,
        rights=rights,
        refusal=refusal,
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
    """The round trip times, and how far the server's clock is ahead, by the quickest of them."""
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
    """The server's time; None if it does not tell."""
    try:
        return await server_time(link)
    except RefusedError:
        return None
