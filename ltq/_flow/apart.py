"""Carrying on from endings apart: what cannot be done for one holds up no other."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple

import msgspec

from ltq._flow.carry import carry
from ltq._flow.follow import Answered
from ltq._flow.protocols import FlowBroker
from ltq._flow.values import flow_of
from ltq.broker.flows import Ending, unpack_follow
from ltq.errors import BrokerError
from ltq.names import namespace_of

LEFT_AFTER = 2.0
"""Seconds after which an ending counts as left: until then somebody may be about to carry it on."""

_MOST_ENDINGS = 2000
"""Most endings among which those of a workflow are looked for, if not all can be carried on."""

_LONGEST_KEPT = 4096
"""Most bytes of a `ctx` whose namespaces are remembered."""


class Left(NamedTuple):
    """Endings that could not be carried on, and why."""

    endings: Sequence[Ending]
    error: Exception


class Carried(NamedTuple):
    """What became of endings that were left."""

    number: int
    """How many were carried on."""
    lefts: Sequence[Left]
    """Those that could not be."""


async def carry_apart(
    broker: FlowBroker, endings: Sequence[Ending], answered: Answered | None = None
) -> list[Left]:
    """Carry on from these endings. Returns what is left.

    Namespaces may be on different servers, of which some are away. What a server refuses for one
    ending it may take for the others. `answered` is told what the broker answered to what follows.
    """
    groups: dict[frozenset[str], list[Ending]] = {}
    for ending in endings:
        groups.setdefault(namespaces_of(ending), []).append(ending)
    lefts = await asyncio.gather(
        *(_carry_group(broker, group, answered) for group in groups.values())
    )
    return [left for some in lefts for left in some]


async def carry_left(broker: FlowBroker, queue: str, *, older_than: float = 0.0) -> int:
    """Carry on what is left in the namespace of a queue. Returns how many endings there were.

    Raises the first error if some cannot be carried on, after all that can.
    """
    found = await carry_found(broker, queue, older_than=older_than)
    if found.lefts:
        raise found.lefts[0].error
    return found.number


async def carry_found(broker: FlowBroker, queue: str, *, older_than: float = 0.0) -> Carried:
    """Carry on what is left in the namespace of a queue, until something cannot be."""
    number, lefts = 0, list[Left]()
    while not lefts and (endings := await broker.endings(queue, older_than=older_than)):
        lefts = await carry_apart(broker, endings)
        number += len(endings) - sum(len(left.endings) for left in lefts)
    return Carried(number, lefts)


async def carry_of(broker: FlowBroker, queue: str, last_id: str) -> tuple[list[Left], list[Left]]:
    """Carry on what is left in the namespace of a queue, and at any age what is of one workflow.

    It is the one with this last node. Then its nodes that are not known any more, as their states
    are not kept, are known by what has come of them. Returns what of it is left, and what of all.
    """
    found = await carry_found(broker, queue, older_than=LEFT_AFTER)
    # Neither what holds up others nor a worker that is about to carry on holds up this one.
    endings = await broker.endings(queue, limit=_MOST_ENDINGS)
    flows = [(ending, flow_of(ending.ctx)) for ending in endings]
    own = [one for one, flow in flows if flow is not None and flow.end == last_id]
    lefts = await carry_apart(broker, own)
    return lefts, [*found.lefts, *lefts]


def namespaces_of(ending: Ending) -> frozenset[str]:
    """The namespaces that are needed to carry an ending on."""
    is_long = len(ending.ctx) > _LONGEST_KEPT
    own = (_namespaces if is_long else _kept_namespaces)(ending.queue, ending.ctx)
    if not ending.follow:
        return own
    with suppress(msgspec.DecodeError):  # carrying it on tells
        return own.union(namespace_of(one.queue) for one in unpack_follow(ending.follow))
    return own


def _namespaces(queue: str, ctx: bytes) -> frozenset[str]:
    flow = flow_of(ctx)
    queues = () if flow is None else (flow.queue, *(destination.queue for destination in flow.to))
    return frozenset(map(namespace_of, (queue, *queues)))


_kept_namespaces = lru_cache(maxsize=1024)(_namespaces)  # all elements of a map have the same


async def _carry_group(
    broker: FlowBroker, endings: Sequence[Ending], answered: Answered | None
) -> list[Left]:
    try:
        await carry(broker, endings, answered)
    except Exception as error:
        is_away = isinstance(error, BrokerError) and not error.is_refusal
        if is_away or len(endings) == 1:
            return [Left(endings, error)]
        return [left for one in endings for left in await _carry_group(broker, [one], answered)]
    return []
