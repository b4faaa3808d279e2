"""The outcome of a delivery, decided from how its run ended. Nothing is written here."""

import logging
import os
import traceback
from contextlib import suppress
from types import TracebackType
from typing import Any

import msgspec

from ltq._display.errors import cause_of, is_a, name_of, text_of
from ltq._text import cut
from ltq.errors import ExhaustedError, RejectError, RetryError
from ltq.message import Delivery, Failure, Finish, Message, Outcome, Requeue
from ltq.options import DEFAULT_RESULT_TTL, seconds
from ltq.state import Status
from ltq.task import Task

logger = logging.getLogger("ltq.worker")

_ENTRY_LIMIT = 4096
"""Most bytes of one entry of a traceback, so that a long error text leaves room for the frames."""

_UNKNOWN_PAUSE, _UNKNOWN_TRIES = 1.0, 6
"""The first pause, in seconds, before an unknown task is claimed again, and how often it is put
back. The pause doubles each time."""

_HERE = os.path.dirname(__file__)

_CTX_UNKNOWN = "ltq.unknown"

_encode_ctx = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(dict[str, Any])


def tell(level: int, text: str, *args: object, error: BaseException | None = None) -> None:
    """Log what happens to a run. What users' log handlers raise does not change how it ends."""
    if logger.isEnabledFor(level):
        with suppress(BaseException):
            info = None if error is None else (type(error), error, _users(error.__traceback__))
            logger.log(level, text, *args, exc_info=info, stacklevel=2)


def decode_ctx(delivery: Delivery) -> dict[str, Any]:
    """The message's `ctx`. Raises `msgspec.DecodeError` or `ValueError` for wrong bytes."""
    return _decoder.decode(delivery.ctx) if delivery.ctx else {}


def result_ttl(task: Task[..., Any], delivery: Delivery) -> float:
    return task.result_ttl if delivery.result_ttl is None else delivery.result_ttl


def completed(task: Task[..., Any], delivery: Delivery, result: bytes) -> Finish:
    """The outcome of a run that returned."""
    ttl = result_ttl(task, delivery)
    return Finish(delivery.lease, Status.COMPLETED, result=result, result_ttl=ttl)


def failed(
    task: Task[..., Any], delivery: Delivery, message: Message[Any], error: BaseException
) -> Outcome:
    """The outcome of a run that raised an error: another run, a rejection, or a failure."""
    lease = delivery.lease
    if is_a(error, RetryError):
        delay = seconds("RetryError.delay", error.delay, zero=True)
        text = "%s %s runs again in %.3f s: %s"
        tell(logging.INFO, text, task.name, lease.id, delay, text_of(error))
        return Requeue(
            lease,
            delay=delay,
            failed=True,
            ctx=_encode_ctx(message.ctx) if message.ctx or delivery.ctx else None,
            failure=_failure(cause_of(error)),
        )
    if is_a(error, RejectError):
        failure = Failure("RejectError", text_of(error))
        tell(logging.WARNING, "%s %s is rejected: %s", task.name, lease.id, failure.text)
        return rejected(task, delivery, failure)
    cause = cause_of(error) if is_a(error, ExhaustedError) else error
    failure = _failure(cause)
    tell(logging.ERROR, "%s %s failed: %s", task.name, lease.id, failure.text, error=cause)
    return Finish(
        lease,
        Status.FAILED,
        failure=failure,
        result_ttl=result_ttl(task, delivery),
        dead=True,
    )


def broken(task: Task[..., Any] | None, delivery: Delivery, error: BaseException) -> Outcome:
    """The outcome of a run that failed outside of the task and its middleware."""
    failure = _failure(error)
    ttl = DEFAULT_RESULT_TTL if task is None else result_ttl(task, delivery)
    return Finish(delivery.lease, Status.FAILED, failure=failure, result_ttl=ttl, dead=True)


def rejected(task: Task[..., Any], delivery: Delivery, failure: Failure) -> Finish:
    ttl = result_ttl(task, delivery)
    return Finish(delivery.lease, Status.REJECTED, failure=failure, result_ttl=ttl, dead=True)


def unwritable(outcome: Outcome, error: Exception) -> Finish:
    """The outcome in place of one that the broker refuses, as it is too large for instance."""
    if isinstance(outcome, Finish):
        what, size, ttl = outcome.status.value, len(outcome.result), outcome.result_ttl
    else:
        what, size, ttl = "to be run again", len(outcome.ctx or b""), DEFAULT_RESULT_TTL
    text = f"BrokerError: the outcome ({what}, {size} bytes) cannot be written: {error}"
    failure = Failure("BrokerError", text)
    return Finish(outcome.lease, Status.FAILED, failure=failure, result_ttl=ttl, dead=True)


def unknown(delivery: Delivery) -> Outcome:
    """Put back a task that this worker does not know but another may; reject it in the end."""
    name, task_id = delivery.task_name, delivery.lease.id
    try:
        ctx = decode_ctx(delivery)
        sent, count = ctx.get(_CTX_UNKNOWN, (delivery.enqueue_time, 0))
        count = max(0, int(count)) + 1 if sent == delivery.enqueue_time else 1
    except (msgspec.DecodeError, ValueError, TypeError):
        ctx, count = {}, 1
    if count > _UNKNOWN_TRIES:
        failure = Failure("", f"unknown task {name!r}: no worker of this queue knows it")
        return Finish(delivery.lease, Status.REJECTED, failure=failure, dead=True)
    delay = _UNKNOWN_PAUSE * 2.0 ** (count - 1)
    text = "task %s needs the unknown task %r: put back for %g s"
    tell(logging.WARNING, text, task_id, name, delay)
    ctx[_CTX_UNKNOWN] = (delivery.enqueue_time, count)  # a replay counts anew
    return Requeue(delivery.lease, delay=delay, ctx=_encode_ctx(ctx))


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
