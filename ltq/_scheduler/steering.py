"""Putting, pausing, triggering and listing schedules: what a scheduler does besides running."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from ltq._cron.expression import parse_cron
from ltq._declared import DeclaredTask
from ltq._display.suggestions import near_names
from ltq._scheduler.declare import check_misfire
from ltq._sender.publish import publish
from ltq._sender.sent import Sent
from ltq.broker import Broker, KeptSchedule, ScheduleRecord, ScheduleSlot
from ltq.errors import ConfigurationError, ScheduleNotFoundError
from ltq.events import EventStream
from ltq.message import Envelope, Message, Published
from ltq.names import check_name, is_name, new_id
from ltq.schedule import Origin, Schedule, ScheduleInfo

_RANDOM = 19
"""Characters of an id that tell apart the tasks that one schedule was triggered to send."""


class _Found(NamedTuple):
    """A schedule that the broker knows."""

    broker: Broker
    record: ScheduleRecord


class Steering:
    """Steers the schedules of some brokers.

    `declared` are those of the code here, by the broker they are sent to. With `only`, all is put
    into that broker.
    """

    def __init__(self, only: Broker | None, declared: Mapping[Broker, Sequence[Schedule]]) -> None:
        self._only = only
        self._declared = declared

    async def put(self, schedule: Schedule) -> None:
        """See `Scheduler.put`."""
        broker = self._broker_of(schedule)
        if any(one.key == schedule.key for one in self._declared.get(broker, ())):
            raise ConfigurationError(_declared_text(schedule.name, "put it under another name"))
        kept = KeptSchedule(
            name=schedule.name,
            expr=schedule.expr,
            tz=_zone_name(schedule),
            misfire=schedule.misfire,
            envelope=_template(schedule),
        )
        for record in await broker.schedules([schedule.name]):
            if record.put and record.namespace != schedule.key[0]:
                raise ConfigurationError(
                    f"schedule {schedule.name!r} is put already for worker {record.namespace!r}: "
                    "remove it first, or take another name"
                )
        due = schedule.next(int(await broker.time()))
        if not await broker.put_schedule(kept, due):
            raise ConfigurationError(_declared_text(schedule.name, "put it under another name"))

    async def remove(self, name: str) -> None:
        """See `Scheduler.remove`."""
        found = await self._find(name)
        removed = [
            await broker.remove_schedule(record.namespace, name)
            for broker, record in sorted(found, key=lambda one: not one.record.put)
            if record.put or not any(one.record.put for one in found)
        ]
        if not any(removed):
            if found or self._own(name):
                raise ConfigurationError(_declared_text(name, "pause it, or remove it there"))
            raise await self._unknown(name)

    async def pause(self, name: str) -> None:
        """See `Scheduler.pause`."""
        found = await self._find(name)
        known = {one.record.namespace for one in found}
        for broker, schedule in self._own(name):
            if schedule.key[0] not in known:
                await _begin(broker, schedule)
                await broker.pause_schedule(schedule.key[0], name)
        for broker, record in found:
            await broker.pause_schedule(record.namespace, name)
        if not found and not self._own(name):
            raise await self._unknown(name)

    async def resume(self, name: str) -> None:
        """See `Scheduler.resume`."""
        found = await self._find(name)
        for broker, record in found:
            await broker.resume_schedule(record.namespace, name)
        if not found and not self._own(name):
            raise await self._unknown(name)

    async def trigger(self, name: str, task_id: str | None) -> str:
        """See `Scheduler.trigger`."""
        given = None if task_id is None else check_name("task id", task_id)
        new = given or f"{name}:{new_id()[:_RANDOM]}"
        found = await self._find(name)
        for broker, record in found:
            if record.schedule is not None:
                envelope = replace(record.schedule.envelope, id=new, has_new_id=False)
                return (await publish(broker, [envelope], _UNHEARD))[0]
        for broker, schedule in self._own(name):
            return await _send(broker, schedule, new)
        if found:
            raise ConfigurationError(
                f"schedule {name!r} is declared in code that is not here: "
                "trigger it by the scheduler, or the worker, that declares it"
            )
        raise await self._unknown(name)

    async def infos(self) -> list[ScheduleInfo]:
        """See `Scheduler.list`."""
        infos = [info for broker in self._declared for info in await self._infos_of(broker)]
        return sorted(infos, key=lambda info: info.name)

    async def _infos_of(self, broker: Broker) -> list[ScheduleInfo]:
        now = int(await broker.time())
        records = {(one.namespace, one.name): one for one in await read_all(broker)}
        own = {schedule.key: schedule for schedule in self._declared[broker]}
        for namespace in {key[0] for key in own}:
            names = [key[1] for key in own if key[0] == namespace]
            for record in await broker.schedules(names, namespace):
                records[namespace, record.name] = record
        infos = [
            _info_of_record(record, now)
            for key, record in records.items()
            if record.put or (record.is_paused and key not in own)
        ]
        for key, schedule in own.items():
            infos.append(_info_of_schedule(schedule, records.get(key), now))
        return infos

    async def _find(self, name: object) -> list[_Found]:
        """What the brokers know of the schedules with a name."""
        text = name if isinstance(name, str) else check_name("schedule", name)
        if not is_name(text):  # no schedule has such a name
            return []
        return [
            _Found(broker, record)
            for broker in self._declared
            for record in await broker.schedules([text])
        ]

    async def _unknown(self, name: str) -> ScheduleNotFoundError:
        return ScheduleNotFoundError(
            name, near_names(name, {one.name for one in await self.infos()})
        )

    def _own(self, name: str) -> list[tuple[Broker, Schedule]]:
        """The schedules of the code here with a name."""
        return [
            (broker, schedule)
            for broker, schedules in self._declared.items()
            for schedule in schedules
            if schedule.name == name
        ]

    def _broker_of(self, schedule: Schedule) -> Broker:
        """Where its task is sent."""
        theirs = DeclaredTask.of(schedule.task).broker
        same = [broker for broker in self._declared if broker.url == theirs.url]
        return self._only or next(iter(same), theirs)


_UNHEARD = EventStream("scheduler")


async def read_all(broker: Broker) -> list[ScheduleRecord]:
    """All schedules that were put into a broker, and those that were paused."""
    records: list[ScheduleRecord] = []
    for namespace in await broker.schedule_marks():
        after, has_more = 0, True
        while has_more:
            changes = await broker.changed_schedules(namespace, after)
            records += changes.records
            after, has_more = changes.latest, changes.has_more
    return records


async def _begin(broker: Broker, schedule: Schedule) -> None:
    """Let the broker know a schedule that is declared here, before any scheduler has run it."""
    namespace, name = schedule.key
    due = schedule.next(int(await broker.time()))
    await broker.fire(ScheduleSlot(schedule=name, queue=namespace, spec=schedule.spec, due=due))


async def _send(broker: Broker, schedule: Schedule, task_id: str) -> str:
    """Send the task of a schedule that is declared here."""
    task, sent = DeclaredTask.of(schedule.task), Sent()
    envelope = replace(task.envelope(_message(schedule), task_id, sent), has_new_id=False)
    (found,) = await publish(broker, [envelope], _UNHEARD, sent=sent)
    if found == task_id:
        task.published(envelope, Published.CREATED)
    return found


def _template(schedule: Schedule) -> Envelope:
    """What each slot of a schedule enqueues, but the id."""
    task = DeclaredTask.of(schedule.task)
    return replace(task.envelope(_message(schedule), ""), id="", has_new_id=False)


def _message(schedule: Schedule) -> Message[Any]:
    return schedule.task.message() if schedule.message is None else schedule.message


def _zone_name(schedule: Schedule) -> str:
    """The name of its zone, by which others find the same."""
    try:
        parse_cron(schedule.expr, schedule.tz)
    except ConfigurationError as error:
        raise ConfigurationError(
            f"tz={schedule.tz!r} is not allowed: a schedule that is put needs a zone with a name"
        ) from error
    return schedule.tz


def _declared_text(name: str, advice: str) -> str:
    return f"schedule {name!r} is declared in code: {advice}"


def _info_of_schedule(schedule: Schedule, record: ScheduleRecord | None, now: int) -> ScheduleInfo:
    paused = record is not None and not record.put and record.is_paused
    return ScheduleInfo(
        name=schedule.name,
        expr=schedule.expr,
        tz=schedule.tz,
        task_name=schedule.task.name,
        paused=paused,
        last=None if record is None or record.put else record.fired,
        next=None if paused else schedule.next(max(now, 0 if record is None else record.last)),
        origin="code",
        misfire=schedule.misfire,
    )


def _info_of_record(record: ScheduleRecord, now: int) -> ScheduleInfo:
    """What a record says by itself."""
    expr, tz, task_name = [*record.spec.rsplit(" ", 2), "", ""][:3]
    origin: Origin = "put" if record.put else "code"
    upcoming: float | None = None
    try:
        cron = parse_cron(expr, tz)
        misfire = check_misfire(record.schedule.misfire) if record.schedule else None
        upcoming = None if record.is_paused else cron.next(max(now, record.last))
    except ConfigurationError:  # written by another version, or damaged: no scheduler runs it
        misfire = None
    return ScheduleInfo(
        name=record.name,
        expr=expr,
        tz=tz,
        task_name=task_name,
        paused=record.is_paused,
        last=record.fired,
        next=upcoming,
        origin=origin,
        misfire=misfire,
    )
