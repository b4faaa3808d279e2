"""What a broker holds at one moment: queues, workers, and the tasks that run."""

from dataclasses import dataclass

from ltq.broker import Broker
from ltq.names import namespace_of
from ltq.state import QueueStats, Status, TaskState, WorkerInfo, WorkerStatus

MOST_TASKS = 1000
"""Most running tasks that are read."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was read of a broker."""

    queues: list[QueueStats]
    workers: list[WorkerInfo]
    tasks: list[TaskState[bytes]]
    """The running tasks, up to `MOST_TASKS`."""
    now: float
    """The broker's time."""

    @property
    def waiting(self) -> int:
        """How many tasks wait."""
        return sum(queue.pending + queue.delayed for queue in self.queues)

    @property
    def running(self) -> int:
        """How many tasks run."""
        return sum(queue.working for queue in self.queues)

    @property
    def rate(self) -> float:
        """How many tasks a second ended in the last minute."""
        return sum(queue.rate for queue in self.queues)

    @property
    def silent(self) -> int:
        """How many workers are silent."""
        return sum(worker.status is WorkerStatus.SILENT for worker in self.workers)


async def read_snapshot(broker: Broker) -> Snapshot:
    """Read a broker. Raises `BrokerError`."""
    queues = await broker.stats(await broker.queues())
    workers = await broker.workers()
    ids = [task_id for worker in workers for task_id in worker.running][:MOST_TASKS]
    busy = {namespace_of(queue.queue): queue.queue for queue in queues if queue.working}
    tasks: dict[str, TaskState[bytes]] = {}
    for queue in busy.values():  # any queue of a namespace finds all its tasks
        missing = [task_id for task_id in ids if task_id not in tasks]
        for state in await broker.states(queue, missing):
            if state is not None and state.status is Status.WORKING:
                tasks[state.id] = state
    return Snapshot(queues, workers, list(tasks.values()), await broker.time())
