"""Carrying on from endings apart: what cannot be done for one holds up no other."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
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


def namespaces_of(ending: Ending) -> frozenset[str]:
    """The namespaces that are needed to carry an ending on."""
    return frozenset(map(namespace_of, _queues(ending)))


def _queues(ending: Ending) -> Iterable[str]:
    yield ending.queue
    flow = flow_of(ending.ctx)
    if flow is not None:
        yield flow.queue
        yield from (target.queue for target in flow.to)
    if ending.follow:
        with suppress(msgspec.DecodeError):  # carrying it on tells
            yield from (envelope.queue for envelope in unpack_follow(ending.follow))


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
