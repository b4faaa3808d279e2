"""Dead letters of one queue or all: looked through, and those that match."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from ltq.broker import Broker
from ltq.message import DeadLetter, Published
from ltq.web._source.faults import fault_of
from ltq.web._source.readings import Readings

_PAGE = 100
"""Letters that are read at once: each may be as large as a message."""

_STEP = 200
"""Letters that one call retries or purges."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters are meant."""

    queue: str = ""
    """Empty: of all queues."""
    task_name: str = ""
    fault: str = ""
    """See `fault_of`."""

    @property
    def filters(self) -> dict[str, str]:
        """The query of an address that means the same letters."""
        return {"queue": self.queue, "task": self.task_name, "fault": self.fault}

    @property
    def is_all(self) -> bool:
        """Whether every letter of its queues matches."""
        return not (self.task_name or self.fault)

    def matches(self, letter: DeadLetter) -> bool:
        """Whether a letter is meant."""
        if self.task_name and letter.task_name != self.task_name:
            return False
        return not self.fault or fault_of(letter.error) == self.fault


async def letters_of(
    readings: Readings, queues: Sequence[tuple[str, int]]
) -> AsyncGenerator[DeadLetter, None]:
    """The letters of these queues, each with how many it has; the newest of each queue first.

    A page more is read of each: new ones may arrive meanwhile and move the others back.
    """
    for queue, count in queues:
        seen: set[str] = set()
        for offset in range(0, count + _PAGE, _PAGE):
            page = await readings.letters(queue, limit=_PAGE, offset=offset)
            for letter in page:
                if letter.id not in seen:
                    seen.add(letter.id)
                    yield letter
            if not page:
                break


async def ids_of(
    readings: Readings, queues: Sequence[tuple[str, int]], wanted: Wanted
) -> dict[str, list[str]]:
    """The ids of the letters that match, by queue, the oldest first."""
    found: dict[str, list[str]] = {}
    async for letter in letters_of(readings, queues):
        if wanted.matches(letter):
            found.setdefault(letter.queue, []).append(letter.id)
    return {queue: ids[::-1] for queue, ids in found.items()}


async def retry(broker: Broker, found: dict[str, list[str]]) -> tuple[int, int]:
    """Enqueue dead tasks again. Returns how many were, and how many could not be."""
    done = failed = 0
    for queue, ids in found.items():
        for start in range(0, len(ids), _STEP):
            answers = await broker.replay(queue, ids[start : start + _STEP])
            created = sum(answer is Published.CREATED for answer in answers)
            done, failed = done + created, failed + len(answers) - created
    return done, failed


async def purge(broker: Broker, found: dict[str, list[str]]) -> int:
    """Remove dead letters for good. Returns how many."""
    done = 0
    for queue, ids in found.items():
        for start in range(0, len(ids), _STEP):
            done += await broker.purge(queue, ids[start : start + _STEP])
    return done
