"""Pausing and resuming queues in Redis, and making delayed tasks pending."""

from collections.abc import Sequence
from contextlib import suppress

from ltq.brokers.redis._operations.chunks import CALL_TASKS
from ltq.brokers.redis._operations.registry import Registry
from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._server.link import Link
from ltq.brokers.redis._server.refusals import RefusedError
from ltq.names import namespace_of, new_id


async def pause(link: Link, registry: Registry, queue: str) -> None:
    """See `Steering.pause`. A server whose memory is full knows the namespace most often."""
    namespace = namespace_of(queue)
    with suppress(RefusedError):
        await registry.write(namespace)
    await link.evaluate(calls.PauseCall(prefix=link.keys.prefix(namespace), queues=[queue]))


async def resume(link: Link, queue: str) -> None:
    """See `Steering.resume`."""
    prefix = link.keys.prefix(namespace_of(queue))
    await link.evaluate(calls.ResumeCall(prefix=prefix, queues=[queue]))


async def promote(link: Link, queue: str, ids: Sequence[str]) -> int:
    """See `Steering.promote`."""
    prefix, call_id, promoted = link.keys.prefix(namespace_of(queue)), new_id(), 0
    each = [*dict.fromkeys(ids)]
    for start in range(0, len(each), CALL_TASKS):
        chunk = each[start : start + CALL_TASKS]
        call = calls.PromoteCall(prefix=prefix, queue=queue, call=call_id, ids=chunk)
        promoted += await link.evaluate(call)
    return promoted
