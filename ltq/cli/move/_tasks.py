"""Moving the tasks and dead letters of a queue from one broker to another.

A batch is read here, taken over there, and then dropped here. Whatever ends this in between, a
repetition finds the batch here once more, and the other broker knows what it has.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

from ltq.broker import MAX_PAGE, Broker, Parcel
from ltq.cli.move._workflows import InWorkflows
from ltq.message import Published
from ltq.state import Status

_BATCH = MAX_PAGE
"""Most tasks of a batch."""

_HAS_IT = (Published.CREATED, Published.EXISTS)


@dataclass(slots=True)
class Moved:
    """What became of a queue. Numbers are of tasks or dead letters."""

    queue: str
    total: int = 0
    """How many there were to move when it began."""
    pending: int = 0
    delayed: int = 0
    dead: int = 0
    running: int = 0
    """How many run at the source still. They stay there until they end."""
    left: int = 0
    """How many wait, or are dead letters, at the source still."""
    is_paused_there: bool = False
    """Whether the target lets nothing of the queue be claimed."""
    conflicts: list[str] = field(default_factory=list)
    """Ids of those among them that stay, as another task at the target has the id."""
    empty: list[str] = field(default_factory=list)
    """Ids of dead letters that stay, as nothing of them is left that could run."""
    started: list[str] = field(default_factory=list)
    """Ids of tasks that are at the target, and were claimed at the source meanwhile."""
    bound: InWorkflows = field(default_factory=InWorkflows)
    """Those that stay as they are part of workflows, which end where they began."""

    @property
    def count(self) -> int:
        """How many were moved."""
        return self.pending + self.delayed + self.dead

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left but what runs, and nothing is there twice."""
        return not (self.left or self.started)


class QueueMove:
    """Moves one queue, which is paused at the source."""

    def __init__(
        self, source: Broker, target: Broker, queue: str, on_batch: Callable[[Moved], object]
    ) -> None:
        self._source = source
        self._target = target
        self._on_batch = on_batch
        self._stuck: set[str] = set()
        """What was tried and stays."""
        self.moved = Moved(queue)

    async def run(self) -> Moved:
        """Move what waits, until nothing does, and all dead letters."""
        await self._source.sweep([self.moved.queue])  # no worker may be left to take back leases
        (stats,) = await self._source.stats([self.moved.queue])
        self.moved.total = stats.pending + stats.delayed + stats.dead
        while await self._move_waiting(Status.PENDING) or await self._move_waiting(Status.DELAYED):
            pass  # what was delayed may have become due meanwhile
        self._stuck.clear()  # a dead letter may have the id of a task that was sent again
        while await self._move_letters():
            pass  # what runs may have died meanwhile
        (stats,) = await self._source.stats([self.moved.queue])
        self.moved.running = stats.working
        self.moved.left = stats.pending + stats.delayed + stats.dead
        (there,) = await self._target.stats([self.moved.queue])
        self.moved.is_paused_there = there.paused
        return self.moved

    async def _move_waiting(self, status: Status) -> bool:
        """Move the tasks with a status, in their order; return whether any was tried."""
        any_tried, behind_stuck = False, cast(str | None, None)
        while True:
            page = await self._source.tasks(
                self.moved.queue, status=status, limit=_BATCH, cursor=behind_stuck
            )
            self._stuck.update(
                one.id for one in page.items if self.moved.bound.has(one.id, one.ctx)
            )
            ids = [one.id for one in page.items if one.id not in self._stuck]
            if ids:  # what follows comes up to where they were
                await self._move(ids, await self._source.pack(self.moved.queue, ids))
                any_tried = True
            elif page.cursor is None:
                return any_tried
            else:
                behind_stuck = page.cursor

    async def _move_letters(self) -> bool:
        """Move the letters that are there now, the oldest first; return whether there were any."""
        any_moved = False
        (stats,) = await self._source.stats([self.moved.queue])
        for end in range(stats.dead, 0, -_BATCH):
            offset = max(0, end - _BATCH)
            letters = await self._source.dead_letters(
                self.moved.queue, limit=end - offset, offset=offset
            )
            ids = [one.id for one in reversed(letters) if one.id not in self._stuck]
            if ids:
                packed = await self._source.pack_dead(self.moved.queue, ids)
                await self._move(ids, packed)
                self.moved.empty += [id_ for id_, one in zip(ids, packed, strict=True) if not one]
                any_moved = True
        return any_moved

    async def _move(self, ids: Sequence[str], packed: Sequence[Parcel | None]) -> None:
        """Move a batch. What stays, and what is not there any more, is not tried again."""
        parcels = [one for one in packed if one is not None and not self._is_bound(one)]
        answers = await self._target.adopt(parcels)
        there = [one for one, has in zip(parcels, answers, strict=True) if has in _HAS_IT]
        started = await self._source.drop(there)
        gone = {one.envelope.id for one in there}.difference(started)
        self._stuck.update(one for one in ids if one not in gone)
        conflicts = {one.envelope.id for one in parcels}.difference(gone, started)
        self.moved.conflicts += sorted(conflicts)
        self.moved.started += started
        self._count([one for one in there if one.envelope.id in gone])
        self._on_batch(self.moved)

    def _is_bound(self, parcel: Parcel) -> bool:
        return self.moved.bound.has(parcel.envelope.id, parcel.envelope.ctx)

    def _count(self, parcels: Sequence[Parcel]) -> None:
        for one in parcels:
            if one.is_dead:
                self.moved.dead += 1
            elif one.status is Status.DELAYED:
                self.moved.delayed += 1
            else:
                self.moved.pending += 1
