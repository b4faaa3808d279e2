"""Carrying workflows on apart from one another: what cannot be done for one holds up no other."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ltq._flow.carry import carry
from ltq._flow.protocols import FlowBroker
from ltq._flow.values import flow_of
from ltq.broker.flows import Ending
from ltq.errors import BrokerError
from ltq.names import namespace_of


class Left(NamedTuple):
    """Endings that could not be carried on, and why."""

    endings: Sequence[Ending]
    error: Exception


async def carry_apart(broker: FlowBroker, endings: Sequence[Ending]) -> list[Left]:
    """Carry workflows on from these endings. Returns what is left.

    Namespaces may be on different servers, of which some are away. What a server refuses for one
    ending it may take for the others.
    """
    groups: dict[frozenset[str], list[Ending]] = {}
    for ending in endings:
        groups.setdefault(namespaces_of(ending), []).append(ending)
    lefts = await asyncio.gather(*(_carry_group(broker, group) for group in groups.values()))
    return [left for some in lefts for left in some]


async def carry_left(broker: FlowBroker, queue: str, *, older_than: float = 0.0) -> int:
    """Carry on what is left in the namespace of a queue. Returns how many endings there were.

    Raises the first error if some cannot be carried on, after all that can.
    """
    count = 0
    while endings := await broker.endings(queue, older_than=older_than):
        lefts = await carry_apart(broker, endings)
        count += len(endings) - sum(len(left.endings) for left in lefts)
        if lefts:
            raise lefts[0].error
    return count


def namespaces_of(ending: Ending) -> frozenset[str]:
    """The namespaces that are needed to carry an ending on."""
    return frozenset(map(namespace_of, _queues(ending)))


def _queues(ending: Ending) -> Iterable[str]:
    yield ending.queue
    flow = flow_of(ending.ctx)
    if flow is not None:
        yield flow.queue
        yield from (target.queue for target in flow.to)


async def _carry_group(broker: FlowBroker, endings: Sequence[Ending]) -> list[Left]:
    try:
        await carry(broker, endings)
    except Exception as error:
        is_away = isinstance(error, BrokerError) and not error.is_refusal
        if is_away or len(endings) == 1:
            return [Left(endings, error)]
        return [left for one in endings for left in await _carry_group(broker, [one])]
    return []
