"""The deliveries that run in a worker now."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import Any

from ltq.message import Delivery, Lease, Outcome
from ltq.options import ISOLATION

logger = logging.getLogger("ltq.worker")


class Stop(Enum):
    """Why a running task is cancelled by its worker."""

    SHUTDOWN = auto()
    """The worker ends: the task goes back to its queue."""
    REVOKED = auto()
    """The task was cancelled: it is final."""
    LOST = auto()
    """The lease is lost: the task is somebody else's."""


class _Running:
    __slots__ = ("begun", "delivery", "stop", "task")

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.begun = False
        self.stop: Stop | None = None
        self.task: asyncio.Task[None] | None = None


class Slots:
    """At most `limit` deliveries at once, each in an asyncio task of its own.

    Fewer while one runs that needs small company, for `ISOLATION` seconds at most.
    `run` decides what becomes of a delivery; `settle` is told. Where it is cancelled or fails
    itself, `abandon` decides instead.
    """

    def __init__(
        self,
        limit: int,
        *,
        run: Callable[[Delivery], Awaitable[Outcome]],
        abandon: Callable[[Delivery, Stop | None, BaseException], Outcome | None],
        settle: Callable[[Delivery, Outcome | None], None],
    ) -> None:
        self._limit = limit
        self._run = run
        self._abandon = abandon
        self._settle = settle
        self._running: dict[Lease, _Running] = {}
        self._companies: dict[Lease, int] = {}
        self._changed: asyncio.Event = asyncio.Event()

    @property
    def free(self) -> int:
        """How many more may start."""
        limit = min(self._limit, *self._companies.values()) if self._companies else self._limit
        return max(0, limit - len(self._running))

    @property
    def used(self) -> int:
        """How many run."""
        return len(self._running)

    def start(self, delivery: Delivery) -> None:
        """Run a delivery in a slot."""
        running = _Running(delivery)
        self._running[delivery.lease] = running
        running.task = asyncio.create_task(self._occupy(running))
        if delivery.company is not None:
            self._companies[delivery.lease] = delivery.company
            running.task.get_loop().call_later(ISOLATION, self._admit_all, delivery.lease)

    async def wait_changed(self, timeout: float | None = None) -> None:
        """Wait until a slot becomes free, at most `timeout` seconds."""
        self._changed.clear()
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            return

    def stop_one(self, lease: Lease, reason: Stop) -> bool:
        """Cancel one delivery; False if it does not run here (any more)."""
        running = self._running.get(lease)
        if running is not None:
            self._cancel(running, reason)
        return running is not None

    def stop_id(self, task_id: str, reason: Stop) -> None:
        """Cancel whatever runs here for a task."""
        for lease, running in list(self._running.items()):
            if lease.id == task_id:
                self._cancel(running, reason)

    def stop_all(self, reason: Stop) -> None:
        """Cancel everything."""
        for running in list(self._running.values()):
            self._cancel(running, reason)

    async def drain(self, timeout: float) -> bool:
        """Wait until nothing runs, at most `timeout` seconds; tells whether nothing does."""
        tasks = [running.task for running in self._running.values() if running.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=max(timeout, 0))
        return not self._running

    def of_task(self, task: "asyncio.Task[Any] | None") -> Delivery | None:
        """The delivery that an asyncio task runs."""
        for running in list(self._running.values()):
            if running.task is task:
                return running.delivery
        return None

    def left(self) -> list[Delivery]:
        """The deliveries that run."""
        return [running.delivery for running in self._running.values()]

    def _cancel(self, running: _Running, reason: Stop) -> None:
        if running.stop is None and running.task is not None:
            running.stop = reason
            running.task.cancel()
            if not running.begun:  # then the coroutine never runs, and cannot tell
                cancelled = asyncio.CancelledError()
                self._end(running, self._abandon(running.delivery, reason, cancelled))

    async def _occupy(self, running: _Running) -> None:
        running.begun = True
        delivery = running.delivery
        outcome: Outcome | None
        try:
            outcome = await self._run(delivery)
            if running.stop in (Stop.REVOKED, Stop.LOST):
                outcome = None
        except asyncio.CancelledError as cancelled:
            outcome = self._abandon(delivery, running.stop, cancelled)
        except Exception as error:
            logger.exception("task %s: running it failed unexpectedly", delivery.lease.id)
            outcome = self._abandon(delivery, None, error)
        self._end(running, outcome)

    def _end(self, running: _Running, outcome: Outcome | None) -> None:
        self._running.pop(running.delivery.lease, None)
        self._admit_all(running.delivery.lease)
        self._settle(running.delivery, outcome)

    def _admit_all(self, lease: Lease) -> None:
        """A delivery needs small company no longer."""
        self._companies.pop(lease, None)
        self._changed.set()
