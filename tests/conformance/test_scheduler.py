"""Schedules: each slot is fired once, whoever comes first, and what was missed by its policy."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

import ltq
from ltq._scheduler.loop import SchedulerLoop
from ltq.broker import Broker
from ltq.broker.schedule_slots import ScheduleSlot, SlotReceipt
from ltq.errors import BrokerError
from ltq.message import Published
from ltq.options import Priority
from ltq.scheduler import Misfire, Schedule, Scheduler
from ltq.state import Status
from tests.conformance.conftest import MakeBroker, MakeConsumer
from tests.conformance.factories import QUEUE, claim_one, make_envelope
from tests.eventually import eventually


def make_tick(**fields: Any) -> ScheduleSlot:
    """A tick of the schedule `daily`."""
    due = int(time.time()) + 60
    return ScheduleSlot(**{"schedule": "daily", "queue": QUEUE, "spec": "a", "due": due, **fields})


async def begin(broker: Broker, **fields: Any) -> int:
    """Let the schedule begin, or go on; the slot kept."""
    return (await broker.fire(make_tick(**fields))).last


class TestTime:
    async def test_it_is_the_brokers(self, broker: Broker) -> None:
        assert await broker.time() == pytest.approx(time.time(), abs=5.0)


class TestFire:
    async def test_a_schedule_begins_now_and_goes_on_where_it_was(self, broker: Broker) -> None:
        first = await begin(broker)
        assert first == pytest.approx(await broker.time(), abs=2.0)
        assert await broker.fire(make_tick(after=first, slot=first - 5)) == SlotReceipt(first - 5)
        assert await begin(broker) == first - 5
        assert await broker.queues() == []

    async def test_a_slot_is_enqueued_once(self, broker: Broker) -> None:
        after = await begin(broker)
        envelope = make_envelope(result_ttl=0.0)
        tick = make_tick(after=after, slot=after + 1, envelope=envelope)
        assert await broker.fire(tick) == SlotReceipt(after + 1, Published.CREATED)
        assert await broker.fire(tick) == SlotReceipt(after + 1)
        assert (await broker.state(QUEUE, envelope.id)).status is Status.PENDING
        assert await broker.queues() == [QUEUE]

    async def test_also_when_its_state_is_gone(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        after = await begin(broker)
        tick = make_tick(after=after, slot=after + 1, envelope=make_envelope())
        await broker.fire(tick)
        delivery = await claim_one(broker, make_consumer())
        await broker.release(delivery.lease, result_ttl=0.0)
        assert await broker.find(delivery.lease.id) is None
        assert (await broker.fire(tick)).published is None

    async def test_of_many_at_once_one_fires(self, make_broker: MakeBroker) -> None:
        brokers = [make_broker() for _ in range(4)]
        after = await begin(brokers[0])
        for slot in range(after + 1, after + 6):
            envelope = make_envelope()
            tick = make_tick(after=slot - 1, slot=slot, envelope=envelope)
            ticked = await asyncio.gather(*(broker.fire(tick) for broker in brokers))
            assert [one.published for one in ticked].count(Published.CREATED) == 1
            assert {one.last for one in ticked} == {slot}

    async def test_it_wakes_a_consumer(self, broker: Broker, make_consumer: MakeConsumer) -> None:
        after = await begin(broker)
        waiting = asyncio.create_task(claim_one(broker, make_consumer()))
        envelope = make_envelope(priority=Priority.HIGH, max_tries=3)
        await broker.fire(make_tick(after=after, slot=after + 1, envelope=envelope))
        delivery = await waiting
        assert (delivery.lease.id, delivery.max_tries) == (envelope.id, 3)

    async def test_a_task_that_is_there_counts_as_fired(self, broker: Broker) -> None:
        after, envelope = await begin(broker), make_envelope()
        await broker.publish([envelope])
        tick = make_tick(after=after, slot=after + 1, envelope=envelope)
        assert await broker.fire(tick) == SlotReceipt(after + 1, Published.EXISTS)

    async def test_without_room_the_slot_is_not_kept(self, broker: Broker) -> None:
        after = await begin(broker)
        await broker.publish([make_envelope()])
        tick = make_tick(after=after, slot=after + 1, envelope=make_envelope(max_pending=1))
        assert await broker.fire(tick) == SlotReceipt(after, Published.FULL)
        assert await begin(broker) == after
        await broker.clear(QUEUE)
        assert await broker.fire(tick) == SlotReceipt(after + 1, Published.CREATED)

    async def test_with_another_spec_it_begins_anew(self, broker: Broker) -> None:
        after = await begin(broker)
        await broker.fire(make_tick(after=after, slot=after - 3600))
        assert await begin(broker, spec="b") >= after

    async def test_who_declares_it_otherwise_waits_until_nobody_else_does(
        self, broker: Broker
    ) -> None:
        now = int(await broker.time())
        await begin(broker, spec="b", due=now - 30)
        tick = make_tick(after=now - 60, slot=now, envelope=make_envelope())
        ticked = await broker.fire(tick)
        assert (ticked.is_other, ticked.published) == (True, None)
        await broker.fire(make_tick(spec="b", after=ticked.last, slot=now - 120, due=now - 61))
        assert await broker.fire(tick) == SlotReceipt(now, Published.CREATED)

    async def test_what_is_kept_by_a_clock_far_ahead_counts_for_nothing(
        self, broker: Broker
    ) -> None:
        after = await begin(broker)
        await broker.fire(make_tick(after=after, slot=after + 3 * 86400))
        assert await begin(broker) == pytest.approx(after, abs=5)

    async def test_what_is_not_kept_any_more_is_believed(self, broker: Broker) -> None:
        tick = make_tick(after=1000, slot=2000, envelope=make_envelope())
        assert await broker.fire(tick) == SlotReceipt(2000, Published.CREATED)

    async def test_it_is_forgotten_a_month_after_it_was_due(self, broker: Broker) -> None:
        after = await begin(broker)
        past = after - 31 * 86400
        await broker.fire(make_tick(after=after, slot=past, due=past + 60))
        assert await begin(broker) >= after

    async def test_namespaces_are_apart(self, broker: Broker) -> None:
        after = await begin(broker)
        await broker.fire(make_tick(after=after, slot=after - 60))
        assert await begin(broker, queue="shop:pay") >= after


class Rest:
    """Sleeps for ever, and tells that everything due was seen to."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self.begun.set()
        await asyncio.Event().wait()


Declare = Callable[[Scheduler], None]


async def run_once(broker: Broker, declare: Declare) -> tuple[Schedule, ...]:
    """Run a scheduler until nothing is due."""
    rest = Rest()
    scheduler = Scheduler(broker=broker)
    declare(scheduler)
    loop = SchedulerLoop(broker, scheduler.schedules, sleep=rest)
    loop.start()
    async with asyncio.timeout(10):
        await rest.begun.wait()
    await loop.aclose()
    assert all(0 < seconds <= 60 for seconds in rest.seconds)
    return scheduler.schedules


async def keep(broker: Broker, schedule: Schedule, seconds: float) -> int:
    """Let the last slot kept be so long ago, as if nobody had run since; now."""
    now = int(await broker.time())
    last = (await broker.fire(_kept(schedule, None, now))).last
    await broker.fire(_kept(schedule, last, now - int(seconds)))
    return now


def _kept(schedule: Schedule, after: int | None, slot: int) -> ScheduleSlot:
    return ScheduleSlot(
        schedule=schedule.name,
        queue=schedule.task.queue,
        spec=schedule.spec,
        after=after,
        slot=slot,
        due=int(time.time()) + 60,
    )


def make_task(broker: Broker, **options: Any) -> ltq.Task[[str], None]:
    worker = ltq.Worker("mail", broker=broker)

    @worker.task(**options)
    async def send(to: str) -> None: ...

    return send


async def pending(broker: Broker) -> int:
    (stats,) = await broker.stats([QUEUE])
    return stats.pending


class TestScheduler:
    async def test_a_new_schedule_fires_nothing_from_the_past(self, broker: Broker) -> None:
        task = make_task(broker)
        await run_once(broker, lambda one: one.cron("@hourly", task.message("a")))
        assert await pending(broker) == 0

    @pytest.mark.parametrize(("misfire", "runs"), [("once", 1), ("skip", 0), ("all", 6)])
    async def test_what_was_missed_is_seen_to_by_the_policy(
        self, broker: Broker, misfire: Misfire, runs: int
    ) -> None:
        task = make_task(broker)

        def declare(scheduler: Scheduler) -> None:
            scheduler.cron("0 */4 * * *", task.message("a"), misfire=misfire)

        (schedule,) = await run_once(broker, declare)
        now = await keep(broker, schedule, 86400 + 7)
        if now % 14400 > 2:  # else the latest slot is due just now
            await run_once(broker, declare)
            assert await pending(broker) in ({runs, 7} if misfire == "all" else {runs})
            await run_once(broker, declare)
            assert await pending(broker) in ({runs, 7} if misfire == "all" else {runs})

    async def test_each_slot_has_an_id_that_tells_it(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        task = make_task(broker, priority="low", timeout=9)

        def declare(scheduler: Scheduler) -> None:
            message = task.with_options(priority="high", max_tries=4).message("a")
            scheduler.cron("0 0 1 1 *", message, name="new-year")

        (schedule,) = await run_once(broker, declare)
        now = await keep(broker, schedule, 366 * 86400)
        await run_once(broker, declare)
        delivery = await claim_one(broker, make_consumer())
        year = time.gmtime(now).tm_year
        assert delivery.lease.id == f"new-year:{year}0101T000000Z"
        assert (delivery.timeout, delivery.max_tries) == (9.0, 4)
        assert delivery.enqueue_time == pytest.approx(now, abs=5.0)

    async def test_many_fire_each_slot_once(self, make_broker: MakeBroker) -> None:
        brokers = [make_broker() for _ in range(3)]
        schedulers = [Scheduler(broker=broker) for broker in brokers]
        for scheduler, broker in zip(schedulers, brokers, strict=True):
            task = make_task(broker, result_ttl=0)
            scheduler.cron("* * * * * *", task.message("a"), misfire="all")
        began = time.time()
        running = [asyncio.create_task(scheduler.run()) for scheduler in schedulers]

        async def has_fired() -> bool:
            return await pending(brokers[0]) >= 3

        await eventually(has_fired, 10.0)
        for scheduler in schedulers:
            await scheduler.stop()
        await asyncio.gather(*running)
        assert await pending(brokers[0]) <= time.time() - began + 1

    async def test_a_changed_expression_does_not_fire_old_slots(self, broker: Broker) -> None:
        task = make_task(broker)
        (schedule,) = await run_once(
            broker, lambda one: one.cron("@daily", task.message("a"), name="report")
        )
        await keep(broker, schedule, 86400 * 3)
        await run_once(broker, lambda one: one.cron("@hourly", task.message("a"), name="report"))
        await run_once(broker, lambda one: one.cron("@daily", task.message("a"), name="report"))
        assert await pending(broker) == 0

    async def test_one_that_fails_does_not_stop_the_others(self, broker: Broker) -> None:
        full, task = make_task(broker, max_pending=1), make_task(broker)
        worker = ltq.Worker("shop", broker=broker)

        @worker.task
        async def pay() -> None: ...

        def declare(scheduler: Scheduler) -> None:
            scheduler.cron("@hourly", full.message("a"))
            scheduler.cron("@hourly", pay.message())

        await task.send("b")
        for schedule in await run_once(broker, declare):
            await keep(broker, schedule, 86400)
        await run_once(broker, declare)
        (stats,) = await broker.stats(["shop:pay"])
        assert (stats.pending, await pending(broker)) == (1, 1)
        await broker.clear(QUEUE)
        await run_once(broker, declare)
        assert await pending(broker) == 1

    async def test_a_workers_events_tell_what_was_sent(self, broker: Broker) -> None:
        worker = ltq.Worker("mail", broker=broker)

        @worker.cron("@daily", name="every")
        @worker.task
        async def send() -> None: ...

        seen: list[ltq.Event] = []
        worker.subscribe(seen.append)
        (schedule,) = worker.schedules
        await keep(broker, schedule, 86400)
        await run_once(broker, lambda one: one.register_worker(worker))
        assert [(one.kind, one.task_name) for one in seen] == [("enqueued", "mail:send")]
        assert seen[0].id.startswith("every:")

    async def test_the_broker_away_is_waited_for(
        self, broker: Broker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        task = make_task(broker)

        def declare(scheduler: Scheduler) -> None:
            scheduler.cron("@hourly", task.message("a"))

        (schedule,) = await run_once(broker, declare)
        await keep(broker, schedule, 7200)
        answer, asked = broker.time, 0

        async def away() -> float:
            nonlocal asked
            asked += 1
            if asked < 4:
                raise BrokerError("away")
            return await answer()

        monkeypatch.setattr(broker, "time", away)
        for _ in range(4):
            await run_once(broker, declare)
        assert await pending(broker) == 1
