"""Schedules that are kept in Redis.

What concerns one is in its namespace. `Keys.schedule_marks` has a number for each namespace, so
that one small read tells schedulers whether anything was changed anywhere.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from ltq.broker.schedules import KeptSchedule, ScheduleChanges, ScheduleRecord
from ltq.brokers._rules.constants import MOST_SCHEDULES
from ltq.brokers.redis._operations.chunks import read_some
from ltq.brokers.redis._operations.registry import Registry
from ltq.brokers.redis._operations.spread import read_each
from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._scripts.schedules import write_schedule
from ltq.brokers.redis._scripts.script import flag
from ltq.brokers.redis._server.call import Call
from ltq.brokers.redis._server.link import Link
from ltq.brokers.redis._server.links import Links
from ltq.brokers.redis._server.refusals import WrongTypeError
from ltq.names import namespace_of


async def put(links: Links, registry: Registry, schedule: KeptSchedule, due: int) -> bool:
    """See `ScheduleKeeper.put_schedule`."""
    namespace = namespace_of(schedule.envelope.queue)
    await registry.add(namespace)
    call = calls.PutScheduleCall(
        prefix=links.keys.prefix(namespace),
        schedule=schedule.name,
        spec=schedule.spec,
        due=due,
        put=schedule.digest,
        **write_schedule(schedule)._asdict(),
        queue=schedule.envelope.queue,
    )
    return await _change(links, namespace, call)


async def adopt(
    links: Links, registry: Registry, record: ScheduleRecord, schedule: KeptSchedule, due: int
) -> bool:
    """See `Mover.adopt_schedule`."""
    namespace = namespace_of(schedule.envelope.queue)
    await registry.add(namespace)
    call = calls.AdoptScheduleCall(
        prefix=links.keys.prefix(namespace),
        schedule=schedule.name,
        spec=schedule.spec,
        due=due,
        put=record.put,
        **write_schedule(schedule)._asdict(),
        last=record.last,
        fired="" if record.fired is None else record.fired,
        paused=flag(record.is_paused),
        resumed=record.resumed,
        queue=schedule.envelope.queue,
    )
    return await _change(links, namespace, call)


async def remove(links: Links, queue: str, name: str) -> bool:
    """See `ScheduleKeeper.remove_schedule`."""
    namespace = namespace_of(queue)
    call = calls.RemoveScheduleCall(prefix=links.keys.prefix(namespace), schedule=name)
    return await _change(links, namespace, call)


async def pause(links: Links, queue: str, name: str, *, paused: bool) -> bool:
    """See `ScheduleKeeper.pause_schedule` and `ScheduleKeeper.resume_schedule`."""
    namespace = namespace_of(queue)
    prefix, is_paused = links.keys.prefix(namespace), flag(paused)
    call = calls.PauseScheduleCall(prefix=prefix, schedule=name, paused=is_paused)
    return await _change(links, namespace, call)


async def _change(links: Links, namespace: str, call: Call[bool]) -> bool:
    """Make a change, and then let schedulers know, also if it was made by an earlier call."""
    is_done = await links.of(namespace).evaluate(call)
    if is_done:
        link = links.at(links.keys.schedule_marks)
        try:
            await link.call("HINCRBY", link.keys.schedule_marks, namespace, 1)
        except WrongTypeError:  # as in `lua/_call_or_reset.lua`
            await link.call("DEL", link.keys.schedule_marks)
            await link.call("HINCRBY", link.keys.schedule_marks, namespace, 1)
    return is_done


async def read_marks(links: Links) -> Mapping[str, int]:
    """See `ScheduleKeeper.schedule_marks`."""
    link = links.at(links.keys.schedule_marks)
    try:
        reply = await link.call("HGETALL", link.keys.schedule_marks)
    except WrongTypeError:
        return {}
    pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
    return {
        namespace.decode("utf-8", "replace"): int(number)
        for namespace, number in pairs
        if number.lstrip(b"-").isdigit()
    }


async def read_changed(link: Link, queue: str, after: int) -> ScheduleChanges:
    """See `ScheduleKeeper.changed_schedules`."""
    prefix, most = link.keys.prefix(namespace_of(queue)), link.reply_limit.bytes
    call = calls.ChangedSchedulesCall(
        prefix=prefix, most_bytes=most, after=after, limit=MOST_SCHEDULES
    )
    return await read_some(link, call)


async def read_named(
    links: Links, namespaces: Iterable[str], names: Sequence[str]
) -> list[ScheduleRecord]:
    """See `ScheduleKeeper.schedules`."""

    def lacks(found: Sequence[Sequence[ScheduleRecord]]) -> bool:
        return not {*names} <= {record.name for some in found for record in some}

    found = await read_each(links, namespaces, partial(_read_named, names), lacks=lacks)
    return [record for some in found for record in some]


async def _read_named(names: Sequence[str], link: Link, namespace: str) -> list[ScheduleRecord]:
    found: list[ScheduleRecord] = []
    seen = 0
    while seen < len(names):
        some = [*names[seen : seen + MOST_SCHEDULES]]
        prefix, most = link.keys.prefix(namespace), link.reply_limit.bytes
        call = calls.SchedulesCall(prefix=prefix, most_bytes=most, names=some)
        records = await read_some(link, call)
        found += [record for record in records if record is not None]
        seen += len(records)
    return found
