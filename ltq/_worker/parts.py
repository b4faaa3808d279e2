"""The parts of one run of a worker, joined together."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from ltq._declared import DeclaredTask
from ltq._worker.blocked_loop import BlockedLoop
from ltq._worker.completer import Completer
from ltq._worker.executor import Executor
from ltq._worker.fetcher import Fetcher
from ltq._worker.heartbeat import Heartbeat
from ltq._worker.leases import LeaseTracker
from ltq._worker.loop_break import LoopBreak
from ltq._worker.outcomes import unwritable
from ltq._worker.protocols import RunListener
from ltq._worker.task_pool import TaskPool
from ltq._worker.threads import ThreadCalls
from ltq._worker.upkeep.lookout import Lookout
from ltq._worker.upkeep.repair import RepairLoop
from ltq._worker.upkeep.waiting import WaitingRuns
from ltq.broker import Broker, Consumer
from ltq.events import EventStream
from ltq.handle import waits
from ltq.middleware import MaxRate, Middleware
from ltq.options import Limit


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


class Parts:
    """The parts of a run, made in its event loop. They know the run as their `listener`."""

    def __init__(self, config: RunConfig, listener: RunListener) -> None:
        broker, lease = config.broker, config.lease
        queues = {queue for task in config.tasks.values() for queue in task.queues}
        self.consumer = _consumer(config, listener)
        self.leases = LeaseTracker(self.consumer, _limited_lanes(config.tasks.values()))
        self.threads = ThreadCalls(config.concurrency, f"ltq-{config.name}")
        self.completer = Completer(broker, self.leases, substitute=unwritable)
        self.waiting = WaitingRuns(
            config.name, broker, queues, all_slots=lambda: self.pool.all_slots()
        )
        self.pool = self._pool(config, listener)
        self.fetcher = Fetcher(self.consumer, self.pool, broker, lease=lease, burst=config.burst)
        self.blocked = BlockedLoop(
            self.pool,
            self.completer,
            lease=lease,
            shutdown_timeout=config.shutdown_timeout if config.signals else None,
        )
        self.heartbeat = Heartbeat(
            broker, self.leases, lease, listener=listener, blocked=self.blocked
        )
        self.repair = RepairLoop(broker, queues, lease=lease)
        self.lookout = Lookout(broker, queues)
        self.loop_break = LoopBreak()

    def start(self) -> None:
        """Start what runs from the beginning. The others start with their first work."""
        for service in (self.loop_break, self.heartbeat, self.repair, self.lookout):
            service.start()

    async def aclose(self) -> None:
        """Close the parts, each before the parts that it uses.

        All are told to stop first, without waiting: a cancellation here, or a part that fails to
        close, must leave no thread behind.
        """
        upkeep = (self.waiting, self.lookout, self.repair)
        users = (*upkeep, self.fetcher, self.completer, self.leases)
        watchers = (self.heartbeat, self.loop_break)
        for service in (*users, *watchers):
            service.stop()
        self.threads.close()
        async with AsyncExitStack() as stack:  # the last one pushed closes first
            for part in reversed((*users, self.consumer, *watchers)):
                stack.push_async_callback(part.aclose)

    def _pool(self, config: RunConfig, listener: RunListener) -> TaskPool:
        executor = Executor(
            config.tasks,
            config.middlewares,
            config.broker,
            threads=self.threads,
            listener=listener,
        )
        token = waits.set(self.waiting)  # the pool's tasks inherit it
        try:
            return TaskPool(
                config.concurrency,
                runner=executor,
                writer=self.completer,
                leases=self.leases,
                threads=self.threads,
                events=config.events,
            )
        finally:
            waits.reset(token)


def _consumer(config: RunConfig, listener: RunListener) -> Consumer:
    tasks = config.tasks.values()
    return config.broker.consumer(
        [lane for task in tasks for lane in task.lanes],
        lease=config.lease,
        limits=_limits(tasks, config.middlewares),
        revoked=listener.task_revoked,
        before_sweep=listener.before_sweep,
    )


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
