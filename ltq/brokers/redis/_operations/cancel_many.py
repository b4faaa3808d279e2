"""Cancelling tasks in Redis, many of them step by step, and sending final ones once more."""

from collections.abc import AsyncIterator, Sequence

from ltq.broker.reruns import NOT_KEPT, check_reruns, not_final
from ltq.broker.selection import Selection
from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._server.info import server_time
from ltq.brokers.redis._server.link import Link
from ltq.errors import TaskNotFoundError
from ltq.names import namespace_of, new_id
from ltq.options import DEFAULT_RESULT_TTL, Priority
from ltq.state import Status

_STEP_TASKS = 100
"""Most tasks that one step looks at: a long script blocks all other clients."""

_OVERLAP = 10
"""How many tasks are looked at once more, as others may have left the place meanwhile."""


async def cancel(link: Link, queue: str, task_id: str, result_ttl: float) -> bool:
    """See `Inspector.cancel`."""
    call = calls.CancelCall(
        prefix=link.keys.prefix(namespace_of(queue)),
        id=task_id,
        result_ttl=result_ttl,
        notes=link.notes,
    )
    answer = await link.evaluate(call)
    if answer is calls.CancelAnswer.GONE:
        raise TaskNotFoundError(task_id)
    return answer is calls.CancelAnswer.CANCELLED


async def cancel_many(link: Link, queue: str, selection: Selection) -> int:
    """See `Steering.cancel_many`."""
    namespace, call_id = namespace_of(queue), new_id()
    before = await server_time(link) - selection.older_than
    cancelled = step = 0
    async for status, member in _places(link, namespace, queue, selection):
        offset = 0
        while True:
            step += 1
            call = calls.CancelManyCall(
                prefix=link.keys.prefix(namespace),
                call=call_id,
                step=step,
                queue=queue,
                status=status.value,
                member=member,
                offset=offset,
                limit=_STEP_TASKS,
                task_name=selection.task_name or "",
                tag=selection.tag or "",
                before=f"{before:.6f}",
                result_ttl=DEFAULT_RESULT_TTL,
                notes=link.notes,
            )
            count, looked, left = await link.evaluate(call)
            cancelled += count
            if looked < _STEP_TASKS:
                break
            offset = max(0, offset + looked - left - _OVERLAP)
    return cancelled


async def _places(
    link: Link, namespace: str, queue: str, selection: Selection
) -> AsyncIterator[tuple[Status, str]]:
    """Where they may be, and in which ready list.

    Meanwhile delayed ones may become pending, and claims may move some from the queue's lane to
    others: so in this order.
    """
    if Status.DELAYED in selection.statuses:
        yield Status.DELAYED, ""
    if Status.WORKING in selection.statuses:
        yield Status.WORKING, ""
    if Status.PENDING in selection.statuses:
        for priority in Priority:
            yield Status.PENDING, f"{priority:d}:{queue}"
        own = await link.call("ZRANGE", link.keys.queue_lanes(namespace, queue), 0, -1)
        for lane in own:
            for priority in Priority:
                yield Status.PENDING, f"{priority:d}:{lane.decode('utf-8', 'replace')}"


async def rerun(link: Link, queue: str, ids: Sequence[str]) -> list[str]:
    """See `Steering.rerun`."""
    new_ids = [new_id() for _ in ids]
    pairs = [name for pair in zip(ids, new_ids, strict=True) for name in pair]
    prefix = link.keys.prefix(namespace_of(queue))
    answers = await link.evaluate(calls.RerunCall(prefix=prefix, queue=queue, tasks=pairs))
    reasons: dict[str, str] = {}
    for task_id, answer in zip(ids, answers, strict=True):
        if answer == "gone":
            raise TaskNotFoundError(task_id)
        if answer == "empty":
            reasons[task_id] = NOT_KEPT
        elif answer not in ("created", ""):
            reasons[task_id] = not_final(Status(answer))
    check_reruns(reasons)
    return new_ids
