"""Running a delivery through its middleware."""

import asyncio
import contextvars
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import Any

import msgspec

from ltq._declared import DeclaredTask
from ltq._worker.outcomes import broken, completed, decode_ctx, failed, rejected, unknown
from ltq.broker import Settler
from ltq.context import Context, enter, leave
from ltq.errors import DecodeError
from ltq.message import Delivery, Failure, Lease, Message, Outcome
from ltq.middleware import Middleware
from ltq.options import SendConfig
from ltq.task import Task

logger = logging.getLogger("ltq.worker")

_MIDDLEWARE_GRACE = 1.0
"""Seconds after a task's deadline at which its middleware is cut as well."""

_NO_OPTIONS = SendConfig()


class _Route:
    """A task as this worker runs it: what can be prepared once."""

    def __init__(self, task: Task[..., Any], middlewares: Sequence[Middleware]) -> None:
        self.task = task
        self.codec = DeclaredTask.of(task).codec
        self._all = list(middlewares)
        self._declared = [m for m in middlewares if not m.options or m.options & {*task.options}]

    def chain(self, options: SendConfig) -> Sequence[Middleware]:
        """The middleware that has something to do for a message."""
        if options.max_tries is None:
            return self._declared
        return [m for m in self._all if m in self._declared or "max_tries" in m.options]


class Executor:
    """Runs deliveries of known tasks through their middleware.

    A thread cannot be cut: where the run of a plain `def` is over and its thread goes on,
    `outlived` is called with that thread's future, in the run's asyncio task.
    """

    def __init__(
        self,
        tasks: Mapping[str, Task[..., Any]],
        middlewares: Sequence[Middleware],
        settler: Settler,
        *,
        threads: ThreadPoolExecutor,
        lost: Callable[[Lease], None] = lambda _: None,
        outlived: Callable[[Future[Any]], None] = lambda _: None,
    ) -> None:
        self._routes = {name: _Route(task, middlewares) for name, task in tasks.items()}
        self._settler = settler
        self._threads = threads
        self._lost = lost
        self._outlived = outlived

    async def run(self, delivery: Delivery) -> Outcome:
        """Run it; only cancellation is raised."""
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
        context = Context(message, delivery.lease, self._settler, self._lost)
        enter(context)
        is_loud = logger.isEnabledFor(logging.DEBUG)
        if is_loud:
            logger.debug("%s %s begins, attempt %d", task.name, message.id, message.tries + 1)
        try:
            result = await self._call(route, message, delivery.timeout)
            encoded = route.codec.encode_result(result)
        except SystemExit as error:  # it ends a run, not the worker
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
            try:
                return await task.fn(*message.args, **message.kwargs)
            except asyncio.CancelledError as error:
                running = asyncio.current_task()
                if running is not None and running.cancelling():
                    raise
                raise RuntimeError("CancelledError, though nobody had cancelled it") from error
        inside = contextvars.copy_context().run
        thread = self._threads.submit(inside, _call, task.fn, message.args, message.kwargs)
        try:
            return await asyncio.wrap_future(thread)
        except asyncio.CancelledError:
            if not thread.cancel() and not thread.done():  # it has begun, and goes on
                self._outlived(thread)
            raise


def _call(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Call a function in this thread. What a future cannot hold, or means, is another error."""
    try:
        return fn(*args, **kwargs)
    except (StopIteration, asyncio.CancelledError, CancelledError) as error:
        kind = type(error).__name__
        raise RuntimeError(f"{kind}, raised by a function in a thread") from error


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
