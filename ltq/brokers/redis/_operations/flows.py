"""Workflows in Redis: endings of tasks, and what arrives at those that wait for them."""

import asyncio
from collections.abc import Sequence
from typing import TypeVar

from ltq.broker.flows import Arrival, Arrived, Ending, Ready, WaitingTask
from ltq.brokers.redis._operations.chunks import CALL_TASKS
from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._scripts.arguments import failure_fields
from ltq.brokers.redis._scripts.script import flag
from ltq.brokers.redis._server.call import Argument, Call
from ltq.brokers.redis._server.link import Link
from ltq.brokers.redis._server.refusals import WrongTypeError
from ltq.brokers.redis._server.replicas import Replicated
from ltq.names import namespace_of
from ltq.options import DEFAULT_RESULT_TTL
from ltq.state import Status

R = TypeVar("R")

_REPLICATED_WITHIN = 0.7
"""Seconds that a call waits for replicas that leads a workflow on."""

_MOST_CHANGED = 100
"""Most tasks of one call that changes them: a long script blocks all other clients."""


async def endings(link: Link, queue: str, limit: int, older_than: float) -> list[Ending]:
    """See `Flows.endings`."""
    prefix = link.keys.prefix(namespace_of(queue))
    if not await link.call("HLEN", link.keys.endings(namespace_of(queue))):
        return []  # mostly: an idle worker asks for little
    call = calls.EndingsCall(prefix=prefix, older_than=older_than, limit=limit)
    return (await link.evaluate(call))[:limit]


async def carried(link: Link, queue: str, keys: Sequence[str]) -> None:
    """See `Flows.carried`."""
    prefix = link.keys.prefix(namespace_of(queue))
    for first in range(0, len(keys), CALL_TASKS):
        some = [*keys[first : first + CALL_TASKS]]
        await link.evaluate(calls.CarriedCall(prefix=prefix, keys=some))


async def arrive(link: Link, queue: str, arrivals: Sequence[Arrival]) -> list[Arrived]:
    """See `Flows.arrive`."""
    prefix = link.keys.prefix(namespace_of(queue))
    answers: list[Arrived] = []
    for first in range(0, len(arrivals), _MOST_CHANGED):
        words: list[Argument] = []
        for one in arrivals[first : first + _MOST_CHANGED]:
            flags = f"{'failed ' if one.failed else ''}{'revives' if one.revives else ''}"
            words += (one.id, one.slot, one.of, flags, one.ending, one.value)
        call = calls.ArriveCall(
            prefix=prefix, result_ttl=DEFAULT_RESULT_TTL, notes=link.notes, arrivals=words
        )
        waits = any(not one.ending for one in arrivals[first : first + _MOST_CHANGED])
        answers += await link.evaluate(_kept(link, queue, call) if waits else call)
    return answers


async def held(link: Link, queue: str, task_id: str, slots: Sequence[int]) -> WaitingTask | None:
    """See `Flows.held`."""
    prefix = link.keys.prefix(namespace_of(queue))
    return await link.evaluate(calls.HeldCall(prefix=prefix, id=task_id, slots=[*slots]))


async def read_ctx(link: Link, queue: str, task_id: str) -> bytes | None:
    """See `Flows.ctx`."""
    key = link.keys.task(namespace_of(queue), task_id)
    try:
        status, ctx = await link.call("HMGET", key, "status", "ctx")
    except WrongTypeError:  # it is no hash
        return None
    if status is None:
        return None
    return ctx or b""


async def go_on(link: Link, queue: str, task_id: str, ready: Ready) -> bool:
    """See `Flows.go_on`."""
    status, fields = Status.PENDING, list[Argument]()
    if ready.failure is not None:
        status, fields = Status.REJECTED, failure_fields(ready.failure)
    elif ready.result is not None:
        status, fields = Status.COMPLETED, ["result", ready.result]
    call = calls.GoOnCall(
        prefix=link.keys.prefix(namespace_of(queue)),
        id=task_id,
        status=status.value,
        body=ready.body or b"",
        result_ttl=DEFAULT_RESULT_TTL,
        notes=link.notes,
        fields=fields,
    )
    return await link.evaluate(_kept(link, queue, call))


async def cancel_each(link: Link, queue: str, ids: Sequence[str], result_ttl: float) -> int:
    """See `Flows.cancel_each`."""
    prefix, cancelled = link.keys.prefix(namespace_of(queue)), 0
    for first in range(0, len(ids), _MOST_CHANGED):
        some = [*ids[first : first + _MOST_CHANGED]]
        cancelled += await link.evaluate(
            calls.CancelEachCall(prefix=prefix, result_ttl=result_ttl, notes=link.notes, ids=some)
        )
    return cancelled


async def restart(link: Link, queue: str, ids: Sequence[str], *, is_held: bool) -> int:
    """See `Flows.restart`."""
    prefix, count = link.keys.prefix(namespace_of(queue)), 0
    for first in range(0, len(ids), _MOST_CHANGED):
        some = [*ids[first : first + _MOST_CHANGED]]
        call = calls.RestartCall(prefix=prefix, is_held=flag(is_held), ids=some)
        count += await link.evaluate(_kept(link, queue, call))
    return count


def _kept(link: Link, queue: str, call: Call[R]) -> Call[R]:
    """The same call, that waits for replicas if sends do.

    What it does is done because of an ending that is removed after it: perhaps on another server,
    which has no replica that loses it. While there is no replica, there is none that could take
    over: so workflows go on without. One that is only slow may take over and lose it.
    """
    if not link.replicas:
        return call
    until = asyncio.get_running_loop().time() + _REPLICATED_WITHIN
    mark = link.keys.replicated(namespace_of(queue))
    return Replicated(call, link.replicas, mark, until, is_required=False)
