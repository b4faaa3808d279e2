"""Running a delivery through its middleware."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import msgspec

from ltq._aio import forks
from ltq._aio.callables import is_awaitable
from ltq._aio.cancellation import is_cancelled
from ltq._declared import DeclaredTask
from ltq._display.errors import is_a
from ltq._worker.observed import Observation
from ltq._worker.outcomes import broken, completed, decode_ctx, failed, rejected, tell, unknown
from ltq._worker.protocols import CancelReason, RunListener
from ltq._worker.threads import ThreadCalls
from ltq.broker import Settler
from ltq.context import Context, enter, leave
from ltq.errors import DecodeError, RejectError
from ltq.message import Delivery, Failure, Lease, Message, Outcome, Requeue
from ltq.middleware import Middleware
from ltq.middleware._order import run_order
from ltq.options import SendConfig
from ltq.task import Task

logger = logging.getLogger("ltq.worker")

_MIDDLEWARE_GRACE = 1.0
"""Seconds after a task's deadline at which its middleware is cancelled as well; and seconds that
each observer has then."""

_NO_OPTIONS = SendConfig()


class _Route:
    """What running a task takes that can be prepared once."""

    def __init__(self, task: Task[..., Any], middlewares: Sequence[Middleware]) -> None:
        self.task = task
        self.codec = DeclaredTask.of(task).codec
        observers, self._all = run_order(middlewares)
        declared = {*task.options}
        self.observers = [m for m in observers if not m.options or m.options & declared]
        self._declared = [m for m in self._all if not m.options or m.options & declared]

    def chain(self, options: SendConfig) -> Sequence[Middleware]:
        """The middleware that applies to a message with these options."""
        if options.max_tries is None:
            return self._declared
        return [m for m in self._all if m in self._declared or "max_tries" in m.options]


class _End(NamedTuple):
    """How a run ended."""

    outcome: Outcome
    error: BaseException | None
    """What it ended with; None if it completed."""


class Executor:
    """Runs deliveries of known tasks through their middleware, and decides their outcomes."""

    def __init__(
        self,
        tasks: Mapping[str, Task[..., Any]],
        middlewares: Sequence[Middleware],
        settler: Settler,
        *,
        threads: ThreadCalls,
        listener: RunListener,
    ) -> None:
        self._routes: dict[str, _Route] = {}
        for task in tasks.values():
            route = _Route(task, middlewares)
            self._routes |= dict.fromkeys(DeclaredTask.of(task).names, route)
        self._settler = settler
        self._threads = threads
        self._listener = listener
        self._generation = forks.generation

    def abandon(
        self, delivery: Delivery, reason: CancelReason | None, error: BaseException
    ) -> Outcome | None:
        """The outcome of a delivery whose run was cancelled, or failed unexpectedly.

        Returns None if there is nothing to write because the task no longer belongs to this worker.
        """
        if reason is CancelReason.REVOKED or reason is CancelReason.LOST:
            return None
        with_the_worker = is_a(error, asyncio.CancelledError) and self._listener.is_cancelled
        if reason is None and not with_the_worker:
            route = self._routes.get(delivery.task_name)
            return broken(None if route is None else route.task, delivery, error)
        if self._listener.dies(delivery.lease):
            return None
        return Requeue(delivery.lease, front=True)

    async def run(self, delivery: Delivery) -> Outcome:
        """Run a delivery and return its outcome.

        Raises `asyncio.CancelledError` if it is cancelled, and what fails outside of the task.
        """
        route = self._routes.get(delivery.task_name)
        if route is None:
            return unknown(delivery)
        message, unreadable = _message(route, delivery)
        context = Context(message, delivery.lease, self._settler, self._listener.lease_lost)
        enter(context)
        try:
            if route.observers:
                return await self._observed(route, delivery, message, unreadable)
            return (await self._attempt(route, delivery, message, unreadable)).outcome
        finally:
            context.close()
            leave()

    async def _observed(
        self,
        route: _Route,
        delivery: Delivery,
        message: Message[Any],
        unreadable: RejectError | None,
    ) -> Outcome:
        """Run a delivery with its observers around it, which see how it ended in the end."""
        patience = None if delivery.timeout is None else _MIDDLEWARE_GRACE
        observation = Observation(route.observers, patience)
        try:
            await observation.begin(message, route.task)
            end = await self._attempt(route, delivery, message, unreadable)
        except BaseException as error:
            await observation.end(message, self._seen(delivery.lease, error))
            raise
        await observation.end(message, self._seen(delivery.lease, end.error))
        return end.outcome

    def _seen(self, lease: Lease, error: BaseException | None) -> BaseException | None:
        """What observers see of a run that ended with this error, or with a result."""
        reason = self._listener.cancel_reason(lease)
        if reason in (CancelReason.REVOKED, CancelReason.LOST):
            return asyncio.CancelledError()  # whatever it still returned does not count
        is_cut = reason is not None or self._listener.is_cancelled
        if is_a(error, asyncio.CancelledError) and not is_cut:
            return RuntimeError("cancelled by something other than its worker")
        return error

    async def _attempt(
        self,
        route: _Route,
        delivery: Delivery,
        message: Message[Any],
        unreadable: RejectError | None,
    ) -> _End:
        """Run a delivery through its middleware, and decide its outcome."""
        task = route.task
        if unreadable is not None:
            tell(logging.WARNING, "%s %s %s", task.name, message.id, unreadable)
            outcome = rejected(task, delivery, Failure("DecodeError", str(unreadable)))
            return _End(outcome, unreadable)
        is_loud = logger.isEnabledFor(logging.DEBUG)
        if is_loud:
            text = "%s %s begins, attempt %d"
            tell(logging.DEBUG, text, task.name, message.id, message.tries + 1)
        try:
            result = await self._call(route, message, delivery)
            encoded = route.codec.encode_result(result)
        except BaseException as error:  # whatever it is, it ends this run and nothing else
            if is_a(error, asyncio.CancelledError) and is_cancelled():
                raise
            return _End(failed(task, delivery, message, error), error)
        if is_loud:
            tell(logging.DEBUG, "%s %s completed", task.name, message.id)
        return _End(completed(task, delivery, encoded), None)

    async def _call(self, route: _Route, message: Message[Any], delivery: Delivery) -> Any:
        chain, lease, timeout = route.chain(message.options), delivery.lease, delivery.timeout
        if timeout is None:
            if not chain:
                return await self._invoke(route.task, message, lease)
            return await self._through(route.task, chain, message, lease, None)
        deadline = asyncio.get_running_loop().time() + timeout
        async with asyncio.timeout_at(deadline + _MIDDLEWARE_GRACE) as guard:
            limit = _Limit(timeout, deadline, guard)
            return await self._through(route.task, chain, message, lease, limit)

    async def _through(
        self,
        task: Task[..., Any],
        chain: Sequence[Middleware],
        message: Message[Any],
        lease: Lease,
        limit: "_Limit | None",
    ) -> Any:
        if not chain:
            return await self._limited(task, message, lease, limit)
        async with AsyncExitStack() as stack:
            for middleware in chain:
                await stack.enter_async_context(middleware(message, task))
            return await self._limited(task, message, lease, limit)

    async def _limited(
        self,
        task: Task[..., Any],
        message: Message[Any],
        lease: Lease,
        limit: "_Limit | None",
    ) -> Any:
        if limit is None:
            return await self._invoke(task, message, lease)
        scope = asyncio.timeout_at(limit.deadline)
        limit.guard_middleware(None)
        try:
            async with scope:
                return await self._invoke(task, message, lease, scope)
        except TimeoutError as error:
            if scope.expired():
                text = f"did not end within its timeout of {limit.timeout:g} s"
                raise TimeoutError(text) from error
            raise
        finally:
            limit.guard_middleware(_MIDDLEWARE_GRACE)

    async def _invoke(
        self,
        task: Task[..., Any],
        message: Message[Any],
        lease: Lease,
        scope: asyncio.Timeout | None = None,
    ) -> Any:
        try:
            if task.is_async:
                given = task.fn(*message.args, **message.kwargs)
            else:
                given = await self._threads.call(task.fn, message.args, message.kwargs)
            while is_awaitable(given):
                given = await given
        except asyncio.CancelledError as error:
            if scope is None or not scope.expired():
                self._check_cancelled(lease, error)
            raise
        finally:
            if forks.generation != self._generation:
                forks.end_fork()
        return given

    def _check_cancelled(self, lease: Lease, error: asyncio.CancelledError) -> None:
        """Raise what a cancelled task fails with, unless it is the worker that cancels it.

        So it was cancelled by its own code, or by the end of an event loop that it broke.
        """
        breaker = self._listener.loop_breaker(lease)
        if breaker is None and self._listener.is_cut(lease):
            return
        has_raised_it = not is_cancelled()
        running = asyncio.current_task()
        while running is not None and running.cancelling():
            running.uncancel()  # its middleware goes on as after any other error
        if breaker is not None:
            raise breaker
        if has_raised_it:
            text = "the task raised CancelledError although it was not cancelled"
            raise RuntimeError(text) from error


class _Limit(NamedTuple):
    """The timeout of a run: the task is cancelled at its deadline, and its middleware sees that.

    Middleware that itself hangs is cancelled by the guard, a little later.
    """

    timeout: float
    deadline: float
    """By the event loop's clock."""
    guard: asyncio.Timeout

    def guard_middleware(self, seconds: float | None) -> None:
        """Let the guard act after so many seconds from now, or, with None, not at all.

        Not while the task runs: after a blocked event loop both would be due at once, and no
        middleware could retry the task.
        """
        if not self.guard.expired():
            now = asyncio.get_running_loop().time()
            self.guard.reschedule(None if seconds is None else max(now, self.deadline) + seconds)


def _message(route: _Route, delivery: Delivery) -> tuple[Message[Any], RejectError | None]:
    """The message of a delivery. If it cannot be decoded, one without arguments and the error."""
    ctx: dict[str, Any] = {}
    try:
        args, kwargs = route.codec.decode_call(delivery.body)
        ctx, unreadable = decode_ctx(delivery), None
    except (DecodeError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        args, kwargs = (), {}
        unreadable = RejectError(f"cannot be decoded: {error}")
        unreadable.__cause__ = error
    message = Message(
        args,
        kwargs,
        delivery.task_name,
        ctx,
        delivery.lease.id,
        _NO_OPTIONS
        if delivery.max_tries is None and delivery.result_ttl is None
        else SendConfig(max_tries=delivery.max_tries, result_ttl=delivery.result_ttl),
        delivery.tries,
        delivery.enqueue_time,
        delivery.dequeue_time,
    )
    return message, unreadable
