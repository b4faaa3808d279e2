"""The deliveries that run in a worker now."""

import asyncio
import logging
import time
from contextlib import suppress
from contextvars import copy_context
from typing import Any

from ltq._aio.clock import Clock
from ltq._worker.isolation import IsolationLimits
from ltq._worker.outliving import OutlivingThreads
from ltq._worker.parts import CancelReason, LeaseBook, OutcomeWriter, Runner
from ltq._worker.threads import ThreadCalls
from ltq.events import EventKind, EventStream
from ltq.message import Delivery, Lease, Outcome, Requeue

logger = logging.getLogger("ltq.worker")

_EVENTS = {
    CancelReason.REVOKED: EventKind.CANCELLED,
    CancelReason.LOST: EventKind.LOST,
}
"""What is told of a run that ended without an outcome."""


class _Run:
    """One delivery, and the asyncio task that runs it."""

    __slots__ = ("began", "cancel_reason", "delivery", "has_begun", "task")

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.has_begun = False
        self.began: float | None = None
        """When, if somebody wants to know."""
        self.cancel_reason: CancelReason | None = None
        self.task: asyncio.Task[None] | None = None


class TaskPool:
    """Runs at most `limit` deliveries at once, each in an asyncio task of its own.

    A delivery comes from the fetcher; the `runner` runs it and decides its outcome, and the
    `writer` gets that. Its lease is held meanwhile; where there is no outcome, it is released
    here.

    The tasks see the context variables that were set where the pool was made: the value of the
    worker's lifespan is one of them.

    Fewer run at once beside one that needs isolation, and while a thread outlives its run, which
    keeps its slot.
    """

    def __init__(
        self,
        limit: int,
        *,
        runner: Runner,
        writer: OutcomeWriter,
        leases: LeaseBook,
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
        self._context = copy_context()
        self._running: dict[Lease, _Run] = {}
        self._changed = asyncio.Event()
        self._isolation = IsolationLimits(ended=self._changed.set)
        self._outliving = OutlivingThreads(ended=self._thread_ended)
        self._is_stopping = False
        self.ended: int = 0
        """How many runs have ended so far."""

    @property
    def free(self) -> int:
        """How many more may start."""
        limit = min(self._limit, self._isolation.smallest()) if self._isolation else self._limit
        return max(0, limit - len(self._running) - len(self._outliving))

    @property
    def used(self) -> int:
        """How many run, or wait for their threads to be tried again."""
        if not self._outliving:
            return len(self._running)
        return len(self._running) + self._outliving.waiting

    def start(self, delivery: Delivery) -> None:
        """Hold the lease of a delivery, and run it; after `stop`, give it back to its queue."""
        self._leases.hold(delivery)
        if self._is_stopping:
            self._give_back(delivery)
            return
        run = _Run(delivery)
        self._running[delivery.lease] = run
        if delivery.isolation is not None:
            self._isolation.add(delivery.lease, delivery.isolation)
        run.task = asyncio.create_task(self._run(run), context=self._context.copy())

    def stop(self) -> None:
        """Start nothing from now on. What runs goes on."""
        self._is_stopping = True

    def cancel(self, lease: Lease, reason: CancelReason) -> bool:
        """Cancel one delivery; False if it neither runs nor waits to be tried again here."""
        run = self._running.get(lease)
        if run is None:
            return self._end_retry(lease, reason)
        if run.cancel_reason is None:
            self._cancel(run, reason)
        return True

    def cancel_id(self, task_id: str, reason: CancelReason) -> None:
        """Cancel whatever runs here for a task."""
        for lease in [*self._running, *self._outliving]:
            if lease.id == task_id:
                self.cancel(lease, reason)

    def cancel_all(self, reason: CancelReason) -> None:
        """Cancel everything."""
        for lease in [*self._running, *self._outliving]:
            self.cancel(lease, reason)

    async def wait_changed(self, timeout: float | None = None) -> None:
        """Wait until a run ends or a slot becomes free, at most `timeout` seconds."""
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._changed.wait()

    async def drain(self, timeout: float, *, with_threads: bool = True) -> bool:
        """Wait until nothing runs, at most `timeout` seconds; return whether nothing does.

        `with_threads` says whether threads count whose runs are over.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self._running or (with_threads and self._outliving):
                    await self.wait_changed()
                return True
        return False

    def running(self) -> list[Delivery]:
        """The deliveries that run."""
        return [run.delivery for run in self._running.values()]

    def delivery_of(self, task: "asyncio.Task[Any] | None") -> Delivery | None:
        """The delivery that an asyncio task runs. From any thread."""
        for run in list(self._running.values()):
            if run.task is task:
                return run.delivery
        return None

    async def _run(self, run: _Run) -> None:
        run.has_begun = True
        delivery = run.delivery
        if self._events.is_heard:
            run.began = self._clock()
            self._events.started(delivery)
        outcome: Outcome | None
        try:
            outcome = await self._runner.run(delivery)
            if run.cancel_reason in (CancelReason.REVOKED, CancelReason.LOST):
                outcome = None
        except asyncio.CancelledError as cancelled:
            outcome = self._runner.abandon(delivery, run.cancel_reason, cancelled)
        except Exception as error:
            logger.exception("task %s: running it failed unexpectedly", delivery.lease.id)
            outcome = self._runner.abandon(delivery, None, error)
        self._end(run, outcome)

    def _cancel(self, run: _Run, reason: CancelReason) -> None:
        run.cancel_reason = reason
        if run.task is not None:
            run.task.cancel()
        if not run.has_begun:  # then the coroutine never runs, and cannot tell
            cancelled = asyncio.CancelledError()
            self._end(run, self._runner.abandon(run.delivery, reason, cancelled))

    def _end(self, run: _Run, outcome: Outcome | None) -> None:
        """A run is over: free its slot and settle the outcome, unless its thread goes on."""
        lease = run.delivery.lease
        del self._running[lease]
        if self._events.is_heard:
            self._tell_end(run, outcome)
        thread = self._threads.left_behind()
        if thread is None:
            self._free_slot(lease)
            self._settle(lease, outcome)
            return
        retry = outcome if isinstance(outcome, Requeue) and run.cancel_reason is None else None
        if retry is None:
            self._settle(lease, outcome)
        self._outliving.add(run.delivery, thread, retry)
        self._changed.set()

    def _thread_ended(self, lease: Lease, retry: Requeue | None) -> None:
        if retry is not None:
            self._settle(lease, retry)
        self._free_slot(lease)

    def _end_retry(self, lease: Lease, reason: CancelReason) -> bool:
        """Settle a retry without waiting for its thread; False if none waits."""
        retry = self._outliving.take_retry(lease)
        if retry is None:
            return False
        self._settle(lease, retry if reason is CancelReason.SHUTDOWN else None)
        self._changed.set()
        return True

    def _free_slot(self, lease: Lease) -> None:
        self._isolation.discard(lease)
        self._changed.set()

    def _settle(self, lease: Lease, outcome: Outcome | None) -> None:
        self.ended += 1
        if outcome is None:
            self._leases.release(lease)
        else:
            self._writer.submit(outcome)

    def _give_back(self, delivery: Delivery) -> None:
        outcome = Requeue(delivery.lease, front=True)
        if self._events.is_heard:
            self._events.ended(delivery, outcome)
        self._writer.submit(outcome)

    def _tell_end(self, run: _Run, outcome: Outcome | None) -> None:
        duration = None if run.began is None else self._clock() - run.began
        if outcome is not None:
            self._events.ended(run.delivery, outcome, duration)
        elif run.cancel_reason in _EVENTS:
            self._events.ended(run.delivery, _EVENTS[run.cancel_reason], duration)
