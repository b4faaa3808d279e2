"""How a scheduler follows the schedules that its broker keeps."""

import struct
from io import BytesIO
from zoneinfo import ZoneInfo

import pytest

import ltq
from ltq._aio.clock import jittered
from ltq._scheduler import kept
from ltq._scheduler.entry import Entry
from ltq._scheduler.kept import KeptSchedules
from ltq._scheduler.plans import DeclaredPlan
from ltq.broker import ScheduleChanges, ScheduleRecord, ScheduleSlot
from ltq.brokers.memory import MemoryBroker
from ltq.errors import ConfigurationError
from ltq.names import new_id
from ltq.schedule import Schedule
from ltq.testing.conformance._schedules.kept import make_schedule
from ltq.testing.conformance._support.factories import QUEUE, make_envelope

AN_HOUR_AHEAD = b"TZif" + struct.pack(">16x6llBB4s", 0, 0, 0, 0, 1, 4, 3600, 0, 0, b"CET")
"""A file of a time zone that has one offset."""


def new_broker() -> MemoryBroker:
    return MemoryBroker(f"memory://{new_id()}")


def send_in(broker: MemoryBroker, namespace: str = "mail") -> ltq.Task[[], None]:
    """A task that is sent once at a time."""
    worker = ltq.Worker(namespace, broker=broker)

    @worker.task(unique_for=3600)
    async def send() -> None: ...

    return send


def declaring(broker: MemoryBroker, namespace: str = "mail") -> ltq.Scheduler:
    scheduler = ltq.Scheduler(broker=broker)
    scheduler.cron("@daily", send_in(broker, namespace).message(), name="nightly")
    return scheduler


async def paused(broker: MemoryBroker, schedule: Schedule) -> Entry:
    """An entry of a schedule that was begun, and then paused."""
    namespace, name = schedule.key
    due = schedule.next(int(await broker.time()))
    slot = ScheduleSlot(schedule=name, queue=namespace, spec=schedule.spec, due=due)
    await broker.fire(slot)
    await broker.pause_schedule(namespace, name)
    return Entry(DeclaredPlan(schedule), jittered)


@pytest.mark.parametrize("again_after", [0.0, 30.0])
async def test_a_change_that_was_never_marked_is_found_later(
    monkeypatch: pytest.MonkeyPatch, again_after: float
) -> None:
    """Who made it died between the change and its mark."""
    monkeypatch.setattr(kept, "REREAD", again_after)
    broker = new_broker()
    await broker.put_schedule(make_schedule("first"), 1)
    marks = await broker.schedule_marks()

    async def old_marks() -> dict[str, int]:
        return dict(marks)

    monkeypatch.setattr(broker, "schedule_marks", old_marks)
    schedules = KeptSchedules(broker, {}, jittered)
    assert await schedules.update()
    await broker.put_schedule(make_schedule("second"), 1)
    assert await schedules.update() is (again_after == 0.0)
    expected = {"first", "second"} if again_after == 0.0 else {"first"}
    assert {name for _, name in schedules.entries} == expected


async def test_what_is_removed_is_left_out() -> None:
    broker = new_broker()
    await broker.put_schedule(make_schedule("tick"), 1)
    (schedule,) = declaring(broker).schedules
    await paused(broker, schedule)  # its code is not here
    schedules = KeptSchedules(broker, {}, jittered)
    await schedules.update()
    await broker.remove_schedule(QUEUE, "tick")
    assert await schedules.update()
    assert schedules.entries == {}


async def test_a_pause_ends_with_what_was_paused() -> None:
    """Somebody removed the schedule: the code that declares it begins anew."""
    broker = new_broker()
    (schedule,) = declaring(broker).schedules
    entry = await paused(broker, schedule)
    schedules = KeptSchedules(broker, {schedule.key: entry}, jittered)
    await schedules.update()
    assert entry.is_paused
    await broker.remove_schedule(QUEUE, schedule.name)
    await schedules.update()
    assert not entry.is_paused


@pytest.mark.parametrize("is_used_again", [False, True])
async def test_a_store_that_was_emptied_is_read_anew(
    monkeypatch: pytest.MonkeyPatch, is_used_again: bool
) -> None:
    broker, emptied = new_broker(), new_broker()
    (schedule,), (other,) = declaring(broker).schedules, declaring(broker, "sms").schedules
    entry, other_entry = await paused(broker, schedule), await paused(broker, other)
    for name in ("first", "second"):
        await broker.put_schedule(make_schedule(name), 1)
    declared = {schedule.key: entry, other.key: other_entry}
    schedules = KeptSchedules(broker, declared, jittered)
    await schedules.update()
    assert entry.is_paused
    if is_used_again:
        await emptied.put_schedule(make_schedule("third"), 1)
    monkeypatch.setattr(broker, "schedule_marks", emptied.schedule_marks)
    monkeypatch.setattr(broker, "changed_schedules", emptied.changed_schedules)
    assert await schedules.update()
    assert [name for _, name in schedules.entries] == ["third"] * is_used_again
    assert [one.is_paused for one in declared.values()] == [False, False]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (None, "it cannot be read"),
        (make_schedule(expr="@sometimes"), "cron expression '@sometimes' is not allowed"),
        (make_schedule(misfire="perhaps"), "'perhaps'"),
        (make_schedule(envelope=make_envelope(queue="other:q")), "is not of this namespace"),
    ],
)
async def test_one_that_cannot_be_run_is_told_and_others_are_run(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    wrong: ltq.broker.KeptSchedule | None,
    told: str,
) -> None:
    """A newer LTQ, or another program, has written it."""
    broker = new_broker()
    await broker.put_schedule(make_schedule("good"), 1)
    (good,) = await broker.schedules(["good"])
    bad = ScheduleRecord(
        name="bad", namespace=good.namespace, spec=good.spec, put="1", schedule=wrong, last=1
    )

    async def changed(namespace: str, after: int) -> ScheduleChanges:
        return ScheduleChanges(records=[bad, good], gone=[], latest=2)

    monkeypatch.setattr(broker, "changed_schedules", changed)
    schedules = KeptSchedules(broker, {}, jittered)
    await schedules.update()
    assert [name for _, name in schedules.entries] == ["good"]
    assert f"schedule bad of {good.namespace} cannot be fired: " in caplog.text
    assert told in caplog.text


class TestSteering:
    async def test_one_that_cannot_be_run_is_listed(self) -> None:
        broker = new_broker()
        await broker.put_schedule(make_schedule(expr="@sometimes"), 1)
        (found,) = await ltq.Scheduler(broker=broker).list()
        assert (found.name, found.expr) == ("nightly", "@sometimes")
        assert (found.misfire, found.next) == (None, None)

    async def test_one_that_is_paused_already_stays_so(self) -> None:
        scheduler = declaring(new_broker())
        for _ in range(2):
            await scheduler.pause("nightly")
        (found,) = await scheduler.list()
        assert found.paused

    async def test_a_unique_task_that_waits_is_not_sent_twice(self) -> None:
        scheduler = declaring(new_broker())
        first = await scheduler.trigger("nightly")
        assert await scheduler.trigger("nightly") == first

    async def test_a_zone_without_a_name_cannot_be_kept(self) -> None:
        scheduler, zone = declaring(new_broker()), ZoneInfo.from_file(BytesIO(AN_HOUR_AHEAD))
        with pytest.raises(ConfigurationError, match="needs a zone with a name"):
            await scheduler.put("x", "@daily", send_in(new_broker()).message(), tz=zone)
