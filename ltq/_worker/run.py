"""One run of a worker: its parts wired together, from the start to the last outcome written."""

import asyncio
import logging
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ltq._declared import DeclaredTask
from ltq._worker.completer import Completer
from ltq._worker.executor import Executor
from ltq._worker.fetcher import Fetcher
from ltq._worker.heartbeat import Heartbeat
from ltq._worker.outcomes import broken
from ltq._worker.task_pool import CancelReason, TaskPool
from ltq.broker import Broker
from ltq.errors import BrokerError
from ltq.events import EventStream
from ltq.message import Delivery, Lease, Outcome, Requeue, lane_of
from ltq.middleware import MaxRate, Middleware
from ltq.options import Limit

logger = logging.getLogger("ltq.worker")

_LAST_CALLS = 1.0
"""Seconds that the last calls get at least when a worker ends: a claim, the outcomes."""

_REPAIR_EVERY = 600.0
"""Seconds between two looks for tasks that have lost their place, by one worker of all."""

_FIRST_REPAIR = 2.0
"""Seconds after which a worker that starts looks first, unless another one just did."""

_SWALLOWED = 0.5
"""Seconds a cancelled task may take to end before it is requeued while it still runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """What a worker has to run, and how."""

    name: str
    broker: Broker
    tasks: Mapping[str, DeclaredTask[..., Any]]
    middlewares: Sequence[Middleware]
    concurrency: int
    lease: float
    shutdown_timeout: float
    events: EventStream


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerHealth:
    """How one run of a worker does at the moment."""

    worker: str
    claimed_ago: float
    """Seconds since it last claimed, or began to want to."""
    renewed_ago: float
    """Seconds since its leases were last renewed; beyond `lease` they are lost."""
    lease: float
    running: int
    is_full: bool
    """Whether it claims nothing because all slots are taken."""
    is_stopping: bool


class WorkerRun:
    """Runs a plan once, in the event loop that made it."""

    def __init__(self, plan: RunConfig) -> None:
        self._plan = plan
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor(plan.concurrency, f"ltq-{plan.name}")
        self._executor = Executor(
            plan.tasks,
            plan.middlewares,
            plan.broker,
            threads=self._threads,
            lost=self._lost,
            outlived=self._outlived,
        )
        self._slots = TaskPool(
            plan.concurrency,
            run=self._executor.run,
            abandon=self._abandon,
            settle=self._settle,
            events=plan.events,
        )
        self._keeper = Heartbeat(plan.broker, plan.lease, lost=self._lost, blocked=self._blocked)
        self._completer = Completer(plan.broker, self._release)
        self._consumer = plan.broker.consumer(
            _lanes(plan.tasks.values()),
            lease=plan.lease,
            limits=_limits(plan.tasks.values(), plan.middlewares),
            revoked=self._revoked,
            before_sweep=self._hold_on,
        )
        self._claimer = Fetcher(
            self._consumer, self._slots, lease=plan.lease, renew=self._renew, start=self._start
        )
        self._caps = {
            task.name: task.lane
            for task in plan.tasks.values()
            if task.config.max_running is not None
        }
        self._capped: dict[Lease, str] = {}
        """The lanes of what runs in a lane where it is limited how many may."""
        self._freeing: set[asyncio.Task[None]] = set()
        self._joining: asyncio.Task[None] | None = None
        self._ended = False
        """Whether any run ended since a burst looked last."""
        self._stopping = False
        self._now = asyncio.Event()
        self._running: asyncio.Task[Any] | None = None

    async def run(self, *, burst: bool = False) -> None:
        """Work until stopped, or in a burst until nothing is due or running."""
        self._running = asyncio.current_task()
        self._keeper.start()
        repairing = asyncio.create_task(self._repair())
        try:
            await self._claimer.run(burst=burst)
            while burst and not self._stopping and await self._is_more():
                await self._claimer.run(burst=burst)
            await self._drain()
        except BaseException:
            self._stopping = True
            self._slots.stop_all(CancelReason.SHUTDOWN)
            await self._join()
            await self._finish_off(_LAST_CALLS)
            raise
        finally:
            self._stopping = True
            repairing.cancel()
            await self._consumer.aclose()
            await self._keeper.aclose()
            self._threads.shutdown(wait=False, cancel_futures=True)

    def pulse(self) -> WorkerHealth:
        """How it does; from any thread."""
        now = time.monotonic()
        return WorkerHealth(
            worker=self._plan.name,
            claimed_ago=now - self._claimer.claimed_at,
            renewed_ago=now - self._keeper.renewed_at,
            lease=self._plan.lease,
            running=self._slots.used,
            is_full=self._claimer.is_full,
            is_stopping=self._stopping,
        )

    def stop(self, *, now: bool = False) -> None:
        """Claim no more, let running tasks end; `now`: requeue them at once. From any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop, now)

    def _stop(self, now: bool) -> None:
        if not self._stopping:
            self._stopping = True
            self._claimer.stop()
        if now:
            self._now.set()

    async def _repair(self) -> None:
        """Now and then: what is done to a server's keys may take a task's place away."""
        queues = {task.queue for task in self._plan.tasks.values()}
        pause, every = _FIRST_REPAIR, _FIRST_REPAIR
        while True:
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            try:
                repaired = await self._plan.broker.repair(
                    queues, lease=self._plan.lease, every=every
                )
                if repaired:
                    logger.warning("%d tasks had lost their place and got it back", repaired)
            except BrokerError as error:
                logger.debug("no look for tasks without a place: %s", error)
            except Exception:
                logger.exception("no look for tasks without a place")
            pause, every = _REPAIR_EVERY, _REPAIR_EVERY / 2

    async def _is_more(self) -> bool:
        """Whether what ended may have left something to do: its outcomes are written first.

        The last claim may have looked just before they were.
        """
        ended, self._ended = self._ended, False
        if ended:
            await self._completer.drain(None)
        return ended

    async def _drain(self) -> None:
        """Let running tasks end, for a while; then requeue them, with no try used up."""
        if self._slots.used:
            logger.info("%s: waiting for %d running tasks", self._plan.name, self._slots.used)
        deadline = self._loop.time() + self._plan.shutdown_timeout
        joining = self._join()
        ended = asyncio.create_task(self._slots.drain(self._plan.shutdown_timeout))
        hurry = asyncio.create_task(self._now.wait())
        await asyncio.wait([ended, hurry], return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        hurry.cancel()
        await joining
        left = 0.0 if self._now.is_set() else deadline - self._loop.time()
        await self._finish_off(max(_LAST_CALLS, left))

    def _join(self) -> "asyncio.Task[None]":
        """Wait for a claim under way; the same wait for all who ask."""
        if self._joining is None:
            self._joining = asyncio.create_task(self._claimer.join(_LAST_CALLS))
        return self._joining

    async def _finish_off(self, timeout: float) -> None:
        """Requeue what still runs, and write all outcomes, in about `timeout` seconds."""
        if self._slots.used:
            logger.warning("%s: requeueing %d tasks", self._plan.name, self._slots.used)
            self._slots.stop_all(CancelReason.SHUTDOWN)
            await self._slots.drain(_SWALLOWED, threads=False)
            for delivery in self._slots.left():
                logger.error(
                    "%s %s does not end when cancelled: requeueing it all the same",
                    delivery.task_name,
                    delivery.lease.id,
                )
                self._completer.submit(Requeue(delivery.lease, front=True))
        if not await self._completer.drain(timeout):
            logger.error("%d outcomes could not be written", self._completer.waiting)

    def _start(self, delivery: Delivery) -> None:
        self._keeper.hold(delivery.lease)
        if delivery.task_name in self._caps:
            self._capped[delivery.lease] = self._caps[delivery.task_name]
        if self._stopping:
            outcome = Requeue(delivery.lease, front=True)
            if self._plan.events.is_heard:
                self._plan.events.ended(delivery, outcome)
            self._completer.submit(outcome)
        else:
            self._slots.start(delivery)

    def _settle(self, delivery: Delivery, outcome: Outcome | None) -> None:
        self._ended = True
        if outcome is None:
            self._release(delivery.lease)
        else:
            self._completer.submit(outcome)

    def _release(self, lease: Lease) -> None:
        """Its outcome is written, or is not this worker's to write."""
        self._keeper.release(lease)
        lane = self._capped.pop(lease, None) if self._capped else None
        if lane is not None:
            freeing = asyncio.create_task(self._free(lane))
            self._freeing.add(freeing)
            freeing.add_done_callback(self._freeing.discard)

    async def _free(self, lane: str) -> None:
        with suppress(BrokerError):  # the others look by themselves now and then
            await self._consumer.freed(lane)

    def _abandon(
        self, delivery: Delivery, stop: CancelReason | None, error: BaseException
    ) -> Outcome | None:
        if stop is CancelReason.SHUTDOWN or (stop is None and self._is_cut(error)):
            return Requeue(delivery.lease, front=True)
        if stop is None:
            return broken(self._plan.tasks.get(delivery.task_name), delivery, error)
        return None

    def _is_cut(self, error: BaseException) -> bool:
        """Whether a run was cancelled together with this shift: at the end of `asyncio.run`."""
        shift = self._running
        is_cancelled = isinstance(error, asyncio.CancelledError)
        return is_cancelled and shift is not None and shift.cancelling() > 0

    def _outlived(self, thread: "Future[Any]") -> None:
        self._slots.outlived_by(thread)

    async def _hold_on(self) -> None:
        """After an outage renew what is held, before a sweep takes it for a dead worker's."""
        if self._keeper.is_late():
            for lease in await self._renew(self._keeper.held()):
                self._lost(lease)

    async def _renew(self, leases: Sequence[Lease]) -> list[Lease]:
        return await self._plan.broker.heartbeat(leases, self._plan.lease)

    def _lost(self, lease: Lease) -> None:
        # One that has just ended is no longer there to be renewed either: nothing is wrong then.
        if self._slots.stop_one(lease, CancelReason.LOST):
            self._release(lease)
            logger.warning("task %s: its lease is lost, this run is cancelled", lease.id)

    def _blocked(self) -> None:
        """Called from the heartbeat's thread."""
        delivery = self._slots.of_task(asyncio.current_task(self._loop))
        logger.warning(
            "the event loop is blocked by %s: leases are kept, but nothing else runs; "
            "a plain `def` task would run in a thread",
            "something that is no task"
            if delivery is None
            else f"{delivery.task_name} {delivery.lease.id}",
        )

    def _revoked(self, task_id: str) -> None:
        logger.info("task %s is cancelled", task_id)
        self._slots.stop_id(task_id, CancelReason.REVOKED)


def _lanes(tasks: Iterable[DeclaredTask[..., Any]]) -> list[str]:
    lanes: dict[str, None] = {}
    for task in tasks:
        # One of another version may wait in the queue's own lane, or in one of its own.
        lanes[task.queue] = None
        lanes[lane_of(task.queue, task.name, limited=True)] = None
    return list(lanes)


def _limits(
    tasks: Iterable[DeclaredTask[..., Any]], middlewares: Sequence[Middleware]
) -> dict[str, Limit]:
    """The limits of lanes; that of the rate holds where a middleware implements it."""
    with_rates = any(isinstance(middleware, MaxRate) for middleware in middlewares)
    limits: dict[str, Limit] = {}
    for task in tasks:
        rate = task.config.max_rate if with_rates else None
        if rate is not None or task.config.max_running is not None:
            limits[task.lane] = Limit(rate, task.config.max_running)
    return limits
