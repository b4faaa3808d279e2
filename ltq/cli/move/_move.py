"""All that `ltq move` does with two brokers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ltq.broker import Broker
from ltq.cli._errors import WrongUseError
from ltq.cli._known import check_queues
from ltq.cli.move._same import is_same_store
from ltq.cli.move._schedules import MovedSchedules, kept_schedules, move_schedules
from ltq.cli.move._tasks import Moved, QueueMove
from ltq.cli.move._workflows import InWorkflows, look_for_workflows
from ltq.state import QueueStats, Status


@dataclass(slots=True)
class Report:
    """What was moved, or would be."""

    queues: list[Moved] = field(default_factory=list)
    schedules: MovedSchedules = field(default_factory=MovedSchedules)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left but what runs."""
        return not self.schedules.conflicts and all(one.is_whole for one in self.queues)


async def queues_to_move(source: Broker, named: Sequence[str]) -> list[str]:
    """The queues that were named, or all of the source.

    Raises `CommandError` for an unknown one.
    """
    if named:
        await check_queues(source, named)
    return [*named] or await source.queues()


async def check_apart(source: Broker, target: Broker, queues: Sequence[str]) -> None:
    """Raise `WrongUseError` if both brokers are one store, whatever their URLs say."""
    if queues and await is_same_store(source, target, queues[0]):
        raise WrongUseError(f"FROM and TO are the same broker: {source.url}")


async def look(source: Broker, queues: Sequence[str]) -> Report:
    """What there is to move."""
    found = [await _look(source, one) for one in await source.stats(queues)]
    names = [one.name for one in await kept_schedules(source, queues)]
    return Report(found, MovedSchedules(moved=names))


async def _look(source: Broker, stats: QueueStats) -> Moved:
    """What there is to move in a queue."""
    found = await look_for_workflows(source, stats.queue)
    bound = InWorkflows()
    for some in found.values():
        bound.ids |= some.ids
        bound.workflows |= some.workflows
    counts = {status: len(some.ids) for status, some in found.items()}
    return Moved(
        stats.queue,
        pending=max(0, stats.pending - counts[Status.PENDING]),
        delayed=max(0, stats.delayed - counts[Status.DELAYED]),
        dead=max(0, stats.dead - counts[Status.FAILED]),
        running=stats.working,
        left=len(bound.ids),
        bound=bound,
    )


async def move(
    source: Broker,
    target: Broker,
    queues: Sequence[str],
    on_batch: Callable[[Moved], object],
    on_queue: Callable[[Moved], object],
) -> Report:
    """Pause these queues at the source, and move their schedules, tasks and dead letters.

    `on_batch` is called after each batch, and `on_queue` after each queue.
    """
    for queue in queues:
        await source.pause(queue)
    report = Report(schedules=await move_schedules(source, target, queues))
    for queue in queues:
        report.queues.append(await QueueMove(source, target, queue, on_batch).run())
        on_queue(report.queues[-1])
    return report
