"""The loop of a scheduler, with a store and a clock that the test gives."""

import asyncio
from datetime import UTC, datetime

import pytest

import ltq
from ltq._scheduler.entry import ASK_PAUSED
from ltq._scheduler.loop import LONGEST_SLEEP, SchedulerLoop
from ltq.broker import ScheduleSlot, SlotReceipt
from ltq.errors import BrokerError
from ltq.message import Published
from ltq.schedule import Schedule

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC).timestamp()

worker = ltq.Worker("jobs", "memory://scheduler-loop")


@worker.cron("*/10 * * * *", name="tidy")
@worker.task
async def tidy() -> None: ...


class Store:
    """Keeps the slots it is asked to keep; sleeping moves its clock on, for `rounds` times."""

    def __init__(self, rounds: int, *errors: Exception) -> None:
        self.now = NOON
        self.rounds = rounds
        self.errors = list(errors)
        self.fire_errors: list[Exception] = []
        self.answer: Published = Published.CREATED
        self.is_other = False
        self.is_paused = False
        self.kept: int | None = None
        self.fired: list[int] = []
        self.sleeps: list[float] = []
        self.over = asyncio.Event()

    async def time(self) -> float:
        if self.errors:
            raise self.errors.pop(0)
        return self.now

    async def fire(self, slot: ScheduleSlot) -> SlotReceipt:
        if self.fire_errors:
            raise self.fire_errors.pop(0)
        if slot.after is None:
            self.kept = int(self.now) if self.kept is None else self.kept
            return SlotReceipt(self.kept)
        if self.is_paused:
            return SlotReceipt(self.kept or 0, is_paused=True)
        if self.is_other or slot.envelope is None:
            return SlotReceipt(slot.slot, is_other=self.is_other)
        if self.answer is not Published.FULL:
            self.kept = slot.slot
            self.fired.append(slot.slot)
        return SlotReceipt(self.kept or 0, self.answer)

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        if len(self.sleeps) >= self.rounds:
            self.over.set()
            await asyncio.Event().wait()
        self.now += seconds

    async def run(self, schedules: tuple[Schedule, ...] = tuple(worker.schedules)) -> None:
        loop = SchedulerLoop(
            self, schedules, sleep=self.sleep, clock=lambda: 0.0, jitter=lambda seconds: seconds
        )
        loop.start()
        async with asyncio.timeout(5):
            await self.over.wait()
        await loop.aclose()


async def test_it_sleeps_a_minute_at_most_and_fires_each_slot() -> None:
    store = Store(22)
    await store.run()
    assert store.fired == [NOON + 600, NOON + 1200]
    assert set(store.sleeps) == {LONGEST_SLEEP}


async def test_without_schedules_it_looks_at_the_clock_now_and_then() -> None:
    store = Store(3)
    await store.run(())
    assert store.sleeps == [LONGEST_SLEEP] * 3


async def test_a_store_that_is_away_is_asked_again_ever_less_often(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "ltq.scheduler")
    store = Store(8, *[BrokerError("away")] * 6)
    await store.run()
    assert store.sleeps[:6] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0]
    assert caplog.text.count("away; schedules wait for the broker") == 1
    assert "the broker is back" in caplog.text


async def test_a_schedule_that_fails_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    store = Store(5)
    store.fire_errors = [ValueError("a bug"), ValueError("a bug")]
    await store.run()
    assert store.sleeps[:2] == [pytest.approx(0.2), pytest.approx(0.4)]
    assert caplog.text.count("schedule tidy: ValueError('a bug'); trying again") == 1


async def test_a_full_queue_keeps_the_slot_for_later(caplog: pytest.LogCaptureFixture) -> None:
    store = Store(12)
    store.answer = Published.FULL
    await store.run()
    assert store.fired == []
    assert store.sleeps[10:] == pytest.approx([0.2, 0.4], abs=1e-3)
    assert "queue jobs:tidy is full" in caplog.text


async def test_one_that_is_declared_otherwise_elsewhere_is_not_fired(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = Store(12)
    store.is_other = True
    await store.run()
    assert store.fired == []
    assert "schedule tidy is declared differently in another process" in caplog.text


async def test_one_that_was_just_paused_is_asked_for_again_until_it_goes_on() -> None:
    store = Store(16)
    store.is_paused = True
    await store.run()
    assert store.fired == []
    assert store.sleeps[10:] == pytest.approx([ASK_PAUSED] * 6)
    assert store.kept == NOON


async def test_another_task_with_the_id_of_a_slot_is_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = Store(12)
    store.answer = Published.ID_CONFLICT
    await store.run()
    assert "schedule tidy: another task has the id" in caplog.text


async def test_slots_that_were_missed_are_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "ltq.scheduler")
    store = Store(1)
    store.kept = int(NOON) - 3600
    await store.run()
    assert store.fired == [NOON]
    assert "no scheduler has run since 2030-01-01T11:10:00+00:00: misfire=once" in caplog.text


async def test_since_when_no_scheduler_ran_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    store = Store(1)
    store.kept = int(NOON) - 3600
    with caplog.at_level("INFO"):
        await store.run()
    since = "no scheduler has run since 2030-01-01T11:10:00+00:00: misfire=once"
    assert f"schedule tidy: {since}" in caplog.messages


async def test_of_many_schedules_none_is_left_out() -> None:
    many = ltq.Worker("many", broker_url="memory://many")

    @many.task
    async def tidy() -> None: ...

    for number in range(251):
        many.cron("*/10 * * * *", name=f"tidy-{number}")(tidy)
    store = Store(12)
    await store.run(tuple(many.schedules))
    assert store.fired == [NOON + 600] * 251
