"""Moving due tasks and recovering those of dead workers, in bounded steps."""

import logging
from collections.abc import Iterable

from msgspec.structs import astuple

from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._server.link import Link
from ltq.message import Swept
from ltq.options import MAX_SECONDS

logger = logging.getLogger("ltq.broker")

_SWEEP_TASKS = 200
"""Most tasks of each kind that one script moves: a long script blocks all other clients."""

_SWEEP_CALLS = 5
"""Most scripts of one sweep. It ends earlier when nothing is left to move."""


async def sweep(link: Link, namespace: str, grace: float = 0.0) -> Swept:
    """Sweep a namespace. Leases last `grace` seconds beyond their end. Raises `BrokerError`."""
    prefix, grace = link.keys.prefix(namespace), min(grace, MAX_SECONDS)
    total = Swept()
    for _ in range(_SWEEP_CALLS):
        call = calls.SweepCall(prefix=prefix, limit=_SWEEP_TASKS, grace=grace, notes=link.notes)
        swept = await link.evaluate(call)
        total = sum_of((total, swept))
        if sum(astuple(swept)) < _SWEEP_TASKS:
            break
    if total.recovered or total.buried:
        text = "%s: took tasks back from dead workers: %d pending again, %d dead letters"
        logger.info(text, namespace, total.recovered, total.buried)
    if total.lost:
        logger.warning("%d tasks of %s were lost: see the dead letters", total.lost, namespace)
    return total


def sum_of(swept: Iterable[Swept]) -> Swept:
    """The sum of the counts of several sweeps."""
    return Swept(*(sum(counts) for counts in zip(*map(astuple, swept), strict=True)))
