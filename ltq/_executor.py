"""Running a delivery, and deciding what becomes of it. Nothing is written here."""

import asyncio
import contextvars
import functools
import logging
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import Any

import msgspec

from ltq.broker import Settler
from ltq.context import Context, enter
from ltq.errors import DecodeError, ExhaustedError, RejectError, RetryError
from ltq.message import Delivery, Failure, Finish, Message, Outcome, Requeue
from ltq.middleware import Middleware
from ltq.options import DEFAULT_RESULT_TTL, Dispatch
from ltq.state import Status
from ltq.task import Task

logger = logging.getLogger("ltq.worker")

_TRACEBACK_LIMIT = 16_000
"""Characters of a traceback that are kept: its end, where the error is."""

_UNKNOWN_PAUSE, _UNKNOWN_TRIES = 1.0, 6
"""An unknown task is put back with a doubling pause, so many times."""

_MIDDLEWARE_GRACE = 1.0
"""Seconds after a task's deadline at which its middleware is cut as well."""

_CTX_UNKNOWN = "ltq.unknown"

_NO_OPTIONS = Dispatch()

_decode_ctx = msgspec.json.Decoder(dict[str, Any]).decode
_encode_ctx = msgspec.json.Encoder().encode


class _Route:
    """A task as this worker runs it: what can be prepared once."""

    def __init__(self, task: Task[..., Any], middlewares: Sequence[Middleware]) -> None:
        self.task = task
        self._all = list(middlewares)
        self._declared = [m for m in middlewares if not m.options or m.options & {*task.options}]

    def chain(self, options: Dispatch) -> Sequence[Middleware]:
        """The middleware that has something to do for a message."""
        if options.max_tries is None:
            return self._declared
        return [m for m in self._all if m in self._declared or "max_tries" in m.options]


class Executor:
    """Runs deliveries of known tasks through their middleware."""

    def __init__(
        self,
        tasks: Mapping[str, Task[..., Any]],
        middlewares: Sequence[Middleware],
        settler: Settler,
        *,
        threads: ThreadPoolExecutor,
        lifespan: Any = None,
    ) -> None:
        self._routes = {name: _Route(task, middlewares) for name, task in tasks.items()}
        self._settler = settler
        self._threads = threads
        self._lifespan = lifespan

    async def run(self, delivery: Delivery) -> Outcome:
        """Run it; only cancellation is raised."""
        route = self._routes.get(delivery.task_name)
        if route is None:
            return _unknown(delivery)
        task = route.task
        try:
            args, kwargs = task.codec.decode_call(delivery.body)
            message = _message(delivery, args, kwargs)
        except (DecodeError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            logger.warning("%s %s cannot be decoded: %s", task.name, delivery.lease.id, error)
            return _reject(task, delivery, Failure("DecodeError", f"cannot be decoded: {error}"))
        context = Context(message, delivery.lease, self._settler, self._lifespan)
        enter(context)
        try:
            result = await self._call(route, message, delivery.timeout)
            encoded = task.codec.encode_result(result)
        except Exception as error:
            return _failed(task, delivery, message, error)
        finally:
            context.close()
        ttl = _result_ttl(task, delivery)
        return Finish(delivery.lease, Status.COMPLETED, result=encoded, result_ttl=ttl)

    async def _call(self, route: _Route, message: Message[Any], timeout: float | None) -> Any:
        chain = route.chain(message.options)
        if timeout is None:
            return await self._through(route.task, chain, message, None)
        deadline = asyncio.get_running_loop().time() + timeout
        # The task is cut at its deadline, where middleware still sees it; middleware that hangs
        # itself is cut a little later.
        async with asyncio.timeout_at(deadline + _MIDDLEWARE_GRACE):
            return await self._through(route.task, chain, message, (deadline, timeout))

    async def _through(
        self,
        task: Task[..., Any],
        chain: Sequence[Middleware],
        message: Message[Any],
        limit: tuple[float, float] | None,
    ) -> Any:
        if not chain:
            return await self._limited(task, message, limit)
        async with AsyncExitStack() as stack:
            for middleware in chain:
                await stack.enter_async_context(middleware(message, task))
            return await self._limited(task, message, limit)

    async def _limited(
        self, task: Task[..., Any], message: Message[Any], limit: tuple[float, float] | None
    ) -> Any:
        if limit is None:
            return await self._invoke(task, message)
        scope = asyncio.timeout_at(limit[0])
        try:
            async with scope:
                return await self._invoke(task, message)
        except TimeoutError as error:
            if scope.expired():
                raise TimeoutError(f"did not end within its timeout of {limit[1]:g} s") from error
            raise

    async def _invoke(self, task: Task[..., Any], message: Message[Any]) -> Any:
        if task.is_async:
            return await task.fn(*message.args, **message.kwargs)
        call = functools.partial(task.fn, *message.args, **message.kwargs)
        inside = functools.partial(contextvars.copy_context().run, call)
        return await asyncio.get_running_loop().run_in_executor(self._threads, inside)


def _message(delivery: Delivery, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Message[Any]:
    return Message(
        args,
        kwargs,
        delivery.task_name,
        _decode_ctx(delivery.ctx) if delivery.ctx else {},
        delivery.lease.id,
        _NO_OPTIONS
        if delivery.max_tries is None and delivery.result_ttl is None
        else Dispatch(max_tries=delivery.max_tries, result_ttl=delivery.result_ttl),
        delivery.tries,
        delivery.enqueue_time,
    )


def _result_ttl(task: Task[..., Any], delivery: Delivery) -> float:
    return task.result_ttl if delivery.result_ttl is None else delivery.result_ttl


def _failed(
    task: Task[..., Any], delivery: Delivery, message: Message[Any], error: Exception
) -> Outcome:
    """What an error means: another run, a rejection, or the end."""
    lease = delivery.lease
    if isinstance(error, RetryError):
        delay = max(0.0, error.delay)
        logger.info("%s %s runs again in %.3f s: %s", task.name, lease.id, delay, error)
        return Requeue(
            lease,
            delay=delay,
            failed=True,
            ctx=_encode_ctx(message.ctx) if message.ctx or delivery.ctx else None,
            failure=_failure(error.__cause__ or error),
        )
    if isinstance(error, RejectError):
        logger.warning("%s %s is rejected: %s", task.name, lease.id, error)
        return _reject(task, delivery, Failure("RejectError", str(error)))
    cause = error.__cause__ if isinstance(error, ExhaustedError) and error.__cause__ else error
    logger.error("%s %s failed: %r", task.name, lease.id, cause, exc_info=cause)
    return Finish(
        lease,
        Status.FAILED,
        failure=_failure(cause),
        result_ttl=_result_ttl(task, delivery),
        dead=True,
    )


def abandoned(task: Task[..., Any] | None, delivery: Delivery) -> Outcome:
    """The outcome of a run that was cancelled, but not by its worker: it failed."""
    failure = Failure("CancelledError", "CancelledError: the task cancelled itself")
    ttl = DEFAULT_RESULT_TTL if task is None else _result_ttl(task, delivery)
    return Finish(delivery.lease, Status.FAILED, failure=failure, result_ttl=ttl, dead=True)


def _reject(task: Task[..., Any], delivery: Delivery, failure: Failure) -> Finish:
    ttl = _result_ttl(task, delivery)
    return Finish(delivery.lease, Status.REJECTED, failure=failure, result_ttl=ttl, dead=True)


def _unknown(delivery: Delivery) -> Outcome:
    """A task nobody here knows may be another worker's: put it back for it, but not for ever."""
    name, task_id = delivery.task_name, delivery.lease.id
    try:
        ctx = _decode_ctx(delivery.ctx) if delivery.ctx else {}
        count = int(ctx.get(_CTX_UNKNOWN, 0)) + 1
    except (msgspec.DecodeError, ValueError, TypeError):
        ctx, count = {}, 1
    if count > _UNKNOWN_TRIES:
        failure = Failure("", f"unknown task {name!r}: no worker of this queue knows it")
        return Finish(delivery.lease, Status.REJECTED, failure=failure, dead=True)
    delay = _UNKNOWN_PAUSE * 2.0 ** (count - 1)
    logger.warning("task %s is for the unknown %r: put back for %g s", task_id, name, delay)
    ctx[_CTX_UNKNOWN] = count
    return Requeue(delivery.lease, delay=delay, ctx=_encode_ctx(ctx))


def _failure(error: BaseException) -> Failure:
    """An error as text; one that cannot even say its own text is told without it."""
    kind = type(error).__name__
    try:
        text = str(error)
    except Exception:
        text = "(its text cannot be had)"
    try:
        trace = "".join(traceback.format_exception(error))[-_TRACEBACK_LIMIT:]
    except Exception:
        trace = None
    return Failure(kind, f"{kind}: {text}" if text else kind, trace)
