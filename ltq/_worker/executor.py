"""Running a delivery, and deciding its outcome."""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from contextvars import Context as Variables
from contextvars import copy_context
from typing import Any, NamedTuple, TypeAlias, TypeVar

import msgspec

from ltq._aio.cancellation import is_cancellation, uncancel
from ltq._aio.cycles import break_cycles
from ltq._codec.codec import UnknownSerializerError
from ltq._declared import DeclaredTask
from ltq._display.errors import is_a
from ltq._worker.invoker import Invoker
from ltq._worker.observed import Observation
from ltq._worker.outcomes import (
    broken,
    completed,
    decode_ctx,
    exhausted,
    failed,
    put_back,
    rejected,
    tell,
    too_old,
    unknown,
)
from ltq._worker.protocols import CancelReason, RunListener, RunStore
from ltq._worker.streaming.streams import StreamRuns
from ltq._worker.threads import ThreadCalls
from ltq.broker.isolation import cause_of_death, deaths_left
from ltq.context import Context, _follow_ups, enter, leave, message_in
from ltq.errors import BrokerError, DecodeError, RejectError
from ltq.message import Delivery, Failure, Lease, Message, Outcome, Requeue
from ltq.middleware import Middleware
from ltq.middleware._order import run_order
from ltq.middleware.max_age import TooOldError
from ltq.options import SendConfig
from ltq.task import Task

logger = logging.getLogger("ltq.worker")

_M = TypeVar("_M", bound=Middleware)

_NO_OPTIONS = SendConfig()

_LONGEST_PAUSE = 32.0
"""Most seconds for which a task is requeued that another worker may be able to read."""

_NO_THREAD_PAUSE = 1.0
"""Seconds for which a task is requeued if no thread could be started for it."""

_End: TypeAlias = tuple[Outcome, BaseException | None]
"""How a run ended: its outcome, and the error that it ended with, or None if it completed."""


class _Refusal(NamedTuple):
    """Why a delivery is not run."""

    error: RejectError
    failure: Failure
    is_poison: bool = False


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

    def timeout(self, delivery: Delivery) -> float | None:
        """Seconds that a run may take: the send's, else the task's."""
        return self.task.config.timeout if delivery.timeout is None else delivery.timeout

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
        store: RunStore,
        *,
        threads: ThreadCalls,
        listener: RunListener,
        log_completed: bool = False,
    ) -> None:
        """With `log_completed` each task that completes is a line of level INFO, else of DEBUG."""
        self._log_completed = log_completed
        self._loop = asyncio.get_running_loop()
        self._routes: dict[str, _Route] = {}
        for task in tasks.values():
            route = _Route(task, middlewares)
            self._routes |= dict.fromkeys(DeclaredTask.of(task).names, route)
        self._store = store
        self._listener = listener
        self._threads = threads
        streams = StreamRuns(store, threads.call, listener.lease_lost)
        self._invoker = Invoker(threads, listener, streams)
        self._told: set[tuple[str, str]] = set()
        """Names of tasks with the serializers that could not be read."""

    def timeout_of(self, delivery: Delivery) -> float | None:
        """Seconds that the run of a delivery may take; None for no limit."""
        route = self._routes.get(delivery.task_name)
        return delivery.timeout if route is None else route.timeout(delivery)

    def put_back(self, delivery: Delivery, variables: Variables) -> Requeue:
        """The outcome that requeues a delivery, from the context variables of its run."""
        return put_back(delivery, message_in(variables, delivery.lease))

    def abandon(
        self, delivery: Delivery, reason: CancelReason | None, error: BaseException
    ) -> Outcome | None:
        """The outcome of a delivery whose run was cancelled, or failed unexpectedly.

        Returns None if there is nothing to write because the task no longer belongs to this worker.
        """
        if reason is not None and reason.takes_the_task:
            return None
        message = message_in(copy_context(), delivery.lease)
        with_the_worker = is_a(error, asyncio.CancelledError) and self._listener.is_cancelled
        if reason is None and not with_the_worker:
            route = self._routes.get(delivery.task_name)
            return broken(None if route is None else route.task, delivery, error, message)
        if self._listener.dies(delivery.lease):
            return None
        return put_back(delivery, message)

    async def run(self, delivery: Delivery) -> Outcome:
        """Run a delivery and return its outcome.

        Raises `asyncio.CancelledError` if it is cancelled, and what fails outside of the task.
        """
        route = self._routes.get(delivery.task_name)
        if route is None:
            return unknown(delivery)
        try:
            message, refusal = _message(route, delivery)
        except UnknownSerializerError as error:
            return self._cannot_read(delivery, error)
        lost, loop = self._listener.lease_lost, self._loop
        context = Context(message, delivery.lease, self._store, lost, loop)
        enter(context)
        raised: BaseException | None = None
        try:
            if route.observers:
                outcome, raised = await self._observed(route, delivery, message, refusal)
            else:
                outcome, raised = await self._attempt(route, delivery, message, refusal)
            if raised is not None:
                break_cycles(raised)
            return outcome
        finally:
            del raised  # its traceback may keep this frame, too
            if self._threads.refused:
                self._threads.was_refused()  # nobody has asked if the run was cancelled
            context.close()
            leave()

    async def _observed(
        self,
        route: _Route,
        delivery: Delivery,
        message: Message[Any],
        refusal: _Refusal | None,
    ) -> _End:
        """Run a delivery with its observers around it, which see how it ended in the end."""
        has_timeout = route.timeout(delivery) is not None
        observation = Observation(route.observers, has_timeout=has_timeout)
        try:
            await observation.begin(message, route.task)
            outcome, raised = await self._attempt(route, delivery, message, refusal)
        except BaseException as error:
            await observation.end(message, self._seen(delivery.lease, error))
            raise
        try:
            await observation.end(message, self._seen(delivery.lease, raised))
            return outcome, raised
        finally:
            del raised  # its traceback may keep this frame

    def _seen(self, lease: Lease, error: BaseException | None) -> BaseException | None:
        """What observers see of a run that ended with this error, or with a result."""
        reason = self._listener.cancel_reason(lease)
        if reason is not None and reason.takes_the_task:
            return asyncio.CancelledError()  # whatever it still returned does not count
        return error

    async def _attempt(
        self,
        route: _Route,
        delivery: Delivery,
        message: Message[Any],
        refusal: _Refusal | None,
    ) -> _End:
        """Run a delivery through its middleware, and decide its outcome."""
        task = route.task
        if refusal is not None:
            error, failure, is_poison = refusal
            tell(logging.WARNING, "%s %s is rejected: %s", task.name, message.id, error)
            return rejected(task, delivery, failure, is_poison=is_poison), error
        is_loud = logger.isEnabledFor(logging.DEBUG)
        began = time.monotonic() if is_loud or self._log_completed else None
        if is_loud:
            text = "%s %s begins, attempt %d"
            tell(logging.DEBUG, text, task.name, message.id, message.tries + 1)
        raised: BaseException
        try:
            chain, timeout = route.chain(message.options), route.timeout(delivery)
            result = await self._invoker.invoke(task, chain, message, delivery.lease, timeout)
            encoded = route.codec.encode_result(result)
        except BaseException as error:  # whatever it is, it ends this run and nothing else
            if self._is_cancelled(delivery.lease, error):
                raise
            raised = _own(error)
        else:
            if self._threads.refused and self._threads.was_refused():  # middleware swallowed it
                return self._without_thread(delivery, message)
            if began is not None:
                level = logging.INFO if self._log_completed else logging.DEBUG
                duration = time.monotonic() - began
                tell(level, "%s %s completed in %.3f s", task.name, message.id, duration)
            serializer = route.codec.serializer
            return completed(task, delivery, encoded, serializer, _follow_ups()), None
        try:
            return await self._failed(task, delivery, message, raised)
        finally:
            del raised  # its traceback has this frame

    def _is_cancelled(self, lease: Lease, error: BaseException) -> bool:
        """Whether an error means that the worker cancels the run, or that the loop broke."""
        if not is_cancellation(error):
            return False
        return self._listener.cancels(lease) or self._listener.loop_breaker(lease) is not None

    async def _failed(
        self,
        task: Task[..., Any],
        delivery: Delivery,
        message: Message[Any],
        error: BaseException,
    ) -> _End:
        if self._threads.was_refused():
            return self._without_thread(delivery, message)
        if is_a(error, TooOldError):
            last = await self._last_failure(delivery) if delivery.tries else None
            return too_old(task, delivery, message, error, last), error
        error = exhausted(task, message, error)
        return failed(task, delivery, message, error), error

    async def _last_failure(self, delivery: Delivery) -> Failure | None:
        """The error of the last run that failed, if it is still known."""
        lease = delivery.lease
        try:
            (state,) = await self._store.states(lease.queue, [lease.id])
        except BrokerError as error:
            logger.debug("the last error of task %s cannot be read: %s", lease.id, error)
            return None
        if state is None or state.error is None:
            return None
        return Failure(state.error_type or "", state.error, state.traceback)

    def _without_thread(self, delivery: Delivery, message: Message[Any]) -> _End:
        """Put a task back for which there was no thread. To observers it was not run."""
        text = "%s %s is requeued for %g s, and fewer run at once: no thread can be started for it"
        pause = _NO_THREAD_PAUSE
        tell(logging.WARNING, text, message.task_name, message.id, pause)
        return put_back(delivery, message, delay=pause), asyncio.CancelledError()

    def _cannot_read(self, delivery: Delivery, error: UnknownSerializerError) -> Outcome:
        """Requeue a task whose arguments another worker may be able to read.

        A claim gives none, unless its serializer has no valid name, or very many lanes are in use.
        """
        kind = delivery.task_name, delivery.serializer
        level = logging.DEBUG if kind in self._told else logging.WARNING
        self._told.add(kind)
        pause = min(_LONGEST_PAUSE, 2.0 ** min(delivery.dequeue_count - 1, 60))
        text = "%s %s is requeued for %g s: another worker may be able to read it: %s"
        tell(level, text, delivery.task_name, delivery.lease.id, pause, error)
        return put_back(delivery, None, delay=pause)


def _message(route: _Route, delivery: Delivery) -> tuple[Message[Any], _Refusal | None]:
    """The message of a delivery. If it is not to be run, one without arguments, and why not.

    Raises `UnknownSerializerError`.
    """
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    ctx: dict[str, Any] = {}
    refusal = _poison(route, delivery) if delivery.deaths else None
    if refusal is None:
        try:
            args, kwargs = route.codec.decode_call(delivery.body, delivery.serializer)
            if delivery.ctx:
                ctx = decode_ctx(delivery)
        except UnknownSerializerError:
            raise
        except (DecodeError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            refusal = _unreadable(error)
            args, kwargs = (), {}
    message = Message(
        args,
        kwargs,
        delivery.task_name,
        ctx,
        delivery.lease.id,
        _options(delivery),
        delivery.tries,
        delivery.enqueue_time,
        delivery.dequeue_time,
        delivery.dequeue_count,
        delivery.tags,
    )
    return message, refusal


def _options(delivery: Delivery) -> SendConfig:
    """What the send said, as far as it matters to a run."""
    tries, ttl, items = delivery.max_tries, delivery.result_ttl, delivery.max_items
    if tries is None and ttl is None and items is None:
        return _NO_OPTIONS
    return SendConfig(max_tries=tries, result_ttl=ttl, max_items=items)


def _own(error: BaseException) -> BaseException:
    """The error with which a run fails that its worker does not cancel."""
    if not is_cancellation(error):
        return error
    uncancel()
    cancelled = RuntimeError("cancelled by something other than its worker")
    cancelled.__cause__ = error
    return cancelled


def _unreadable(error: Exception) -> _Refusal:
    reason = RejectError(f"cannot be decoded: {error}")
    reason.__cause__ = error
    return _Refusal(reason, Failure("DecodeError", str(reason)))


def _poison(route: _Route, delivery: Delivery) -> _Refusal | None:
    """Why a task is not run that workers died under too often; None if it may be run."""
    most = delivery.max_deliveries or route.task.config.max_deliveries
    if deaths_left(delivery.deaths, most) > 0:
        return None
    failure = cause_of_death(delivery.deaths)
    return _Refusal(RejectError(failure.text), failure, is_poison=True)
