"""Running a delivery through its middleware."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import msgspec

from ltq._aio.callables import is_awaitable
from ltq._declared import DeclaredTask
from ltq._worker.outcomes import broken, completed, decode_ctx, failed, rejected, unknown
from ltq._worker.protocols import CancelReason, RunListener
from ltq._worker.threads import ThreadCalls
from ltq.broker import Settler
from ltq.context import Context, enter, leave
from ltq.errors import DecodeError
from ltq.message import Delivery, Failure, Message, Outcome, Requeue
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

    def abandon(
        self, delivery: Delivery, reason: CancelReason | None, error: BaseException
    ) -> Outcome | None:
        """The outcome of a delivery whose run was cancelled, or failed unexpectedly.

        Returns None if there is nothing to write because the task no longer belongs to this worker.
        """
        with_the_worker = isinstance(error, asyncio.CancelledError) and self._listener.is_cancelled
        if reason is CancelReason.SHUTDOWN or (reason is None and with_the_worker):
            return Requeue(delivery.lease, front=True)
        if reason is None:
            route = self._routes.get(delivery.task_name)
            return broken(None if route is None else route.task, delivery, error)
        return None

    async def run(self, delivery: Delivery) -> Outcome:
        """Run a delivery and return its outcome. Raises nothing but `asyncio.CancelledError`."""
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
            result = await self._call(route, message, delivery.timeout)
            encoded = route.codec.encode_result(result)
        except SystemExit as error:  # it ends the run, not the worker
            return broken(task, delivery, error)
        except Exception as error:
            return failed(task, delivery, message, error)
        finally:
            context.close()
            leave()
        if is_loud:
            logger.debug("%s %s completed", task.name, message.id)
        return completed(task, delivery, encoded)

    async def _call(self, route: _Route, message: Message[Any], timeout: float | None) -> Any:
        chain = route.chain(message.options)
        if timeout is None:
            if not chain:
                return await self._invoke(route.task, message)
            return await self._through(route.task, chain, message, None)
        deadline = asyncio.get_running_loop().time() + timeout
        # The task is cancelled at its deadline, and middleware sees that; middleware that itself
        # hangs is cancelled a little later.
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
            given = task.fn(*message.args, **message.kwargs)
        else:
            given = await self._threads.call(task.fn, message.args, message.kwargs)
        while is_awaitable(given):
            try:
                given = await given
            except asyncio.CancelledError as error:
                running = asyncio.current_task()
                if running is not None and running.cancelling():
                    raise
                raise RuntimeError(
                    "the task raised CancelledError although it was not cancelled"
                ) from error
        return given


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
