"""The deliveries that a worker runs now."""

import asyncio
import logging
import time
from concurrent.futures import Future
from contextlib import suppress
from contextvars import Context, copy_context
from typing import Any

from ltq._aio.clock import Clock
from ltq._aio.service import spawn
from ltq._display.errors import is_a, name_of
from ltq._worker.isolation import IsolationLimits
from ltq._worker.leftover_threads import LeftoverThreads
from ltq._worker.protocols import CancelReason, HeldLeases, OutcomeWriter, Runner
from ltq._worker.threads import ThreadCalls
from ltq.events import EventKind, EventStream
from ltq.message import Delivery, Failure, Finish, Lease, Outcome, Requeue
from ltq.state import Status

logger = logging.getLogger("ltq.worker")

_EVENTS = {
    CancelReason.REVOKED: EventKind.CANCELLED,
    CancelReason.LOST: EventKind.LOST,
}
"""The event of a run that ended without an outcome."""


class _Run:
    """One delivery, and the asyncio task that runs it."""

    __slots__ = ("began", "cancel_reason", "delivery", "task", "variables", "was_told")

    def __init__(self, delivery: Delivery, variables: Context) -> None:
        self.delivery = delivery
        self.variables = variables
        self.began: float | None = None
        """When it began, by the pool's clock; None before."""
        self.was_told = False
        """Whether listeners to events heard of its beginning."""
        self.cancel_reason: CancelReason | None = None
        self.task: asyncio.Task[None] | None = None


class TaskPool:
    """Runs at most `limit` deliveries at once, each in an asyncio task of its own.

    The fetcher starts deliveries. The `runner` runs each and decides its outcome, which goes to
    the `writer`. The lease is held meanwhile; if there is no outcome, the pool releases it.

    Tasks see the context variables that were set when the pool was made, such as the value of the
    worker's lifespan.

    Fewer than `limit` run beside a task that needs isolation, and while a thread goes on after its
    run: it keeps its slot.
    """

    def __init__(
        self,
        limit: int,
        *,
        runner: Runner,
        writer: OutcomeWriter,
        leases: HeldLeases,
        threads: ThreadCalls,
        events: EventStream,
        clock: Clock = time.monotonic,
    ) -> None:
        self._limit = limit
        self._runner = runner
        self._writer = writer
        self._leases = leases
        self._threads = threads
        self._events = events
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()
        self._running: dict[Lease, _Run] = {}
        self._changed = asyncio.Event()
        threads.on_relief = self._changed.set
        self._isolation = IsolationLimits(ended=self._changed.set)
        self._leftover = LeftoverThreads(ended=self._thread_ended)
        self._is_stopping = False
        self._emptied_at = clock()
        """When the last run ended beside which none went on."""
        self.ended: int = 0
        """How many runs have ended so far."""

    @property
    def free(self) -> int:
        """How many more deliveries may start."""
        limit = min(self._limit, self._isolation.smallest()) if self._isolation else self._limit
        if self._threads.most is not None:
            limit = min(limit, self._threads.most)
        return max(0, limit - len(self._running) - len(self._leftover))

    @property
    def used(self) -> int:
        """How many deliveries run, or wait for a thread to end before their retry."""
        if not self._leftover:
            return len(self._running)
        return len(self._running) + self._leftover.waiting

    @property
    def idle_for(self) -> float:
        """Seconds since nothing runs any more; 0 while something does."""
        return 0.0 if self.used else self._clock() - self._emptied_at

    def start(self, delivery: Delivery) -> None:
        """Hold the lease of a delivery and run it; after `stop`, requeue it instead."""
        self._leases.hold(delivery)
        if self._is_stopping:
            self._put_back(delivery)
            return
        run = _Run(delivery, self._context.copy())
        self._running[delivery.lease] = run
        if delivery.isolation is not None:
            self._isolation.add(delivery.lease, delivery.isolation)
        work, name = self._run(run), delivery.lease.id
        run.task = spawn(work, name=name, context=run.variables, loop=self._loop)

    def stop(self) -> None:
        """Start nothing more. Running tasks go on."""
        self._is_stopping = True

    def cancel(self, lease: Lease, reason: CancelReason) -> bool:
        """Cancel one delivery; return False if it neither runs nor waits for its retry here."""
        run = self._running.get(lease)
        if run is None:
            return self._settle_retry(lease, reason)
        if run.cancel_reason is None:
            self._cancel(run, reason)
        return True

    def cancel_reason(self, lease: Lease) -> CancelReason | None:
        """Why a run was cancelled; None if it was not."""
        run = self._running.get(lease)
        return None if run is None else run.cancel_reason

    def cancel_id(self, task_id: str, reason: CancelReason) -> None:
        """Cancel all deliveries of a task."""
        for lease in [*self._running, *self._leftover]:
            if lease.id == task_id:
                self.cancel(lease, reason)

    def cancel_all(self, reason: CancelReason) -> None:
        """Cancel all deliveries."""
        for lease in [*self._running, *self._leftover]:
            self.cancel(lease, reason)

    async def wait_changed(self, timeout: float | None = None) -> None:
        """Wait at most `timeout` seconds until a run ends or a slot becomes free."""
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._changed.wait()

    def wake(self) -> None:
        """Let `wait_changed` return."""
        self._changed.set()

    async def drain(self, timeout: float, *, with_threads: bool = True) -> bool:
        """Wait at most `timeout` seconds until nothing runs; return whether nothing does.

        `with_threads` says whether to wait also for threads whose runs are over.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self._running or (with_threads and self._leftover):
                    await self.wait_changed()
                return True
        return False

    def running(self) -> list[Delivery]:
        """The running deliveries. From any thread."""
        return [run.delivery for run in list(self._running.values())]

    def all_slots(self) -> list[Delivery]:
        """The running deliveries if they take all slots, else none."""
        return self.running() if len(self._running) >= self._limit else []

    def stalled(self) -> dict[Lease, float | None]:
        """The leases of runs that stand still while the event loop is blocked, and their deadlines.

        All but those in threads. From any thread. Deadlines are by the pool's clock.
        """
        return {
            lease: self._deadline(run)
            for lease, run in list(self._running.items())
            if not self._threads.is_in_call(run.task)
        }

    def _deadline(self, run: _Run) -> float | None:
        """When the timeout of a run is over; None before it begins, or without one."""
        timeout = self._runner.timeout_of(run.delivery)
        return None if timeout is None or run.began is None else run.began + timeout

    def put_back(self, lease: Lease) -> Requeue:
        """The outcome that requeues what runs under a lease. From any thread."""
        run = self._running.get(lease)
        if run is None:
            return Requeue(lease, front=True, is_void=True)
        return self._runner.put_back(run.delivery, run.variables)

    def retries(self) -> list[Requeue]:
        """The retries that wait for a thread to end. From any thread."""
        return self._leftover.retries()

    def delivery_of(self, task: "asyncio.Task[Any] | None") -> Delivery | None:
        """The delivery that an asyncio task runs. From any thread."""
        for run in list(self._running.values()):
            if run.task is task:
                return run.delivery
        return None

    async def _run(self, run: _Run) -> None:
        delivery = run.delivery
        run.began = self._clock()
        outcome: Outcome | None
        try:
            if self._events.is_heard:
                run.was_told = True
                self._events.started(delivery)
            outcome = await self._runner.run(delivery)
            if run.cancel_reason is not None and run.cancel_reason.takes_the_task:
                outcome = None
        except BaseException as error:  # whatever it is, it ends this run and nothing else
            outcome = self._abandon(run, error)
        self._end(run, outcome)

    def _abandon(self, run: _Run, error: BaseException) -> Outcome | None:
        """The outcome of a run that raised. Raises nothing itself."""
        delivery = run.delivery
        if not is_a(error, asyncio.CancelledError):
            with suppress(BaseException):  # users' log handlers
                logger.error(
                    "task %s: running it failed unexpectedly", delivery.lease.id, exc_info=error
                )
        try:
            return self._runner.abandon(delivery, run.cancel_reason, error)
        except BaseException as another:  # of the error's own code
            text = f"{name_of(another)}: raised while the task's error was read"
            failure = Failure(name_of(another), text)
            return Finish(delivery.lease, Status.FAILED, failure=failure, dead=True)

    def _cancel(self, run: _Run, reason: CancelReason) -> None:
        run.cancel_reason = reason
        if run.task is not None:
            run.task.cancel()
        if run.began is None:  # cancelled before its first step, the coroutine never runs
            cancelled = asyncio.CancelledError()
            self._end(run, self._runner.abandon(run.delivery, reason, cancelled))

    def _end(self, run: _Run, outcome: Outcome | None) -> None:
        """End a run: free its slot and settle its outcome, unless its thread goes on."""
        lease = run.delivery.lease
        del self._running[lease]
        if not self._running:
            self._emptied_at = self._clock()
        if self._events.is_heard:
            self._tell_end(run, outcome)
        thread = self._threads.left_behind()
        if thread is not None:
            self._end_before_thread(run, outcome, thread)
            return
        self._isolation.discard(lease)  # what `_free_slot` does: this is for every run
        self._changed.set()
        self._settle(lease, outcome)

    def _end_before_thread(self, run: _Run, outcome: Outcome | None, thread: "Future[Any]") -> None:
        """End a run whose thread goes on, and keeps the slot.

        A retry waits for the thread to end. Everything else is settled now: a final outcome, and
        whatever became of a run that the worker cancelled.
        """
        if isinstance(outcome, Requeue) and run.cancel_reason is None:
            self._leftover.add(run.delivery, thread, retry=outcome)
        else:
            self._settle(run.delivery.lease, outcome)
            self._leftover.add(run.delivery, thread, retry=None)
        self._changed.set()

    def _thread_ended(self, lease: Lease, retry: Requeue | None) -> None:
        if retry is not None:
            self._settle(lease, retry)
        self._free_slot(lease)

    def _settle_retry(self, lease: Lease, reason: CancelReason) -> bool:
        """Settle a retry without waiting for its thread; return False if none waits."""
        retry = self._leftover.take_retry(lease)
        if retry is None:
            return False
        self._settle(lease, None if reason.takes_the_task else retry)
        self._changed.set()
        return True

    def _free_slot(self, lease: Lease) -> None:
        self._isolation.discard(lease)
        self._changed.set()

    def _settle(self, lease: Lease, outcome: Outcome | None) -> None:
        """Hand the outcome to the writer; without an outcome, release the lease."""
        self.ended += 1
        if outcome is None:
            self._leases.release(lease)
        else:
            self._writer.submit(outcome)

    def _put_back(self, delivery: Delivery) -> None:
        outcome = self._runner.put_back(delivery, self._context)
        if self._events.is_heard:
            self._events.ended(delivery, outcome)
        self._writer.submit(outcome)

    def _tell_end(self, run: _Run, outcome: Outcome | None) -> None:
        duration = None
        if run.was_told and run.began is not None:
            duration = self._clock() - run.began
        if outcome is not None:
            self._events.ended(run.delivery, outcome, duration)
        elif run.cancel_reason in _EVENTS:
            self._events.ended(run.delivery, _EVENTS[run.cancel_reason], duration)
