"""Running a delivery, and deciding its outcome."""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import msgspec

from ltq._aio.cancellation import is_cancellation
from ltq._declared import DeclaredTask
from ltq._display.errors import is_a
from ltq._worker.invoker import Invoker
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

_M = TypeVar("_M", bound=Middleware)

_NO_OPTIONS = SendConfig()

_End: TypeAlias = tuple[Outcome, BaseException | None]
"""How a run ended: its outcome, and the error that it ended with, or None if it completed."""


class _Route:
    """What running a task takes that can be prepared once."""

    def __init__(self, task: Task[..., Any], middlewares: Sequence[Middleware]) -> None:
        self.task = task
        self.codec = DeclaredTask.of(task).codec
        observers, others = run_order(middlewares)
        declared = {*task.options}
        self.observers = _applying(observers, declared)
        self._chain = _applying(others, declared)
        self._chain_with_tries = _applying(others, {*declared, "max_tries"})

    def chain(self, options: SendConfig) -> Sequence[Middleware]:
        """The middleware that applies to a message with these options."""
        return self._chain if options.max_tries is None else self._chain_with_tries


def _applying(middlewares: Iterable[_M], declared: set[str]) -> list[_M]:
    """The middleware that implements no option, or one of those that are declared."""
    return [one for one in middlewares if not one.options or one.options & declared]


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
        self._listener = listener
        self._invoker = Invoker(threads, listener)

    def abandon(
        self, delivery: Delivery, reason: CancelReason | None, error: BaseException
    ) -> Outcome | None:
        """The outcome of a delivery whose run was cancelled, or failed unexpectedly.

        Returns None if there is nothing to write because the task no longer belongs to this worker.
        """
        if reason is not None and reason.takes_the_task:
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
            outcome, _ = await self._attempt(route, delivery, message, unreadable)
            return outcome
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
        observation = Observation(route.observers, has_timeout=delivery.timeout is not None)
        try:
            await observation.begin(message, route.task)
            outcome, raised = await self._attempt(route, delivery, message, unreadable)
        except BaseException as error:
            await observation.end(message, self._seen(delivery.lease, error))
            raise
        await observation.end(message, self._seen(delivery.lease, raised))
        return outcome

    def _seen(self, lease: Lease, error: BaseException | None) -> BaseException | None:
        """What observers see of a run that ended with this error, or with a result."""
        reason = self._listener.cancel_reason(lease)
        if reason is not None and reason.takes_the_task:
            return asyncio.CancelledError()  # whatever it still returned does not count
        if is_a(error, asyncio.CancelledError) and not self._listener.cancels(lease):
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
            return outcome, unreadable
        is_loud = logger.isEnabledFor(logging.DEBUG)
        if is_loud:
            text = "%s %s begins, attempt %d"
            tell(logging.DEBUG, text, task.name, message.id, message.tries + 1)
        try:
            chain = route.chain(message.options)
            result = await self._invoker.invoke(task, chain, message, delivery)
            encoded = route.codec.encode_result(result)
        except BaseException as error:  # whatever it is, it ends this run and nothing else
            if is_cancellation(error):
                raise
            return failed(task, delivery, message, error), error
        if is_loud:
            tell(logging.DEBUG, "%s %s completed", task.name, message.id)
        return completed(task, delivery, encoded), None


def _message(route: _Route, delivery: Delivery) -> tuple[Message[Any], RejectError | None]:
    """The message of a delivery. If it cannot be decoded, one without arguments and the error."""
    unreadable: RejectError | None = None
    try:
        args, kwargs = route.codec.decode_call(delivery.body)
        ctx = decode_ctx(delivery)
    except (DecodeError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        args, kwargs, ctx = (), {}, {}
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
