"""Finding the dead letters that a command works on."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from ltq.broker import Broker
from ltq.cli._errors import CommandError, WrongUseError
from ltq.cli._known import read_queue
from ltq.errors import TaskNotFoundError
from ltq.message import DeadLetter
from ltq.names import check_name, is_name

_PAGE = 100
"""Dead letters read at once: each may be as large as a message."""


class NoDeadLetterError(CommandError):
    """There is no dead letter with an id."""

    def __init__(self, task_id: str) -> None:
        super().__init__(f"no dead letter with id '{task_id}'")


@dataclass(frozen=True, slots=True)
class Filter:
    """What a dead letter must match; an empty filter matches all."""

    task: str | None = None
    error: str | None = None
    older_than: float | None = None
    """Seconds."""

    @property
    def is_empty(self) -> bool:
        return self == Filter()

    def matches(self, dead_letter: DeadLetter, now: float) -> bool:
        """Whether a dead letter matches. `now` is by the broker's clock, like its time."""
        if self.task is not None and dead_letter.task_name != self.task:
            return False
        if self.error is not None and self.error.lower() not in (dead_letter.error or "").lower():
            return False
        return self.older_than is None or dead_letter.time <= now - self.older_than


@dataclass(frozen=True, slots=True)
class Selection:
    """Dead letters by their ids, or without ids all that match, in one queue or in all."""

    ids: tuple[str, ...]
    queue: str | None
    wanted: Filter


def parse_selection(names: tuple[str, ...], select_all: bool, wanted: Filter) -> Selection:
    """Read `ID...`, or `--all [QUEUE]` with filters. Raises `WrongUseError`."""
    if select_all:
        if len(names) > 1:
            raise WrongUseError("--all takes at most one queue; without one it means all queues")
        return Selection((), check_queue(names[0] if names else None), wanted)
    if not names:
        raise WrongUseError("missing argument ID, or --all")
    if not wanted.is_empty:
        raise WrongUseError("--task, --error and --older-than need --all: they do not filter ids")
    return Selection(tuple(dict.fromkeys(names)), None, wanted)


def check_queue(queue: str | None) -> str | None:
    """Return the queue, if one is given. Raises `ConfigurationError` for a wrong name."""
    return None if queue is None else check_name("queue", queue)


async def select(broker: Broker, selection: Selection) -> dict[str, list[str]]:
    """Return the selected ids by queue. Raises `CommandError` if one of them is not found."""
    selected: dict[str, list[str]] = {}
    for task_id in selection.ids:
        dead_letter = await find(broker, task_id)
        selected.setdefault(dead_letter.queue, []).append(task_id)
    if not selection.ids:
        for queue, count in await count_by_queue(broker, selection.queue):
            found = matching(broker, queue, count, selection.wanted)
            selected[queue] = [dead_letter.id async for dead_letter in found]
    return selected


async def find(broker: Broker, task_id: str, queue: str | None = None) -> DeadLetter:
    """Return the dead letter of a task, in one queue or in any.

    Raises `NoDeadLetterError`, and `CommandError` if the broker does not know the queue.
    """
    try:
        if not is_name(task_id):  # no task has such an id
            raise TaskNotFoundError(task_id)
        return await broker.dead_letter(queue, task_id)
    except TaskNotFoundError as error:
        if queue is not None:
            await read_queue(broker, queue)
        raise NoDeadLetterError(task_id) from error


async def count_by_queue(broker: Broker, queue: str | None) -> list[tuple[str, int]]:
    """Return the queues that have dead letters, and how many: one queue, or all.

    Raises `CommandError` if the broker does not know the queue.
    """
    if queue is None:
        found = await broker.stats(await broker.queues())
    else:
        found = [await read_queue(broker, queue)]
    return [(stats.queue, stats.dead) for stats in found if stats.dead]


async def matching(
    broker: Broker, queue: str, count: int, wanted: Filter
) -> AsyncGenerator[DeadLetter, None]:
    """Yield the dead letters of a queue that match, the newest first.

    One page more than `count` is read: new ones may arrive meanwhile and move the others back.
    """
    seen, now = set(), await broker.time()
    for offset in range(0, count + _PAGE, _PAGE):
        for dead_letter in await broker.dead_letters(queue, limit=_PAGE, offset=offset):
            if dead_letter.id not in seen and wanted.matches(dead_letter, now):
                seen.add(dead_letter.id)
                yield dead_letter
