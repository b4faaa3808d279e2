"""Schedules that a broker keeps: put, replaced, removed, paused and resumed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace

from ltq.broker import Broker, KeptSchedule, ScheduleRecord, ScheduleSlot, SlotReceipt
from ltq.errors import ConfigurationError
from ltq.message import Envelope, Published
from ltq.options import Priority
from ltq.testing.conformance._support.factories import QUEUE, make_envelope
from ltq.testing.conformance._support.fixtures import OpenBroker

MANY = 510
"""More schedules than one answer should hold."""


def make_schedule(name: str = "nightly", **fields: Any) -> KeptSchedule:
    """A schedule of a task in `QUEUE`."""
    given = {"expr": "0 3 * * *", "tz": "UTC", "misfire": "once", "envelope": make_envelope(id="")}
    return KeptSchedule(name=name, **{**given, **fields})


async def put(broker: Broker, schedule: KeptSchedule, due_in: int = 3600) -> ScheduleRecord:
    """Put a schedule whose first slot is due in some time, and read what is known of it."""
    assert await broker.put_schedule(schedule, int(await broker.time()) + due_in)
    return await read(broker, schedule.name)


async def read(broker: Broker, name: str = "nightly") -> ScheduleRecord:
    """What is known of a schedule."""
    (record,) = await broker.schedules([name], QUEUE)
    return record


def slot_of(record: ScheduleRecord, slot: int | None = None, **fields: Any) -> ScheduleSlot:
    """The next slot of a schedule that was put, a minute after its last one."""
    slot = record.last + 60 if slot is None else slot
    given = {"after": record.last, "due": slot + 60, "envelope": make_envelope(id=f"n:{slot}")}
    names = {"schedule": record.name, "queue": QUEUE, "spec": record.spec, "put": record.put}
    return ScheduleSlot(slot=slot, **{**names, **given, **fields})


async def declare(
    broker: Broker, run: str = "run", name: str = "nightly", *, due_in: int = 3600
) -> ScheduleSlot:
    """Let a scheduler begin with a schedule that its code declares. Returns its next slot."""
    due = int(await broker.time()) + due_in
    begins = ScheduleSlot(schedule=name, queue=QUEUE, spec="code", scheduler=run, due=due)
    receipt = await broker.fire(begins)
    slot = replace(begins, after=receipt.last, slot=receipt.last + 60, since=receipt.since)
    return replace(slot, envelope=make_envelope(id=f"c:{slot.slot}"))


class TestPutSchedule:
    async def test_one_that_is_new_begins_now(self, broker: Broker) -> None:
        schedule = make_schedule()
        before = int(await broker.time())
        record = await put(broker, schedule)
        assert before <= record.last <= int(await broker.time())
        expected = ScheduleRecord(
            name="nightly",
            namespace="mail",
            spec=schedule.spec,
            put=schedule.digest,
            schedule=schedule,
            last=record.last,
        )
        assert record == expected

    async def test_its_queue_is_known_from_then_on(self, broker: Broker) -> None:
        await put(broker, make_schedule())
        assert await broker.queues() == [QUEUE]
        assert [one.queue for one in await broker.stats([QUEUE])] == [QUEUE]

    async def test_its_message_is_kept_whole(self, broker: Broker) -> None:
        envelope = Envelope(
            id="",
            queue=QUEUE,
            lane=f"{QUEUE}/mail:other",
            task_name="mail:other",
            body=b'{"to":"j\xc3\xb6"}\xff\x00',
            serializer="msgpack",
            priority=Priority.HIGH,
            delay=2.5,
            timeout=3.0,
            max_tries=4,
            result_ttl=0.0,
            max_pending=7,
            max_deliveries=None,
            fingerprint="f",
            unique_for=0.5,
            ctx=b'{"trace":"\xc3\xa4"}',
        )
        schedule = make_schedule(envelope=envelope, misfire="all", tz="Europe/Berlin")
        assert (await put(broker, schedule)).schedule == schedule

    async def test_each_slot_is_fired_once(self, open_broker: OpenBroker) -> None:
        brokers = [open_broker() for _ in range(3)]
        record = await put(brokers[0], make_schedule())
        slot = slot_of(record)
        receipts = await asyncio.gather(*(one.fire(slot) for one in brokers))
        assert sorted(receipts, key=lambda one: one.published is None) == [
            SlotReceipt(slot.slot, Published.CREATED),
            SlotReceipt(slot.slot),
            SlotReceipt(slot.slot),
        ]
        assert await brokers[0].fire(slot) == SlotReceipt(slot.slot)
        assert await brokers[0].fire(replace(slot, after=None)) == SlotReceipt(slot.slot)
        now = await read(brokers[1])
        assert (now.last, now.fired) == (slot.slot, slot.slot)

    async def test_a_slot_may_pass_without_a_task(self, broker: Broker) -> None:
        slot = slot_of(await put(broker, make_schedule()), envelope=None)
        assert await broker.fire(slot) == SlotReceipt(slot.slot)
        now = await read(broker)
        assert (now.last, now.fired) == (slot.slot, None)

    async def test_without_room_the_slot_is_not_kept(self, broker: Broker) -> None:
        record = await put(broker, make_schedule())
        await broker.publish([make_envelope()])
        slot = slot_of(record, envelope=make_envelope(max_pending=1))
        assert await broker.fire(slot) == SlotReceipt(record.last, Published.FULL)
        assert (await read(broker)).fired is None
        await broker.clear(QUEUE)
        assert (await broker.fire(slot)).published is Published.CREATED

    async def test_the_very_same_changes_nothing(self, broker: Broker) -> None:
        record = await put(broker, make_schedule())
        latest = (await broker.changed_schedules(QUEUE, 0)).latest
        assert await put(broker, make_schedule()) == record
        assert (await broker.fire(slot_of(record))).published is Published.CREATED
        assert (await put(broker, make_schedule())).fired == record.last + 60
        assert (await broker.changed_schedules(QUEUE, latest)).records == []

    async def test_what_was_replaced_fires_no_more(self, broker: Broker) -> None:
        old = await put(broker, make_schedule())
        new = await put(broker, make_schedule(expr="0 4 * * *"))
        assert await broker.fire(slot_of(old)) == SlotReceipt(new.last, is_gone=True)
        assert (await broker.fire(slot_of(new))).published is Published.CREATED

    async def test_other_arguments_go_on_where_it_was(self, broker: Broker) -> None:
        old = await put(broker, make_schedule())
        await broker.fire(slot_of(old, old.last - 7200))
        new = await put(broker, make_schedule(envelope=make_envelope(id="", body=b"[]")))
        assert new.put != old.put
        assert new.last == old.last - 7200

    async def test_another_expression_begins_now(self, broker: Broker) -> None:
        old = await put(broker, make_schedule())
        slot = slot_of(old, old.last - 7200, due=old.last + 7200)
        await broker.fire(slot)
        new = await put(broker, make_schedule(expr="0 4 * * *"))
        assert new.last >= old.last
        assert new.fired == slot.slot

    async def test_but_what_the_former_one_left_undone_is_not_lost(self, broker: Broker) -> None:
        old = await put(broker, make_schedule())
        await broker.fire(slot_of(old, old.last - 120, due=old.last - 3))
        new = await put(broker, make_schedule(expr="0 4 * * *"))
        assert new.last == old.last - 4

    @pytest.mark.parametrize("paused", [False, True])
    async def test_no_slot_comes_again_though_the_clock_was_set_back(
        self, broker: Broker, paused: bool
    ) -> None:
        old = await put(broker, make_schedule())
        ahead = slot_of(old, old.last + 3600)
        await broker.fire(ahead)
        if paused:
            await broker.pause_schedule(QUEUE, "nightly")
        new = await put(broker, make_schedule(expr="0 4 * * *"))
        assert new.last == ahead.slot

    async def test_names_of_running_code_are_refused(self, broker: Broker) -> None:
        slot = await declare(broker)
        assert await broker.put_schedule(make_schedule(), slot.due) is False
        assert (await read(broker)).put == ""
        assert (await broker.fire(slot)).published is Published.CREATED

    async def test_and_are_free_when_it_has_ended(self, broker: Broker) -> None:
        slot = await declare(broker)
        await broker.fire(replace(slot, leaves=True))
        record = await put(broker, make_schedule())
        assert await broker.fire(slot) == SlotReceipt(record.last, is_other=True)
        assert (await broker.fire(replace(slot, after=None, since=0.0))).is_other

    @pytest.mark.parametrize("wrong", ["", "a b", "n" * 201])
    async def test_wrong_names_are_refused(self, broker: Broker, wrong: str) -> None:
        envelope = make_envelope(id="", queue=wrong)
        for schedule in (make_schedule(wrong), make_schedule(envelope=envelope)):
            with pytest.raises(ConfigurationError):
                await broker.put_schedule(schedule, 1)
        for call in (broker.remove_schedule, broker.pause_schedule, broker.resume_schedule):
            with pytest.raises(ConfigurationError):
                await call(QUEUE, wrong)
            with pytest.raises(ConfigurationError):
                await call(wrong, "nightly")
        with pytest.raises(ConfigurationError):
            await broker.changed_schedules(wrong, 0)
        for names, queue in ((["nightly", wrong], None), (["nightly"], wrong)):
            with pytest.raises(ConfigurationError):
                await broker.schedules(names, queue)
        assert await broker.schedule_marks() == {}


class TestRemoveSchedule:
    async def test_nothing_of_it_is_fired_any_more(self, broker: Broker) -> None:
        record = await put(broker, make_schedule())
        assert await broker.remove_schedule(QUEUE, "nightly") is True
        assert (await broker.fire(slot_of(record))).is_gone
        assert await broker.schedules(["nightly"]) == []
        assert await broker.remove_schedule(QUEUE, "nightly") is False

    async def test_put_again_it_begins_anew(self, broker: Broker) -> None:
        record = await put(broker, make_schedule())
        await broker.fire(slot_of(record, record.last - 3600))
        await broker.remove_schedule(QUEUE, "nightly")
        again = await put(broker, make_schedule())
        assert again.last >= record.last
        assert again.fired is None

    async def test_what_is_declared_stays_while_its_code_runs(self, broker: Broker) -> None:
        slot = await declare(broker)
        assert await broker.remove_schedule(QUEUE, "nightly") is False
        assert (await broker.fire(slot)).published is Published.CREATED
        await broker.fire(replace(slot, leaves=True))
        assert await broker.remove_schedule(QUEUE, "nightly") is True
        assert await broker.schedules(["nightly"]) == []


class TestPauseSchedule:
    async def test_no_slot_is_fired_or_passed(self, broker: Broker) -> None:
        record = await put(broker, make_schedule())
        assert await broker.pause_schedule(QUEUE, "nightly") is True
        assert await broker.pause_schedule(QUEUE, "nightly") is True
        slot = slot_of(record)
        assert await broker.fire(slot) == SlotReceipt(record.last, is_paused=True)
        assert await broker.fire(replace(slot, envelope=None)) == SlotReceipt(
            record.last, is_paused=True
        )
        assert await read(broker) == replace(record, is_paused=True)

    async def test_until_it_is_resumed(self, broker: Broker) -> None:
        record = await put(broker, make_schedule())
        await broker.pause_schedule(QUEUE, "nightly")
        assert await broker.resume_schedule(QUEUE, "nightly") is True
        resumed = await read(broker)
        assert resumed == replace(record, resumed=resumed.resumed)
        assert record.last <= resumed.resumed <= await broker.time()
        assert await broker.resume_schedule(QUEUE, "nightly") is True
        assert (await read(broker)) == resumed
        assert (await broker.fire(slot_of(record))).published is Published.CREATED

    async def test_one_that_is_put_anew_stays_paused(self, broker: Broker) -> None:
        await put(broker, make_schedule())
        await broker.pause_schedule(QUEUE, "nightly")
        new = await put(broker, make_schedule(expr="0 4 * * *"), due_in=-1000)
        assert new.is_paused
        assert (await broker.fire(slot_of(new))).is_paused

    async def test_what_is_declared_can_be_paused(self, broker: Broker) -> None:
        slot = await declare(broker)
        assert await broker.pause_schedule(QUEUE, "nightly") is True
        assert slot.after is not None
        assert await broker.fire(slot) == SlotReceipt(slot.after, is_paused=True)
        assert (await declare(broker, "another")).after == slot.after
        (paused,) = (await broker.changed_schedules(QUEUE, 0)).records
        assert (paused.name, paused.spec, paused.is_paused) == ("nightly", "code", True)
        await broker.resume_schedule(QUEUE, "nightly")
        assert (await broker.fire(slot)).published is Published.CREATED
        assert (await read(broker)).fired == slot.slot

    async def test_one_that_was_paused_for_long_is_still_known(self, broker: Broker) -> None:
        await declare(broker, due_in=10 - 30 * 86400)  # it would be forgotten in ten seconds
        await broker.pause_schedule(QUEUE, "nightly")
        await broker.resume_schedule(QUEUE, "nightly")
        resumed = await read(broker)
        assert (resumed.is_paused, resumed.resumed > 0) == (False, True)

    async def test_an_unknown_name_is_told(self, broker: Broker) -> None:
        assert await broker.pause_schedule(QUEUE, "nightly") is False
        assert await broker.resume_schedule(QUEUE, "nightly") is False
        assert await broker.schedule_marks() == {}


class TestChangedSchedules:
    async def test_only_what_was_changed_since(self, broker: Broker) -> None:
        empty = await broker.changed_schedules(QUEUE, 0)
        assert (empty.records, empty.gone, empty.latest) == ([], [], 0)
        for name in ("a", "b", "c"):
            await put(broker, make_schedule(name))
        found = await broker.changed_schedules(QUEUE, 0)
        assert [one.name for one in found.records] == ["a", "b", "c"]
        assert found.records[1] == await read(broker, "b")
        assert not found.has_more
        await broker.pause_schedule(QUEUE, "a")
        await broker.remove_schedule(QUEUE, "b")
        later = await broker.changed_schedules(QUEUE, found.latest)
        assert [(one.name, one.is_paused) for one in later.records] == [("a", True)]
        assert later.gone == ["b"]
        assert (await broker.changed_schedules(QUEUE, later.latest)).records == []
        now = await broker.changed_schedules(QUEUE, 0)
        assert [one.name for one in now.records] == ["c", "a"]

    async def test_what_was_removed_is_gone_also_if_code_declares_it_then(
        self, broker: Broker
    ) -> None:
        await put(broker, make_schedule())
        latest = (await broker.changed_schedules(QUEUE, 0)).latest
        await broker.remove_schedule(QUEUE, "nightly")
        await declare(broker)
        changes = await broker.changed_schedules(QUEUE, latest)
        assert (changes.records, changes.gone) == ([], ["nightly"])
        await broker.pause_schedule(QUEUE, "nightly")
        changes = await broker.changed_schedules(QUEUE, changes.latest)
        assert ([one.name for one in changes.records], changes.gone) == (["nightly"], [])

    async def test_each_change_makes_another_mark(self, broker: Broker) -> None:
        marks = [await broker.schedule_marks()]
        changes: list[Callable[[], Awaitable[bool]]] = [
            lambda: broker.put_schedule(make_schedule(), 1),
            lambda: broker.pause_schedule(QUEUE, "nightly"),
            lambda: broker.resume_schedule(QUEUE, "nightly"),
            lambda: broker.put_schedule(make_schedule(misfire="all"), 1),
            lambda: broker.remove_schedule(QUEUE, "nightly"),
        ]
        for change in changes:
            assert await change()
            marks.append(await broker.schedule_marks())
        assert marks[0] == {}
        numbers = [one["mail"] for one in marks[1:]]
        assert len(set(numbers)) == len(numbers)

    async def test_firing_is_no_change(self, broker: Broker) -> None:
        record = await put(broker, make_schedule())
        marks = await broker.schedule_marks()
        await broker.fire(slot_of(record))
        assert await broker.schedule_marks() == marks

    async def test_of_very_many_each_is_found(self, broker: Broker) -> None:
        names = [f"s{number}" for number in range(MANY)]
        for first in range(0, MANY, 51):  # not all at once: a store may be slow
            some = [make_schedule(name) for name in names[first : first + 51]]
            await asyncio.gather(*(broker.put_schedule(one, 1) for one in some))
        found, after = list[str](), 0
        for _ in range(MANY):  # fewer, as one call may return several
            changes = await broker.changed_schedules(QUEUE, after)
            found += [one.name for one in changes.records]
            after = changes.latest
            if not changes.has_more:
                break
        assert sorted(found) == sorted(names)

    async def test_namespaces_are_apart(self, broker: Broker) -> None:
        await put(broker, make_schedule())
        other = make_schedule(envelope=make_envelope(id="", queue="shop:pay"))
        await broker.put_schedule(other, 1)
        await broker.pause_schedule("shop:ship", "nightly")
        assert not (await read(broker)).is_paused
        assert set(await broker.schedule_marks()) == {"mail", "shop"}
        both = await broker.schedules(["nightly", "unknown"])
        assert sorted((one.namespace, one.is_paused) for one in both) == [
            ("mail", False),
            ("shop", True),
        ]
