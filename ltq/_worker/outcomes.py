"""The outcome of a delivery, decided from how its run ended. Nothing is written here."""

import logging
import os
import traceback
from contextlib import suppress
from types import TracebackType
from typing import Any

from ltq._display.errors import cause_of, is_a, name_of, text_of
from ltq._display.values import short_repr
from ltq._flow.followed import FollowedFinish
from ltq._flow.values import waiter_of
from ltq._sender.follow_ups import FollowUps
from ltq._text import cut
from ltq.broker.flows import FLOW_KEYS, flow_in, is_in_flow, with_flow
from ltq.codec import DEFAULT_SERIALIZER
from ltq.errors import ExhaustedError, RejectError, RetryError
from ltq.message import Delivery, Failure, Finish, Message, Outcome, Requeue, encode_ctx
from ltq.message import decode_ctx as read_ctx
from ltq.names import is_name
from ltq.options import DEFAULT_RESULT_TTL, seconds
from ltq.state import Status
from ltq.task import Task

logger = logging.getLogger("ltq.worker")

_ENTRY_LIMIT = 4096
"""Most bytes of one entry of a traceback, so that a long error text leaves room for the frames."""

_UNKNOWN_PAUSE = 60.0
"""Seconds after which an unknown task that was given all the same may be claimed again."""

_COMPLETED = Status.COMPLETED  # Python 3.11 takes as long to look up a member as for three calls

_HERE = os.path.dirname(__file__)


def tell(level: int, text: str, *args: object, error: BaseException | None = None) -> None:
    """Log what happens to a run. What users' log handlers raise does not change how it ends."""
    if logger.isEnabledFor(level):
        with suppress(BaseException):
            info = None if error is None else (type(error), error, _users(error.__traceback__))
            logger.log(level, text, *args, exc_info=info, stacklevel=2)


def decode_ctx(delivery: Delivery) -> dict[str, Any]:
    """The message's `ctx`. Raises `msgspec.DecodeError` or `ValueError` for wrong bytes.

    Middleware does not see what it says of a workflow.
    """
    ctx = read_ctx(delivery.ctx) if delivery.ctx else {}
    for key in FLOW_KEYS:
        ctx.pop(key, None)
    return ctx


def new_ctx(delivery: Delivery, message: Message[Any] | None) -> bytes | None:
    """The `ctx` that a run leaves, for its outcome; None if that is what it found.

    What cannot travel is left out, and logged. What it says of a workflow stays as it is.
    """
    if message is None or not (message.ctx or delivery.ctx):
        return None
    try:
        flow = flow_in(delivery.ctx)
        own = {key: value for key, value in message.ctx.items() if key not in FLOW_KEYS}
        ctx, wrong = encode_ctx(own)
    except Exception:  # a thread that goes on may write to it
        return None
    if wrong:
        name, task_id = message.task_name, message.id
        tell(logging.WARNING, "%s %s: what cannot travel is left out: %s", name, task_id, wrong)
    ctx = with_flow(ctx, flow) if flow else ctx
    return None if ctx == delivery.ctx else ctx


def put_back(delivery: Delivery, message: Message[Any] | None, *, delay: float = 0.0) -> Requeue:
    """The outcome of a run that counts for nothing: the task runs again, and keeps its `ctx`."""
    return Requeue(
        delivery.lease,
        delay=delay,
        front=delay == 0,
        ctx=new_ctx(delivery, message),
        is_void=True,
    )


def completed(
    task: Task[..., Any],
    delivery: Delivery,
    result: bytes,
    serializer: str = DEFAULT_SERIALIZER,
    follow_ups: FollowUps | None = None,
) -> Finish:
    """The outcome of a run that returned, with what it sends because of that."""
    ttl = task.result_ttl if delivery.result_ttl is None else delivery.result_ttl
    flow = _flow(delivery) if delivery.ctx else b""
    waiter = waiter_of(delivery.lease.queue, flow) if flow and follow_ups is None else None
    if follow_ups is not None:
        return FollowedFinish(
            delivery.lease,
            _COMPLETED,
            result,
            result_ttl=ttl,
            serializer=serializer,
            flow=flow,
            follow=follow_ups.complete(),
            sends=follow_ups,
        )
    # By position, as names cost more; the others have their defaults.
    lease = delivery.lease
    return Finish(
        lease, _COMPLETED, result, None, ttl, False, serializer, None, False, flow, b"", waiter
    )


def failed(
    task: Task[..., Any], delivery: Delivery, message: Message[Any], error: BaseException
) -> Outcome:
    """The outcome of a run that raised an error: another run, a rejection, or a failure."""
    lease, ctx = delivery.lease, new_ctx(delivery, message)
    if is_a(error, RetryError):
        delay = seconds("RetryError.delay", error.delay, zero=True)
        text = "%s %s runs again in %.3f s: %s"
        tell(logging.INFO, text, task.name, lease.id, delay, text_of(error))
        failure = _failure(cause_of(error))
        return Requeue(lease, delay=delay, failed=True, ctx=ctx, failure=failure)
    if is_a(error, RejectError):
        failure = Failure("RejectError", text_of(error))
        tell(logging.WARNING, "%s %s is rejected: %s", task.name, lease.id, failure.text)
        return rejected(task, delivery, failure, ctx=ctx)
    cause = cause_of(error) if is_a(error, ExhaustedError) else error
    failure = _failure(cause)
    tell(logging.ERROR, "%s %s failed: %s", task.name, lease.id, failure.text, error=cause)
    return _dead(task, delivery, Status.FAILED, failure, ctx=ctx)


def exhausted(task: Task[..., Any], message: Message[Any], error: BaseException) -> BaseException:
    """What a run ended with: a wish for another run counts for nothing once all tries are used up.

    `MaxTries` has seen to that already, unless the wish came from outside of it.
    """
    most = message.options.max_tries or task.config.max_tries
    if most is None or message.tries + 1 < most or not is_a(error, RetryError):
        return error
    spent = ExhaustedError()
    spent.__cause__ = cause_of(error)
    return spent


def too_old(
    task: Task[..., Any],
    delivery: Delivery,
    message: Message[Any],
    error: RejectError,
    last: Failure | None,
) -> Finish:
    """The outcome of a run that is rejected as too old. It keeps the error of the last run."""
    text, trace = f"{text_of(error)} (delays and retries count)", None
    if last is not None:
        text, trace = f"{text}; the last error was {last.text}", last.traceback
    tell(logging.WARNING, "%s %s is rejected: %s", task.name, message.id, text)
    failure = Failure("RejectError", text, trace)
    return rejected(task, delivery, failure, ctx=new_ctx(delivery, message))


def broken(
    task: Task[..., Any] | None,
    delivery: Delivery,
    error: BaseException,
    message: Message[Any] | None = None,
) -> Outcome:
    """The outcome of a run that failed outside of the task and its middleware."""
    failure = _failure(error)
    tell(logging.ERROR, "%s %s failed: %s", delivery.task_name, delivery.lease.id, failure.text)
    return _dead(task, delivery, Status.FAILED, failure, ctx=new_ctx(delivery, message))


def rejected(
    task: Task[..., Any],
    delivery: Delivery,
    failure: Failure,
    *,
    ctx: bytes | None = None,
    is_poison: bool = False,
) -> Finish:
    """The outcome of a run that is rejected, or that does not begin."""
    return _dead(task, delivery, Status.REJECTED, failure, ctx=ctx, is_poison=is_poison)


def unwritable(outcome: Outcome, error: Exception) -> Finish:
    """The outcome in place of one that the broker refuses, as it is too large for instance."""
    if isinstance(outcome, Finish):
        what, size, ttl = outcome.status.value, len(outcome.result), outcome.result_ttl
        flow = outcome.flow
    else:
        what, size, ttl = "to be run again", len(outcome.ctx or b""), DEFAULT_RESULT_TTL
        flow = b""
    text = f"BrokerError: the outcome ({what}, {size} bytes) cannot be written: {error}"
    failure = Failure("BrokerError", text)
    return Finish(
        outcome.lease, Status.FAILED, failure=failure, result_ttl=ttl, dead=True, flow=flow
    )


def unknown(delivery: Delivery) -> Outcome:
    """Reject a task with a name that no task can have; requeue any other, for later.

    A claim gives no unknown task, unless very many wait in the queue.
    """
    name = delivery.task_name
    if not is_name(name):
        failure = Failure("", f"unknown task {short_repr(name)}: no task can have this name")
        tell(logging.WARNING, "task %s is rejected: %s", delivery.lease.id, failure.text)
        return _dead(None, delivery, Status.REJECTED, failure)
    return put_back(delivery, None, delay=_UNKNOWN_PAUSE)


def _dead(
    task: Task[..., Any] | None,
    delivery: Delivery,
    status: Status,
    failure: Failure,
    *,
    ctx: bytes | None = None,
    is_poison: bool = False,
) -> Finish:
    """The outcome of a delivery that leaves a dead letter."""
    return Finish(
        delivery.lease,
        status,
        failure=failure,
        result_ttl=_result_ttl(task, delivery),
        dead=True,
        ctx=ctx,
        is_poison=is_poison,
        flow=_flow(delivery),
    )


def _flow(delivery: Delivery) -> bytes:
    """The `ctx` of a delivery, if its task is part of a workflow."""
    return delivery.ctx if delivery.ctx and is_in_flow(delivery.ctx) else b""


def _result_ttl(task: Task[..., Any] | None, delivery: Delivery) -> float:
    """Seconds that the final state is kept: what the send said, else the task's."""
    if delivery.result_ttl is not None:
        return delivery.result_ttl
    return DEFAULT_RESULT_TTL if task is None else task.result_ttl


def _failure(error: BaseException) -> Failure:
    """An error as text. If its `str` raises, its type is all that is kept. Raises nothing."""
    kind, text = name_of(error), text_of(error)
    try:
        lines = traceback.format_exception(type(error), error, _users(error.__traceback__))
        trace = "".join(cut(line, _ENTRY_LIMIT) for line in lines)
    except BaseException:  # whatever the error's own code raises
        trace = None
    return Failure(kind, f"{kind}: {text}" if text else kind, trace)


def _users(trace: TracebackType | None) -> TracebackType | None:
    """A traceback without its first frames in LTQ, which tell a user nothing."""
    first = trace
    while first is not None and first.tb_frame.f_code.co_filename.startswith(_HERE):
        first = first.tb_next
    return first or trace
