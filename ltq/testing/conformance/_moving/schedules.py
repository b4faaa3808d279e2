"""Schedules that are taken over from another store, with their slots."""

import asyncio

import pytest
from msgspec.structs import replace

from ltq.broker import Broker, ScheduleRecord, SlotReceipt
from ltq.errors import ConfigurationError
from ltq.message import Published
from ltq.testing.conformance._schedules.kept import declare, make_schedule, put, read, slot_of
from ltq.testing.conformance._support.factories import QUEUE
from ltq.testing.conformance._support.fixtures import OpenBroker


async def elsewhere(broker: Broker, *, last_ago: int = 300) -> ScheduleRecord:
    """What another store keeps of a schedule that has fired some seconds ago."""
    last, schedule = int(await broker.time()) - last_ago, make_schedule()
    return ScheduleRecord(
        name=schedule.name,
        namespace="mail",
        spec=schedule.spec,
        put=schedule.digest,
        schedule=schedule,
        last=last,
        fired=last,
        resumed=1e9,
    )


class TestAdoptSchedule:
    async def test_it_goes_on_after_its_last_slot_and_each_is_fired_once(
        self, open_broker: OpenBroker
    ) -> None:
        brokers = [open_broker() for _ in range(3)]
        record = await elsewhere(brokers[0])
        assert await brokers[0].adopt_schedule(record, record.last + 60)
        assert await read(brokers[1]) == record
        slot = slot_of(record)
        receipts = await asyncio.gather(*(one.fire(slot) for one in brokers))
        assert [one.published for one in receipts].count(Published.CREATED) == 1
        assert {one.last for one in receipts} == {slot.slot}

    async def test_schedulers_hear_of_it(self, broker: Broker) -> None:
        record = await elsewhere(broker)
        before = await broker.schedule_marks()
        assert await broker.adopt_schedule(record, record.last + 60)
        assert await broker.schedule_marks() != before
        assert (await broker.changed_schedules(QUEUE, 0)).records == [record]
        assert await broker.queues() == [QUEUE]

    async def test_one_that_goes_on_here_is_left_as_it_is(self, broker: Broker) -> None:
        record = await elsewhere(broker)
        await broker.adopt_schedule(record, record.last + 60)
        slot = slot_of(record)
        await broker.fire(slot)
        for again in (record, replace(record, is_paused=True, last=record.last - 1)):
            assert await broker.adopt_schedule(again, record.last + 60)
            assert await read(broker) == replace(record, last=slot.slot, fired=slot.slot)

    async def test_a_paused_one_waits_until_it_is_taken_over_again(self, broker: Broker) -> None:
        record = await elsewhere(broker)
        waiting = replace(record, is_paused=True, last=record.last - 1)
        assert await broker.adopt_schedule(waiting, record.last)
        assert await read(broker) == waiting
        paused = SlotReceipt(waiting.last, is_paused=True)
        assert await broker.fire(slot_of(waiting)) == paused
        assert await broker.adopt_schedule(record, record.last + 60)
        assert await read(broker) == record

    async def test_another_one_with_the_name_stays(self, broker: Broker) -> None:
        before = await put(broker, make_schedule(misfire="all"))
        record = await elsewhere(broker)
        assert not await broker.adopt_schedule(record, record.last + 60)
        await broker.pause_schedule(QUEUE, record.name)
        assert not await broker.adopt_schedule(record, record.last + 60)
        assert await read(broker) == replace(before, is_paused=True)

    async def test_so_does_one_that_running_code_declares(self, broker: Broker) -> None:
        slot = await declare(broker)
        record = await elsewhere(broker)
        assert not await broker.adopt_schedule(record, record.last + 60)
        await broker.fire(replace(slot, leaves=True))
        assert await broker.adopt_schedule(record, record.last + 60)
        assert await read(broker) == record

    async def test_what_was_not_put_is_refused(self, broker: Broker) -> None:
        record = await elsewhere(broker)
        with pytest.raises(ConfigurationError, match="was not put"):
            await broker.adopt_schedule(replace(record, schedule=None), 1)
        assert await broker.schedules([record.name]) == []
