"""The deliveries that run in a worker now."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from enum import Enum, auto
from functools import partial
from typing import Any

from ltq.broker.isolation import ISOLATION
from ltq.events import EventKind, EventStream
from ltq.message import Delivery, Lease, Outcome, Requeue

logger = logging.getLogger("ltq.worker")


class CancelReason(Enum):
    """Why a running task is cancelled by its worker."""

    SHUTDOWN = auto()
    """The worker ends: the task goes back to its queue."""
    REVOKED = auto()
    """The task was cancelled: it is final."""
    LOST = auto()
    """The lease is lost: the task is somebody else's."""


_KINDS = {
    CancelReason.REVOKED: EventKind.CANCELLED,
    CancelReason.LOST: EventKind.LOST,
}


class _Running:
    __slots__ = ("began", "begun", "delivery", "held", "stop", "task", "thread")

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.begun = False
        self.began: float | None = None
        """When, if somebody wants to know."""
        self.stop: CancelReason | None = None
        self.task: asyncio.Task[None] | None = None
        self.thread: Future[Any] | None = None
        """The thread that goes on although the run is over."""
        self.held: Outcome | None = None
        """What is settled once that thread has ended."""


class TaskPool:
    """At most `limit` deliveries at once, each in an asyncio task of its own.

    Fewer while one runs that needs small company, for `ISOLATION` seconds at most.
    `run` decides what becomes of a delivery; `settle` is told. Where it is cancelled or fails
    itself, `abandon` decides instead.

    A run that is over while its thread goes on keeps its slot until that ends. What became of it
    is settled at once, but for another try: that waits, so that it does not run beside itself.
    """

    def __init__(
        self,
        limit: int,
        *,
        run: Callable[[Delivery], Awaitable[Outcome]],
        abandon: Callable[[Delivery, CancelReason | None, BaseException], Outcome | None],
        settle: Callable[[Delivery, Outcome | None], None],
        events: EventStream,
    ) -> None:
        self._limit = limit
        self._run = run
        self._abandon = abandon
        self._settle = settle
        self._events = events
        self._running: dict[Lease, _Running] = {}
        self._outlived: dict[Lease, _Running] = {}
        self._isolated: dict[Lease, int] = {}
        self._changed: asyncio.Event = asyncio.Event()

    @property
    def free(self) -> int:
        """How many more may start."""
        limit = min(self._limit, *self._isolated.values()) if self._isolated else self._limit
        return max(0, limit - len(self._running) - len(self._outlived))

    @property
    def used(self) -> int:
        """How many run, or wait for their threads to be tried again."""
        if not self._outlived:
            return len(self._running)
        return len(self._running) + sum(one.held is not None for one in self._outlived.values())

    def start(self, delivery: Delivery) -> None:
        """Run a delivery in a slot."""
        running = _Running(delivery)
        self._running[delivery.lease] = running
        running.task = asyncio.create_task(self._occupy(running))
        if delivery.isolation is not None:
            self._isolated[delivery.lease] = delivery.isolation
            running.task.get_loop().call_later(ISOLATION, self._admit_all, delivery.lease)

    async def wait_changed(self, timeout: float | None = None) -> None:
        """Wait until a slot becomes free, at most `timeout` seconds."""
        self._changed.clear()
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            return

    def stop_one(self, lease: Lease, reason: CancelReason) -> bool:
        """Cancel one delivery; False if it does not run here (any more)."""
        running = self._running.get(lease)
        if running is not None:
            self._cancel(running, reason)
            return True
        outlived = self._outlived.get(lease)
        return outlived is not None and self._settle_held(outlived, reason)

    def outlived_by(self, thread: "Future[Any]") -> None:
        """Called in a run that is over while its thread goes on: keep its slot until that ends."""
        here = asyncio.current_task()
        for running in self._running.values():
            if running.task is here:
                running.thread = thread

    def stop_id(self, task_id: str, reason: CancelReason) -> None:
        """Cancel whatever runs here for a task."""
        for lease, running in list(self._running.items()):
            if lease.id == task_id:
                self._cancel(running, reason)
        for lease, outlived in list(self._outlived.items()):
            if lease.id == task_id:
                self._settle_held(outlived, reason)

    def stop_all(self, reason: CancelReason) -> None:
        """Cancel everything."""
        for running in list(self._running.values()):
            self._cancel(running, reason)
        for outlived in list(self._outlived.values()):
            self._settle_held(outlived, reason)

    async def drain(self, timeout: float, *, threads: bool = True) -> bool:
        """Wait until nothing runs, at most `timeout` seconds; tells whether nothing does.

        `threads` says whether those whose runs are over count as well.
        """
        deadline = time.monotonic() + timeout
        while self._running or (threads and self._outlived):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            await self.wait_changed(left)
        return True

    def of_task(self, task: "asyncio.Task[Any] | None") -> Delivery | None:
        """The delivery that an asyncio task runs."""
        for running in list(self._running.values()):
            if running.task is task:
                return running.delivery
        return None

    def left(self) -> list[Delivery]:
        """The deliveries that run."""
        return [running.delivery for running in self._running.values()]

    def _cancel(self, running: _Running, reason: CancelReason) -> None:
        if running.stop is None and running.task is not None:
            running.stop = reason
            running.task.cancel()
            if not running.begun:  # then the coroutine never runs, and cannot tell
                cancelled = asyncio.CancelledError()
                self._end(running, self._abandon(running.delivery, reason, cancelled))

    async def _occupy(self, running: _Running) -> None:
        running.begun = True
        delivery = running.delivery
        if self._events.is_heard:
            running.began = time.monotonic()
            self._events.started(delivery)
        outcome: Outcome | None
        try:
            outcome = await self._run(delivery)
            if running.stop in (CancelReason.REVOKED, CancelReason.LOST):
                outcome = None
        except asyncio.CancelledError as cancelled:
            outcome = self._abandon(delivery, running.stop, cancelled)
        except Exception as error:
            logger.exception("task %s: running it failed unexpectedly", delivery.lease.id)
            outcome = self._abandon(delivery, None, error)
        self._end(running, outcome)

    def _end(self, running: _Running, outcome: Outcome | None) -> None:
        self._running.pop(running.delivery.lease, None)
        if self._events.is_heard:
            self._tell(running, outcome)
        if running.thread is not None and not running.thread.done():
            self._outlive(running, running.thread, outcome)
            return
        self._admit_all(running.delivery.lease)
        self._settle(running.delivery, outcome)

    def _outlive(self, running: _Running, thread: "Future[Any]", outcome: Outcome | None) -> None:
        """A run is over, its thread is not."""
        delivery = running.delivery
        self._outlived[delivery.lease] = running
        waits = isinstance(outcome, Requeue) and running.stop is None
        if waits:
            running.held = outcome
        else:
            self._settle(delivery, outcome)
        self._changed.set()
        logger.warning(
            "%s %s: its run is over, but its thread goes on and keeps its slot until it ends%s",
            delivery.task_name,
            delivery.lease.id,
            "; only then it is tried again" if waits else "",
        )
        ended = partial(self._thread_ended, running)
        thread.add_done_callback(partial(_call_in, asyncio.get_running_loop(), ended))

    def _thread_ended(self, running: _Running) -> None:
        delivery = running.delivery
        self._outlived.pop(delivery.lease, None)
        logger.info("%s %s: its thread has ended", delivery.task_name, delivery.lease.id)
        self._settle_held(running, None)
        self._admit_all(delivery.lease)

    def _settle_held(self, running: _Running, reason: CancelReason | None) -> bool:
        """Settle what waits for the end of a thread; False if nothing does."""
        held, running.held = running.held, None
        if held is None:
            return False
        gone = reason in (CancelReason.REVOKED, CancelReason.LOST)
        self._settle(running.delivery, None if gone else held)
        self._changed.set()
        return True

    def _tell(self, running: _Running, outcome: Outcome | None) -> None:
        duration = None if running.began is None else time.monotonic() - running.began
        if outcome is not None:
            self._events.ended(running.delivery, outcome, duration)
        elif running.stop in _KINDS:
            self._events.ended(running.delivery, _KINDS[running.stop], duration)

    def _admit_all(self, lease: Lease) -> None:
        """A delivery needs small company no longer."""
        if self._isolated:
            self._isolated.pop(lease, None)
        self._changed.set()


def _call_in(loop: asyncio.AbstractEventLoop, call: Callable[[], object], _: "Future[Any]") -> None:
    """Call something in an event loop, if that has not ended yet."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(call)
