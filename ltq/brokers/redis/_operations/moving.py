"""Handing tasks and dead letters of Redis to another store, and taking them over, in batches."""

from collections.abc import Sequence
from operator import attrgetter

from ltq.broker.moving import Parcel
from ltq.brokers.redis._operations.chunks import CALL_TASKS, chunks, envelope_size, read_some
from ltq.brokers.redis._operations.registry import Registry
from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._scripts.script import flag
from ltq.brokers.redis._server.link import Link
from ltq.brokers.redis._server.links import Links
from ltq.message import Published
from ltq.names import namespace_of
from ltq.state import Status

_WAITING = (Status.PENDING, Status.DELAYED)
_DEAD = (Status.FAILED, Status.REJECTED)

_queue_of = attrgetter("envelope.queue")


async def pack(link: Link, queue: str, ids: Sequence[str], *, dead: bool) -> list[Parcel | None]:
    """See `Mover.pack` and `Mover.pack_dead`."""
    prefix, wanted = link.keys.prefix(namespace_of(queue)), _DEAD if dead else _WAITING
    found: list[Parcel | None] = []
    while len(found) < len(ids):
        some, most = [*ids[len(found) :][:CALL_TASKS]], link.reply_limit.bytes
        call = calls.PackCall(prefix=prefix, most_bytes=most, dead=flag(dead), ids=some)
        found += await read_some(link, call)
    return [
        one if one and one.envelope.queue == queue and one.status in wanted else None
        for one in found
    ]


async def adopt(links: Links, registry: Registry, parcels: Sequence[Parcel]) -> list[Published]:
    """See `Mover.adopt`."""
    answers: dict[int, Published] = {}
    for dead, script in ((False, calls.AdoptCall), (True, calls.AdoptDeadCall)):
        own = [i for i, parcel in enumerate(parcels) if parcel.is_dead is dead]
        some = [parcels[i] for i in own]
        for namespace, chunk in chunks(some, _queue_of, _size):
            await registry.add(namespace)
            link = links.of(namespace)
            call = script.of(link.keys.prefix(namespace), [some[k] for k in chunk])
            reply = await link.evaluate(call)
            answers.update(zip([own[k] for k in chunk], reply.answers, strict=True))
            if reply.new_queues:
                await registry.add_again(namespace)
    return [answers[i] for i in range(len(parcels))]


async def drop(links: Links, parcels: Sequence[Parcel]) -> list[str]:
    """See `Mover.drop`."""
    by_queue: dict[str, list[Parcel]] = {}
    for parcel in parcels:
        by_queue.setdefault(parcel.envelope.queue, []).append(parcel)
    stay: list[str] = []
    for queue, some in by_queue.items():
        link = links.of(namespace_of(queue))
        prefix = link.keys.prefix(namespace_of(queue))
        for start in range(0, len(some), CALL_TASKS):
            call = calls.DropCall.of(prefix, queue, some[start : start + CALL_TASKS])
            stay += await link.evaluate(call)
    return stay


def _size(parcel: Parcel) -> int:
    """Bytes of payload, roughly."""
    failure = parcel.failure
    told = 0 if failure is None else len(failure.text) + len(failure.traceback or "")
    return envelope_size(parcel.envelope) + told
