"""A scheduler fires each slot once, and misfires by policy."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

import ltq
from ltq._scheduler.loop import SchedulerLoop
from ltq.broker import Broker
from ltq.broker.schedule_slots import ScheduleSlot
from ltq.errors import BrokerError
from ltq.scheduler import Misfire, Schedule, Scheduler
from ltq.testing.conformance._support.eventually import PATIENCE
from ltq.testing.conformance._support.factories import QUEUE, claim_one
from ltq.testing.conformance._support.fixtures import MakeConsumer, OpenBroker


class Rest:
    """A sleep that never ends. `begun` is set when nothing more is due."""

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
    async with asyncio.timeout(PATIENCE):
        await rest.begun.wait()
    await loop.aclose()
    assert all(0 < seconds <= 60 for seconds in rest.seconds)
    return scheduler.schedules


async def keep(broker: Broker, schedule: Schedule, seconds: float) -> int:
    """Move the last slot into the past, as if no scheduler had run since. Returns the time."""
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
        if now % 14400 > 2:  # otherwise the latest slot is due now
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
        assert (delivery.timeout, delivery.max_tries) == (None, 4)  # what its message says
        assert delivery.enqueue_time == pytest.approx(now, abs=5.0)

    async def test_many_fire_each_slot_once(self, open_broker: OpenBroker) -> None:
        brokers = [open_broker() for _ in range(3)]
        tasks = {id(broker): make_task(broker, result_ttl=0) for broker in brokers}

        async def run(broker: Broker) -> tuple[Schedule, ...]:
            message = tasks[id(broker)].message("a")
            return await run_once(
                broker, lambda one: one.cron("* * * * * *", message, misfire="all")
            )

        (schedule,) = await run(brokers[0])
        await brokers[0].clear(QUEUE)
        last = await keep(brokers[0], schedule, 20) - 20
        await asyncio.gather(*(run(broker) for broker in brokers))
        now = int(await brokers[0].time())
        assert 20 <= await pending(brokers[0]) <= now - last

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
