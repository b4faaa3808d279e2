"""Which dead letters a command is about, and how they are found."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from ltq._names import check_name
from ltq.broker import Broker
from ltq.cli._errors import CommandError, WrongUseError
from ltq.errors import TaskNotFoundError
from ltq.message import DeadLetter

_PAGE = 100
"""Letters read at once: each may be as large as a message."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters: all, but for what is said here."""

    task: str | None = None
    error: str | None = None
    older_than: float | None = None

    @property
    def is_all(self) -> bool:
        return self == Wanted()

    def matches(self, letter: DeadLetter, now: float) -> bool:
        """Whether a letter is one of them. `now` is by the broker's clock, as its time is."""
        if self.task is not None and letter.task_name != self.task:
            return False
        if self.error is not None and self.error.lower() not in (letter.error or "").lower():
            return False
        return self.older_than is None or letter.time <= now - self.older_than


@dataclass(frozen=True, slots=True)
class Choice:
    """Which letters: those of `ids`, or where there are none all that are wanted."""

    ids: tuple[str, ...]
    queue: str | None
    wanted: Wanted


def choose(names: tuple[str, ...], every: bool, wanted: Wanted) -> Choice:
    """`ID...`, or `--all [QUEUE]` with filters."""
    if every:
        if len(names) > 1:
            raise WrongUseError("--all takes one queue at most, or none for all queues")
        return Choice((), checked(names[0] if names else None), wanted)
    if not names:
        raise WrongUseError("which dead letters? Name their ids, or say --all")
    if not wanted.is_all:
        raise WrongUseError("--task, --error and --older-than go with --all, not with ids")
    return Choice(tuple(dict.fromkeys(names)), None, wanted)


def checked(queue: str | None) -> str | None:
    """The name of a queue, if there is one and it is right."""
    return None if queue is None else check_name("queue", queue)


async def pick(broker: Broker, choice: Choice) -> dict[str, list[str]]:
    """The ids chosen, by queue. Nothing is done yet when one of them is not found."""
    picked: dict[str, list[str]] = {}
    for task_id in choice.ids:
        letter = await find(broker, task_id)
        picked.setdefault(letter.queue, []).append(task_id)
    if not choice.ids:
        for queue, count in await counts(broker, choice.queue):
            letters = matching(broker, queue, count, choice.wanted)
            picked[queue] = [letter.id async for letter in letters]
    return picked


async def find(broker: Broker, task_id: str, queue: str | None = None) -> DeadLetter:
    """The letter of one task, of a queue or of any."""
    try:
        return await broker.dead_letter(queue, task_id)
    except TaskNotFoundError as error:
        raise CommandError(f"no dead letter of a task with id '{task_id}'") from error


async def counts(broker: Broker, queue: str | None) -> list[tuple[str, int]]:
    """The queues that have dead letters, and how many; of one queue or of all."""
    queues: Sequence[str] = await broker.queues() if queue is None else [queue]
    return [(stats.queue, stats.dead) for stats in await broker.stats(queues) if stats.dead]


async def matching(
    broker: Broker, queue: str, count: int, wanted: Wanted
) -> AsyncGenerator[DeadLetter, None]:
    """The letters wanted, the newest first; one more page than there were, as new ones come."""
    seen, now = set(), await broker.time()
    for offset in range(0, count + _PAGE, _PAGE):
        for letter in await broker.dead_letters(queue, limit=_PAGE, offset=offset):
            if letter.id not in seen and wanted.matches(letter, now):
                seen.add(letter.id)
                yield letter
