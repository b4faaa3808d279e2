"""Recording in Redis what becomes of deliveries: outcomes, renewed leases, progress."""

from collections.abc import Sequence

import msgspec

from ltq.brokers.redis._operations.chunks import by_chunk, chunks, outcome_size, queue_of_outcome
from ltq.brokers.redis._operations.spread import all_of, in_each
from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._scripts.arguments import finish_groups, is_told
from ltq.brokers.redis._server.call import Argument
from ltq.brokers.redis._server.link import CALL_PATIENCE, Link
from ltq.brokers.redis._server.links import Links
from ltq.message import Finish, Lease, Outcome, Receipt
from ltq.names import namespace_of
from ltq.state import Progress, Status

_FINISH_TASKS = 100
"""Most outcomes of one call: they take longer than the steps of other scripts."""

_FINISH_CALLS = 5
"""Most of these calls at once, of outcomes that need no order: one behind the other they would wait
for the network each."""

_HEARTBEAT_PATIENCE = 0.5
"""Seconds that a heartbeat waits at least, even if the lease is shorter."""

_encode_progress = msgspec.json.Encoder().encode


async def finish(links: Links, outcomes: Sequence[Outcome]) -> list[Receipt]:
    """See `Settler.finish`."""
    outcomes, places = _sorted(outcomes)
    receipts = [Receipt.OK] * len(outcomes)
    parts = by_chunk(chunks(outcomes, queue_of_outcome, outcome_size, _FINISH_TASKS))

    async def finish_chunk(link: Link, namespace: str, chunk: list[int]) -> None:
        some = [outcomes[i] for i in chunk]
        groups = finish_groups(some)
        prefix = link.keys.prefix(namespace)
        told = link.tells_in if is_told(some) else ""
        call = calls.FinishCall(prefix=prefix, notes=link.notes, told=told, groups=groups)
        found = await link.evaluate(call)
        if len(found) == 1:  # of all
            found *= len(chunk)
        for i, receipt in zip(chunk, found or (), strict=bool(found)):
            receipts[places[i]] = receipt

    async def finish_in(link: Link, namespace: str) -> None:
        chunks = parts[namespace]
        free = sum(not _has_order(outcomes[chunk[-1]]) for chunk in chunks)
        for first in range(0, free, _FINISH_CALLS):
            some = chunks[first : min(first + _FINISH_CALLS, free)]
            await all_of(finish_chunk(link, namespace, chunk) for chunk in some)
        for chunk in chunks[free:]:
            await finish_chunk(link, namespace, chunk)

    await in_each(links, parts, finish_in)
    return receipts


def _sorted(outcomes: Sequence[Outcome]) -> tuple[Sequence[Outcome], Sequence[int]]:
    """Those of several calls with what needs no order before the others; and where each was."""
    places: Sequence[int] = range(len(outcomes))
    if len(outcomes) > _FINISH_TASKS:
        places = sorted(places, key=lambda place: _has_order(outcomes[place]))
        outcomes = [outcomes[place] for place in places]
    return outcomes, places


def _has_order(outcome: Outcome) -> bool:
    """Whether it matters which outcomes are written before: something comes into a queue."""
    if isinstance(outcome, Finish) and outcome.status is Status.COMPLETED:
        return bool(outcome.flow or outcome.follow)
    return True


async def heartbeat(links: Links, leases: Sequence[Lease], duration: float) -> list[Lease]:
    """See `Settler.heartbeat`."""
    patience = min(CALL_PATIENCE, max(duration / 3, _HEARTBEAT_PATIENCE))
    lost: list[Lease] = []
    parts = by_chunk(chunks(leases, lambda lease: lease.queue))

    async def renew_in(link: Link, namespace: str) -> None:
        for chunk in parts[namespace]:
            words: list[Argument] = []
            for i in chunk:
                words += (leases[i].id, leases[i].queue, leases[i].token)
            prefix = link.keys.prefix(namespace)
            call = calls.HeartbeatCall(prefix=prefix, duration=duration, leases=words)
            found = await link.evaluate(call, patience=patience)
            lost.extend(leases[chunk[i]] for i in found)

    await in_each(links, parts, renew_in)
    return lost


async def progress(link: Link, lease: Lease, progress: Progress) -> bool:
    """See `Settler.progress`."""
    call = calls.ProgressCall(
        prefix=link.keys.prefix(namespace_of(lease.queue)),
        id=lease.id,
        token=lease.token,
        progress=_encode_progress(progress),
    )
    return await link.evaluate(call)
