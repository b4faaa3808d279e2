"""The parts of one run of a worker, joined together."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from ltq._declared import DeclaredTask, LanesOfTasks
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
from ltq._worker.upkeep.flows import FlowCarrier
from ltq._worker.upkeep.lookout import Lookout
from ltq._worker.upkeep.registration import WorkerRegistration
from ltq._worker.upkeep.repair import RepairLoop
from ltq._worker.upkeep.waiting import WaitingRuns
from ltq.broker import Broker, Consumer
from ltq.events import EventStream
from ltq.handle import waits
from ltq.middleware import MaxRate, Middleware


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
    log_completed: bool = False
    """Whether each task that completes is a line of level INFO in the log."""
    burst: bool = False
    """Whether to end once no task is due or running."""


class Parts:
    """The parts of a run, made in its event loop. They know the run as their `listener`."""

    def __init__(self, config: RunConfig, listener: RunListener) -> None:
        broker, lease = config.broker, config.lease
        queues = {queue for task in config.tasks.values() for queue in task.queues}
        lanes = LanesOfTasks(config.tasks.values())
        self.consumer = _consumer(config, lanes, listener)
        self.leases = LeaseTracker(self.consumer, lanes.running_limited)
        self.threads = ThreadCalls(config.concurrency, f"ltq-{config.name}")
        self.flows = FlowCarrier(broker, queues)
        self.completer = Completer(broker, self.leases, substitute=unwritable, flows=self.flows)
        self.waiting = WaitingRuns(
            config.name, broker, queues, all_slots=lambda: self.pool.all_slots()
        )
        self.pool = self._pool(config, listener)
        self.lookout = Lookout(broker, queues)
        self.fetcher = Fetcher(
            self.consumer, self.pool, broker, self.lookout, lease=lease, burst=config.burst
        )
        self.blocked = BlockedLoop(
            self.pool,
            self.completer,
            lease=lease,
            shutdown_timeout=config.shutdown_timeout if config.signals else None,
        )
        self.heartbeat = Heartbeat(
            broker,
            self.leases,
            lease,
            lanes=lanes.announced,
            registration=WorkerRegistration(
                self.consumer.name,
                lanes.announced,
                concurrency=config.concurrency,
                lease=lease,
                found_endings=self.flows.look_soon,
            ),
            claimed_at=lambda: self.fetcher.claimed_at,
            listener=listener,
            blocked=self.blocked,
        )
        self.repair = RepairLoop(broker, queues, lease=lease)
        self.loop_break = LoopBreak()

    def start(self) -> None:
        """Start what runs from the beginning. The others start with their first work."""
        for service in (self.loop_break, self.heartbeat, self.repair, self.lookout, self.flows):
            service.start()

    async def aclose(self) -> None:
        """Close the parts, each before the parts that it uses.

        All are told to stop first, without waiting: a cancellation here, or a part that fails to
        close, must leave no thread behind.
        """
        upkeep = (self.waiting, self.lookout, self.repair)
        users = (*upkeep, self.fetcher, self.completer, self.flows, self.leases)
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
            log_completed=config.log_completed,
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


def _consumer(config: RunConfig, lanes: LanesOfTasks, listener: RunListener) -> Consumer:
    with_rates = any(isinstance(one, MaxRate) for one in config.middlewares)
    return config.broker.consumer(
        lanes.all,
        lease=config.lease,
        limits=lanes.limits(with_rates=with_rates),
        knows=lanes.kinds,
        max_deliveries=_max_deliveries(config.tasks.values()),
        revoked=listener.task_revoked,
        before_sweep=listener.before_sweep,
    )


def _max_deliveries(tasks: Iterable[DeclaredTask[..., Any]]) -> dict[str, int]:
    """How many deaths the tasks survive that say so, by all names of a task."""
    return {
        name: task.config.max_deliveries
        for task in tasks
        if task.config.max_deliveries is not None
        for name in task.names
    }
