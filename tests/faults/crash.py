"""A process that ends itself at a chosen point: what `kill -9` would hit only by luck.

`LTQ_FAULTS_CRASH=<point>[:n]` in the environment of a process that imports `jobs` lets it end with
137 at the n-th time it gets there. Methods of ltq's classes are wrapped from outside for that.
"""

import asyncio
import functools
import os
import threading
from collections.abc import Callable
from typing import Any, Final

from ltq._worker.invoker import Invoker
from ltq._worker.task_pool import TaskPool
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._consumer.consumer import RedisConsumer
from ltq.brokers.redis._scripts.calls import ClaimReply
from ltq.brokers.redis._scripts.script import Script
from ltq.brokers.redis._server.call import Call
from ltq.brokers.redis._server.link import Link

EXIT_CODE: Final = 137
"""What a shell says of a process that `kill -9` ended."""

BEFORE = {
    "claim": "before_claim",
    "finish": "before_ack",
    "heartbeat": "before_heartbeat",
    "sweep": "before_sweep",
    "send": "before_send",
}
"""By script: nothing of it was sent."""

AFTER = {
    "claim": "after_claim_sent",
    "finish": "after_ack_sent",
    "heartbeat": "after_heartbeat",
    "sweep": "after_sweep_sent",
    "send": "after_send_sent",
}
"""By script: it ran on the server, and nobody here has seen its reply."""

POINTS = {
    *BEFORE.values(),
    *AFTER.values(),
    "after_claim",
    "before_user",
    "after_user",
    "after_ack",
    "in_shutdown",
    "in_progress",
}

_UNDER_WAY = 0.002
"""Seconds a write gets to be somewhere on its way."""

Passing = Callable[[str], None]
"""Told each point the process gets to."""


def install(setting: str) -> None:
    """Make this process end where `<point>[:n]` says; nothing where that is empty."""
    if not setting:
        return
    point, _, nth = setting.partition(":")
    if point not in POINTS:
        raise ValueError(f"{point!r} is no crash point: {', '.join(sorted(POINTS))}")
    passing = _end_at(point, int(nth or 1))
    _watch_scripts(passing)
    _watch_answers(passing)
    _watch_user_code(passing)
    _watch_shutdown(passing)
    _watch_progress(passing)


def _end_at(wanted: str, nth: int) -> Passing:
    left, lock = nth, threading.Lock()  # heartbeats have a thread of their own

    def passing(point: str) -> None:
        nonlocal left
        if point != wanted:
            return
        with lock:
            left -= 1
            if left == 0:
                os._exit(EXIT_CODE)

    return passing


def _watch_scripts(passing: Passing) -> None:
    evaluate = Link.evaluate

    @functools.wraps(evaluate)
    async def watched(link: Link, call: Call[Any], **options: Any) -> Any:
        script = _script_of(call)
        passing(BEFORE.get(script, ""))
        reply = await evaluate(link, call, **options)
        if (
            not isinstance(reply, ClaimReply) or reply.deliveries
        ):  # a claim that got nothing is none
            passing(AFTER.get(script, ""))
        return reply

    _replace(Link, "evaluate", watched)


def _script_of(call: Call[Any]) -> str:
    return call.name if isinstance(call, Script) else ""


def _watch_answers(passing: Passing) -> None:
    """What the worker was told, and did nothing with."""
    claim, finish = RedisConsumer.claim, RedisBroker.finish

    @functools.wraps(claim)
    async def claimed(*arguments: Any, **options: Any) -> Any:
        answer = await claim(*arguments, **options)
        if answer.deliveries:
            passing("after_claim")
        return answer

    @functools.wraps(finish)
    async def finished(*arguments: Any, **options: Any) -> Any:
        receipts = await finish(*arguments, **options)
        passing("after_ack")
        return receipts

    _replace(RedisConsumer, "claim", claimed)
    _replace(RedisBroker, "finish", finished)


def _watch_user_code(passing: Passing) -> None:
    call = Invoker._call

    @functools.wraps(call)
    async def called(*arguments: Any, **options: Any) -> Any:
        passing("before_user")
        result = await call(*arguments, **options)
        passing("after_user")
        return result

    _replace(Invoker, "_call", called)


def _watch_shutdown(passing: Passing) -> None:
    """The first outcomes to be written after everything was cancelled."""
    cancel_all, evaluate = TaskPool.cancel_all, Link.evaluate
    stopped = threading.Event()

    @functools.wraps(cancel_all)
    def stopping(*arguments: Any, **options: Any) -> None:
        cancel_all(*arguments, **options)
        stopped.set()

    @functools.wraps(evaluate)
    async def watched(link: Link, call: Call[Any], **options: Any) -> Any:
        if _script_of(call) == "finish" and stopped.is_set():
            passing("in_shutdown")
        return await evaluate(link, call, **options)

    _replace(TaskPool, "cancel_all", stopping)
    _replace(Link, "evaluate", watched)


def _watch_progress(passing: Passing) -> None:
    """A write that has begun, and may be anywhere."""
    progress = RedisBroker.progress

    @functools.wraps(progress)
    async def written(*arguments: Any, **options: Any) -> Any:
        writing = asyncio.ensure_future(progress(*arguments, **options))
        await asyncio.wait([writing], timeout=_UNDER_WAY)  # the task's own time
        passing("in_progress")
        return await writing

    _replace(RedisBroker, "progress", written)


def _replace(owner: type, name: str, function: Callable[..., Any]) -> None:
    setattr(owner, name, function)
