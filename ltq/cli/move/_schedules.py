"""Moving schedules that were put from one broker to another, so that each slot is fired once.

First the target keeps it paused, with a last slot before that of the source. Then it is paused at
the source, so that its last slot is known, and goes on at the target after that slot. At the end
the source forgets it. Wherever this ends, the two records say how far it came: a copy that waits to
go on is paused and has an earlier last slot. A schedule that its user has paused skips the first
two steps, and has the same last slot at both.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from msgspec.structs import replace

from ltq._cron.expression import parse_cron
from ltq.broker import Broker, ScheduleRecord
from ltq.names import namespace_of


@dataclass(slots=True)
class MovedSchedules:
    """What became of the schedules, by their names."""

    moved: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    """Those that stay, as the target has another one with the name."""


async def kept_schedules(source: Broker, queues: Collection[str]) -> list[ScheduleRecord]:
    """The schedules of these queues that were put, by their names."""
    found: list[ScheduleRecord] = []
    for namespace in sorted({namespace_of(queue) for queue in queues}):
        after, has_more = 0, True
        while has_more:
            changes = await source.changed_schedules(namespace, after)
            found += changes.records
            after, has_more = changes.latest, changes.has_more
    wanted = (one for one in found if one.schedule is not None and _queue_of(one) in queues)
    return sorted(wanted, key=lambda one: one.name)


async def move_schedules(source: Broker, target: Broker, queues: Collection[str]) -> MovedSchedules:
    """Move the schedules of these queues."""
    told = MovedSchedules()
    for record in await kept_schedules(source, queues):
        is_moved = await _move_one(source, target, record)
        (told.moved if is_moved else told.conflicts).append(record.name)
    return told


async def _move_one(source: Broker, target: Broker, record: ScheduleRecord) -> bool:
    """Move a schedule, or go on with that; return False if the target has another one."""
    queue, name = _queue_of(record), record.name
    there = next(iter(await target.schedules([name], queue)), None)
    if there is not None and not there.put:
        there = None  # declared in code: the target says whether that is still so
    if there is not None and there.put != record.put:
        return False
    if there is None or (there.is_paused and there.last < record.last):
        moved = await _stopped(source, target, record, there)
        if moved is None or not await _adopt(target, moved):
            return False
    await source.remove_schedule(queue, name)
    return True


async def _stopped(
    source: Broker, target: Broker, record: ScheduleRecord, there: ScheduleRecord | None
) -> ScheduleRecord | None:
    """A schedule as it is to go on at the target, paused at the source; None if it cannot."""
    if record.is_paused:  # by its user, if the target does not wait for it
        return replace(record, is_paused=there is None)
    waiting = replace(record, is_paused=True, last=record.last - 1)
    if there is None and not await _adopt(target, waiting):
        return None
    await source.pause_schedule(_queue_of(record), record.name)
    (stopped,) = await source.schedules([record.name], _queue_of(record))
    return replace(stopped, is_paused=False)


async def _adopt(target: Broker, record: ScheduleRecord) -> bool:
    assert record.schedule is not None
    cron = parse_cron(record.schedule.expr, record.schedule.tz)
    return await target.adopt_schedule(record, cron.next(record.last))


def _queue_of(record: ScheduleRecord) -> str:
    assert record.schedule is not None
    return record.schedule.envelope.queue
