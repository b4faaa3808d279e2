"""Recording in Redis what becomes of deliveries: outcomes, renewed leases, progress."""

from collections.abc import Sequence

import msgspec

from ltq.brokers.redis._operations.chunks import by_chunk, chunks, outcome_size, queue_of_outcome
from ltq.brokers.redis._operations.spread import in_each
from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._scripts.arguments import finish_groups, is_told
from ltq.brokers.redis._server.call import Argument
from ltq.brokers.redis._server.link import CALL_PATIENCE, Link
from ltq.brokers.redis._server.links import Links
from ltq.message import Lease, Outcome, Receipt
from ltq.names import namespace_of
from ltq.state import Progress

_FINISH_TASKS = 100
"""Most outcomes of one call: they take longer than the steps of other scripts."""

_HEARTBEAT_PATIENCE = 0.5
"""Seconds that a heartbeat waits at least, even if the lease is shorter."""

_encode_progress = msgspec.json.Encoder().encode


async def finish(links: Links, outcomes: Sequence[Outcome]) -> list[Receipt]:
    """See `Settler.finish`."""
    receipts = [Receipt.OK] * len(outcomes)
    parts = by_chunk(chunks(outcomes, queue_of_outcome, outcome_size, _FINISH_TASKS))

    async def finish_in(link: Link, namespace: str) -> None:
        for chunk in parts[namespace]:
            some = [outcomes[i] for i in chunk]
            groups = finish_groups(some)
            prefix = link.keys.prefix(namespace)
            told = link.tells_in if is_told(some) else ""
            call = calls.FinishCall(prefix=prefix, notes=link.notes, told=told, groups=groups)
            found = await link.evaluate(call)
            if len(found) == 1:  # of all
                found *= len(chunk)
            for i, receipt in zip(chunk, found or (), strict=bool(found)):
                receipts[i] = receipt

    await in_each(links, parts, finish_in)
    return receipts


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
