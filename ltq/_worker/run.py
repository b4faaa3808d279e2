"""One run of a worker: its parts joined together, from the start to the last written outcome."""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any

from ltq._aio.service import first_of
from ltq._declared import DeclaredTask
from ltq._worker.blocked_loop import BlockedLoop
from ltq._worker.completer import Completer
from ltq._worker.executor import Executor
from ltq._worker.fetcher import Fetcher
from ltq._worker.heartbeat import Heartbeat
from ltq._worker.leases import LeaseTracker
from ltq._worker.lookout import Lookout
from ltq._worker.loop_break import LoopBreak
from ltq._worker.outcomes import unwritable
from ltq._worker.protocols import CancelReason
from ltq._worker.repair import RepairLoop
from ltq._worker.task_pool import TaskPool
from ltq._worker.threads import ThreadCalls
from ltq._worker.waiting import WaitingRuns
from ltq.broker import Broker
from ltq.errors import BrokerError
from ltq.events import EventStream
from ltq.handle import waits
from ltq.message import Delivery, Lease, Requeue
from ltq.middleware import MaxRate, Middleware
from ltq.options import Limit
from ltq.state import WorkerHealth

logger = logging.getLogger("ltq.worker")

_LAST_CALLS = 1.0
"""Fewest seconds that the last calls get when a worker stops: a claim, the outcomes."""

_CANCEL_TIMEOUT = 0.5
"""Seconds a cancelled task gets to end before it is requeued although it still runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """What a worker runs, and how. Durations are seconds."""

    name: str
    broker: Broker
    tasks: Mapping[str, DeclaredTask[..., Any]]
    middlewares: Sequence[Middleware]
    concurrency: int
    lease: float
    shutdown_timeout: float
    events: EventStream
    signals: bool = False
    """Whether the worker stops on signals. Then the process is the worker's, and may be ended."""
    burst: bool = False
    """Whether to end once no task is due or running."""


class WorkerRun:
    """Runs a worker once, in the event loop that made it. It is the `RunListener` of its parts."""

    def __init__(self, config: RunConfig) -> None:
        self._config = config
        self._loop = asyncio.get_running_loop()
        broker, tasks = config.broker, config.tasks
        queues = {queue for task in tasks.values() for queue in task.queues}
        self._consumer = broker.consumer(
            [lane for task in tasks.values() for lane in task.lanes],
            lease=config.lease,
            limits=_limits(tasks.values(), config.middlewares),
            revoked=self.task_revoked,
            before_sweep=self.before_sweep,
        )
        self._leases = LeaseTracker(self._consumer, _limited_lanes(tasks.values()))
        self._threads = ThreadCalls(config.concurrency, f"ltq-{config.name}")
        self._completer = Completer(broker, self._leases, substitute=unwritable)
        executor = Executor(
            tasks,
            config.middlewares,
            broker,
            threads=self._threads,
            listener=self,
        )
        self._waiting = WaitingRuns(config.name, broker, queues, self._all_slots)
        token = waits.set(self._waiting)  # its tasks inherit it
        self._pool = TaskPool(
            config.concurrency,
            runner=executor,
            writer=self._completer,
            leases=self._leases,
            threads=self._threads,
            events=config.events,
        )
        waits.reset(token)
        self._fetcher = Fetcher(
            self._consumer, self._pool, broker, lease=config.lease, burst=config.burst
        )
        self._blocked = BlockedLoop(
            self._pool,
            self._completer,
            lease=config.lease,
            shutdown_timeout=config.shutdown_timeout if config.signals else None,
        )
        self._heartbeat = Heartbeat(
            broker, self._leases, config.lease, listener=self, blocked=self._blocked
        )
        self._repair = RepairLoop(broker, queues, lease=config.lease)
        self._lookout = Lookout(broker, queues)
        self._loop_break = LoopBreak()
        self._died: list[Lease] = []
        """Of the tasks that count a death because the event loop broke."""
        self._task: asyncio.Task[Any] | None = None
        self._ended_before = 0
        """How many task runs had ended when a burst last looked."""
        self._is_stopping = False
        self._now = asyncio.Event()

    @property
    def is_cancelled(self) -> bool:
        """Whether `run` is being cancelled, as at the end of `asyncio.run`."""
        return self._task is not None and self._task.cancelling() > 0

    async def run(self) -> None:
        """Work until stopped; in a burst, until no task is due or running."""
        self._task = asyncio.current_task()
        for part in (self._loop_break, self._heartbeat, self._repair, self._lookout):
            part.start()
        try:
            error = await self._work()
            if error is not None:
                await self._abort()
                raise error
        finally:
            self._is_stopping = True
            await self._close()

    def health(self) -> WorkerHealth:
        """How it is doing. From any thread."""
        now = time.monotonic()
        return WorkerHealth(
            worker=self._config.name,
            claimed_ago=now - self._fetcher.claimed_at,
            renewed_ago=now - self._heartbeat.renewed_at,
            lease=self._config.lease,
            running=self._pool.used,
            is_full=self._fetcher.is_full,
            is_stopping=self._is_stopping,
        )

    def stop(self, *, now: bool = False) -> None:
        """Claim no more and let running tasks end; with `now`, requeue them at once.

        From any thread.
        """
        if now:
            self._blocked.stop_now()
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop, now)

    def lease_lost(self, lease: Lease) -> None:
        """Cancel the run of a lease that the broker refused."""
        # The lease of a task that has just ended is refused as well: then nothing is wrong.
        if self._pool.cancel(lease, CancelReason.LOST):
            self._leases.release(lease)
            logger.warning("task %s: its lease is lost, this run is cancelled", lease.id)

    def task_revoked(self, task_id: str) -> None:
        """Cancel the runs of a task that a user cancelled."""
        self._pool.cancel_id(task_id, CancelReason.REVOKED)
        logger.info("task %s is cancelled", task_id)

    def cancel_reason(self, lease: Lease) -> CancelReason | None:
        """Why a run was cancelled; None if it was not."""
        return self._pool.cancel_reason(lease)

    async def before_sweep(self) -> None:
        """After an outage, renew held leases before a sweep takes them for a dead worker's."""
        if self._heartbeat.is_late():
            leases = self._leases.all()
            for lease in await self._config.broker.heartbeat(leases, self._config.lease):
                self.lease_lost(lease)

    def is_cut(self, lease: Lease) -> bool:
        """Whether the worker cancels a run, because of the run or as a whole."""
        return self.is_cancelled or self.cancel_reason(lease) is not None

    def loop_breaker(self, lease: Lease) -> BaseException | None:
        """The error with which a run broke the event loop; None if it did not."""
        return self._loop_break.error if self._loop_break.is_by(lease) else None

    def dies(self, lease: Lease) -> bool:
        """If the event loop broke, count a death for a task; return whether it did."""
        kills = self._loop_break.kills
        if kills:
            self._died.append(lease)
        return kills

    async def _work(self) -> BaseException | None:
        """Fetch until stopped, and drain. Returns the error that ends it, instead of raising it.

        So nothing is handled when it is asked whether the event loop broke.
        """
        try:
            await self._fetch()
            await self._drain()
        except BaseException as error:
            return error
        return None

    async def _abort(self) -> None:
        """Give back at once what runs. If the event loop broke, that is a death."""
        self._stop_claiming()
        self._loop_break.look()  # in a program that cancels this run only
        broke = self._loop_break.error
        if broke is not None:
            logger.error(
                "%s: the event loop broke: %s. What runs is given back",
                self._config.name,
                type(broke).__name__,
            )
        self._pool.cancel_all(
            CancelReason.BROKEN if self._loop_break.kills else CancelReason.SHUTDOWN
        )
        self._completer.resubmit()
        await self._fetcher.drain(_LAST_CALLS)
        await self._finish_off(_LAST_CALLS)
        if self._died:
            with suppress(BrokerError):  # then their leases end later
                await self._config.broker.heartbeat(self._died, 0.0)

    async def _fetch(self) -> None:
        """Claim and start tasks until stopped; in a burst, until there is nothing to do."""
        while not self._is_stopping:
            self._fetcher.start()
            await self._fetcher.wait()
            if not self._config.burst or not await self._may_have_more():
                return

    async def _may_have_more(self) -> bool:
        """Whether a task has ended since the last call: it may have left something to do.

        Outcomes are written first, since the last claim may have come just before them.
        """
        before, self._ended_before = self._ended_before, self._pool.ended
        if self._ended_before == before:
            return False
        await self._completer.drain()
        return True

    def _all_slots(self) -> list[Delivery]:
        """What runs, if it takes all slots."""
        running = [] if self._pool.free else self._pool.running()
        return running if len(running) >= self._config.concurrency else []

    def _stop(self, now: bool) -> None:
        self._stop_claiming()
        if now:
            self._now.set()

    def _stop_claiming(self) -> None:
        self._is_stopping = True
        self._fetcher.stop()
        self._pool.stop()

    async def _drain(self) -> None:
        """Let running tasks end within the shutdown timeout; then requeue them, using up no try."""
        config = self._config
        if self._pool.used:
            logger.info("%s: waiting for %d running tasks", config.name, self._pool.used)
        deadline = self._loop.time() + config.shutdown_timeout
        await asyncio.gather(
            self._fetcher.drain(_LAST_CALLS),
            first_of(self._pool.drain(config.shutdown_timeout), self._now.wait(), name="ltq-drain"),
        )
        left = 0.0 if self._now.is_set() else deadline - self._loop.time()
        await self._finish_off(max(_LAST_CALLS, left))

    async def _finish_off(self, timeout: float) -> None:
        """Requeue what still runs and write all outcomes, within about `timeout` seconds."""
        if self._pool.used:
            logger.warning("%s: requeueing %d tasks", self._config.name, self._pool.used)
            self._pool.cancel_all(CancelReason.SHUTDOWN)  # if they are not being cancelled yet
            await self._pool.drain(_CANCEL_TIMEOUT, with_threads=False)
            for delivery in self._pool.running():
                logger.error(
                    "%s %s does not end when cancelled: requeueing it while it runs",
                    delivery.task_name,
                    delivery.lease.id,
                )
                if not self.dies(delivery.lease):
                    self._completer.submit(Requeue(delivery.lease, front=True))
        if await self._completer.drain(timeout):
            await self._leases.drain(_LAST_CALLS)
        else:
            logger.error("%d outcomes could not be written", self._completer.waiting)

    async def _close(self) -> None:
        """Close the parts, each before the parts that it uses.

        All are told to stop first, without waiting: a cancellation here, or a part that fails to
        close, must leave no thread behind.
        """
        background = (self._repair, self._lookout, self._waiting)
        held = (self._leases, self._heartbeat, self._loop_break)
        for part in (*background, self._fetcher, self._completer, *held):
            part.stop()
        self._threads.close()
        async with AsyncExitStack() as stack:  # the last one pushed closes first
            stack.push_async_callback(self._loop_break.aclose)
            stack.push_async_callback(self._heartbeat.aclose)
            stack.push_async_callback(self._consumer.aclose)
            stack.push_async_callback(self._leases.aclose)
            stack.push_async_callback(self._completer.aclose)
            stack.push_async_callback(self._fetcher.aclose)
            stack.push_async_callback(self._repair.aclose)
            stack.push_async_callback(self._lookout.aclose)
            stack.push_async_callback(self._waiting.aclose)


def _limited_lanes(tasks: Iterable[DeclaredTask[..., Any]]) -> dict[str, str]:
    """The lane of each task with `max_running`, by all names of the task."""
    limited = [task for task in tasks if task.config.max_running is not None]
    return {name: task.lane_of(name) for task in limited for name in task.names}


def _limits(
    tasks: Iterable[DeclaredTask[..., Any]], middlewares: Sequence[Middleware]
) -> dict[str, Limit]:
    """The limits of lanes. A rate counts only if a middleware implements it."""
    with_rates = any(isinstance(middleware, MaxRate) for middleware in middlewares)
    limits: dict[str, Limit] = {}
    for task in tasks:
        rate = task.config.max_rate if with_rates else None
        if rate is not None or task.config.max_running is not None:
            limit = Limit(rate, task.config.max_running)
            limits |= dict.fromkeys(task.own_lanes, limit)
    return limits
