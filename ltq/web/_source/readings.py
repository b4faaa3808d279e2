"""What the pages know of one broker: read once for all of them, by whoever asks first."""

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ltq.broker import Finding, Severity
from ltq.errors import BrokerError
from ltq.message import DeadLetter
from ltq.schedule import ScheduleInfo
from ltq.state import Minute, QueueStats, WorkerInfo, WorkerStatus
from ltq.web._source.cached import Cached
from ltq.web._source.faults import fault_of
from ltq.web._source.site import Board

T = TypeVar("T")

PATIENCE = 5.0
"""Seconds that a page waits for a broker."""

_MOST_HISTORIES = 200
_MOST_LOOKED_INTO = 8
"""Queues whose newest dead letters are looked at for the overview."""

_LETTERS_EACH = 25


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All queues of a broker at one moment."""

    queues: Sequence[QueueStats]
    time: float
    """By the broker's clock."""
    at: float
    """The same moment by `time.monotonic`."""

    @property
    def now(self) -> float:
        """The broker's time at this moment."""
        return self.time + time.monotonic() - self.at

    def queue(self, name: str) -> QueueStats | None:
        """One of the queues."""
        return next((one for one in self.queues if one.queue == name), None)

    @property
    def totals(self) -> dict[str, float]:
        """The counts of all queues together."""
        return {
            name: sum(getattr(queue, name) for queue in self.queues)
            for name in ("pending", "delayed", "working", "dead", "rate")
        }


@dataclass(frozen=True, slots=True)
class Failing:
    """Dead letters that are alike."""

    task_name: str
    fault: str
    """What they have in common, see `fault_of`."""
    count: int
    newest: DeadLetter


class Readings:
    """What was read of one broker, in one event loop."""

    def __init__(self, board: Board) -> None:
        self._broker = board.broker
        self._board = board
        self.snapshot: Cached[Snapshot] = Cached(
            self._bounded(self._read_snapshot), 0.9, usable=5.0
        )
        self.workers: Cached[list[WorkerInfo]] = Cached(self._bounded(self._broker.workers), 0.9)
        self.schedules: Cached[list[ScheduleInfo]] = Cached(
            self._bounded(board.scheduler.list), 0.9
        )
        self.failing: Cached[list[Failing]] = Cached(self._bounded(self._read_failing), 5.0)
        self.findings: Cached[list[Finding]] = Cached(self._read_findings, 60.0)
        self._histories: OrderedDict[str, Cached[list[Minute]]] = OrderedDict()

    async def renew(self) -> None:
        """Read all queues again, unless that was done a moment ago: for a page that is live."""
        await self.snapshot.renewed()

    async def now(self) -> float:
        """The broker's time."""
        return (await self.snapshot.get()).now

    async def knows(self, queue: str) -> bool:
        """Whether the broker knows a queue, however new it is."""
        if (await self.snapshot.get()).queue(queue) is not None:
            return True
        return (await self.snapshot.anew()).queue(queue) is not None

    def history(self, queue: str) -> Cached[list[Minute]]:
        """What happened in a queue in the last hour."""
        cached = self._histories.pop(queue, None)
        if cached is None:
            read = self._bounded(lambda: self._broker.history(queue, 60))
            cached = Cached(read, 5.0)
        self._histories[queue] = cached
        while len(self._histories) > _MOST_HISTORIES:
            self._histories.popitem(last=False)
        return cached

    def spoil(self) -> None:
        """Something was changed: read again what it may be seen in."""
        named = (self.snapshot, self.workers, self.schedules, self.failing, self.findings)
        everything: tuple[Cached[Any], ...] = (*named, *self._histories.values())
        for cached in everything:
            cached.spoil()

    async def letters(self, queue: str, *, limit: int, offset: int = 0) -> list[DeadLetter]:
        """Dead letters of a queue, the newest first."""
        return await self.bounded(self._broker.dead_letters(queue, limit=limit, offset=offset))

    async def bounded(self, call: Awaitable[T]) -> T:
        """Wait for a call of the broker. Raises `BrokerError` if it takes too long."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await call
        except TimeoutError as error:
            raise BrokerError(
                f"{self._broker.url} does not answer within {PATIENCE:g} s"
            ) from error

    def _bounded(self, call: Callable[[], Awaitable[T]]) -> Callable[[], Awaitable[T]]:
        return lambda: self.bounded(call())

    async def _read_snapshot(self) -> Snapshot:
        queues = await self._broker.stats(await self._broker.queues())
        now = await self._broker.time()
        return Snapshot(queues, now, time.monotonic())

    async def _read_failing(self) -> list[Failing]:
        """The newest dead letters of the queues with most of them, grouped."""
        queues = sorted((await self.snapshot.get()).queues, key=lambda one: -one.dead)
        named = [one.queue for one in queues[:_MOST_LOOKED_INTO] if one.dead]
        letters = [
            letter
            for queue in named
            for letter in await self._broker.dead_letters(queue, limit=_LETTERS_EACH)
        ]
        counts = Counter((one.task_name, fault_of(one.error)) for one in letters)
        newest: dict[tuple[str, str], DeadLetter] = {}
        for letter in sorted(letters, key=lambda one: one.time):
            newest[letter.task_name, fault_of(letter.error)] = letter
        failing = [Failing(*key, count, newest[key]) for key, count in counts.items()]
        return sorted(failing, key=lambda one: -one.newest.time)

    async def _read_findings(self) -> list[Finding]:
        """What `ltq doctor` finds without looking through the keys, the worst first."""
        found = await self._broker.examine(scan=0)
        order = {Severity.DANGER: 0, Severity.WARNING: 1, Severity.OK: 2}
        return sorted(found, key=lambda one: order[one.severity])


def silent_among(workers: Sequence[WorkerInfo]) -> int:
    """How many workers are silent."""
    return sum(worker.status is WorkerStatus.SILENT for worker in workers)
