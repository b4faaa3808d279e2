"""Running a delivery through its middleware."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import msgspec

from ltq._aio import forks
from ltq._aio.cancellation import is_cancelled
from ltq._declared import DeclaredTask
from ltq._worker.outcomes import broken, completed, decode_ctx, failed, rejected, unknown
from ltq._worker.protocols import CancelReason, RunListener
from ltq._worker.threads import ThreadCalls
from ltq.broker import Settler
from ltq.context import Context, enter, leave
from ltq.errors import DecodeError
from ltq.message import Delivery, Failure, Lease, Message, Outcome, Requeue
from ltq.middleware import Middleware
from ltq.options import SendConfig
from ltq.task import Task

logger = logging.getLogger("ltq.worker")

_MIDDLEWARE_GRACE = 1.0
"""Seconds after a task's deadline at which its middleware is cancelled as well."""

_NO_OPTIONS = SendConfig()


class _Route:
    """What running a task takes that can be prepared once."""

    def __init__(self, task: Task[..., Any], middlewares: Sequence[Middleware]) -> None:
        self.task = task
        self.codec = DeclaredTask.of(task).codec
        self._all = list(middlewares)
        self._declared = [m for m in middlewares if not m.options or m.options & {*task.options}]

    def chain(self, options: SendConfig) -> Sequence[Middleware]:
        """The middleware that applies to a message with these options."""
        if options.max_tries is None:
            return self._declared
        return [m for m in self._all if m in self._declared or "max_tries" in m.options]


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
        self._routes = {name: _Route(task, middlewares) for name, task in tasks.items()}
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
        with_the_worker = isinstance(error, asyncio.CancelledError) and self._listener.is_cancelled
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
        task = route.task
        try:
            args, kwargs = route.codec.decode_call(delivery.body)
            message = _message(delivery, args, kwargs)
        except (DecodeError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            logger.warning("%s %s cannot be decoded: %s", task.name, delivery.lease.id, error)
            return rejected(task, delivery, Failure("DecodeError", f"cannot be decoded: {error}"))
        context = Context(message, delivery.lease, self._settler, self._listener.lease_lost)
        enter(context)
        is_loud = logger.isEnabledFor(logging.DEBUG)
        if is_loud:
            logger.debug("%s %s begins, attempt %d", task.name, message.id, message.tries + 1)
        try:
            result = await self._call(route, message, delivery)
            encoded = route.codec.encode_result(result)
        except BaseException as error:  # whatever it is, it ends this run and nothing else
            if isinstance(error, asyncio.CancelledError) and is_cancelled():
                raise
            return failed(task, delivery, message, error)
        finally:
            context.close()
            leave()
        if is_loud:
            logger.debug("%s %s completed", task.name, message.id)
        return completed(task, delivery, encoded)

    async def _call(self, route: _Route, message: Message[Any], delivery: Delivery) -> Any:
        chain, lease, timeout = route.chain(message.options), delivery.lease, delivery.timeout
        if timeout is None:
            if not chain:
                return await self._invoke(route.task, message, lease)
            return await self._through(route.task, chain, message, lease, None)
        deadline = asyncio.get_running_loop().time() + timeout
        # The task is cancelled at its deadline, and middleware sees that; middleware that itself
        # hangs is cancelled a little later.
        async with asyncio.timeout_at(deadline + _MIDDLEWARE_GRACE):
            return await self._through(route.task, chain, message, lease, (deadline, timeout))

    async def _through(
        self,
        task: Task[..., Any],
        chain: Sequence[Middleware],
        message: Message[Any],
        lease: Lease,
        limit: tuple[float, float] | None,
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
        limit: tuple[float, float] | None,
    ) -> Any:
        if limit is None:
            return await self._invoke(task, message, lease)
        scope = asyncio.timeout_at(limit[0])
        try:
            async with scope:
                return await self._invoke(task, message, lease, scope)
        except TimeoutError as error:
            if scope.expired():
                raise TimeoutError(f"did not end within its timeout of {limit[1]:g} s") from error
            raise

    async def _invoke(
        self,
        task: Task[..., Any],
        message: Message[Any],
        lease: Lease,
        scope: asyncio.Timeout | None = None,
    ) -> Any:
        try:
            if task.is_async:
                try:
                    return await task.fn(*message.args, **message.kwargs)
                finally:
                    if forks.generation != self._generation:
                        forks.end_fork()
            return await self._threads.call(task.fn, message.args, message.kwargs)
        except asyncio.CancelledError as error:
            if scope is None or not scope.expired():
                self._check_cancelled(lease, error)
            raise

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


def _message(delivery: Delivery, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Message[Any]:
    return Message(
        args,
        kwargs,
        delivery.task_name,
        decode_ctx(delivery),
        delivery.lease.id,
        _NO_OPTIONS
        if delivery.max_tries is None and delivery.result_ttl is None
        else SendConfig(max_tries=delivery.max_tries, result_ttl=delivery.result_ttl),
        delivery.tries,
        delivery.enqueue_time,
        delivery.dequeue_time,
    )
