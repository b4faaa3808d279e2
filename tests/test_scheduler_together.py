"""Schedules and schedulers beside one another: none holds up another one."""

import asyncio
import contextvars
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec.structs import replace

import ltq
from ltq import ConfigurationError, Scheduler
from ltq._scheduler import presence
from ltq._scheduler.entry import Entry
from ltq._scheduler.loop import SchedulerLoop
from ltq._scheduler.plans import DeclaredPlan
from ltq.broker import SCHEDULER_SILENT, ScheduleSlot, SlotReceipt
from ltq.brokers.memory import MemoryBroker
from ltq.errors import BrokerError
from ltq.message import Message, Published
from ltq.middleware import Middleware
from ltq.names import new_id
from ltq.schedule import MAX_MISSED, Schedule
from tests.elapse import elapse
from tests.eventually import eventually


class Store:
    """A store in memory that notes the calls, and lets each take as long as a test wants."""

    def __init__(self) -> None:
        self.broker = MemoryBroker(f"memory://{new_id()}")
        self.calls: list[ScheduleSlot] = []
        self.fired: dict[str, list[tuple[int, float]]] = {}
        self.under_way = 0
        self.most = 0
        self.stuck: set[str] = set()
        self.pause = 0.0
        self.error: Exception | None = None

    async def time(self) -> float:
        return await self.broker.time()

    async def fire(self, slot: ScheduleSlot) -> SlotReceipt:
        self.calls.append(slot)
        if self.error is not None:
            raise self.error
        if slot.schedule in self.stuck and slot.after is not None:
            await asyncio.Event().wait()
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await asyncio.sleep(self.pause)  # the task's own time: a slow network
            receipt = await self.broker.fire(slot)
        finally:
            self.under_way -= 1
        if receipt.published is Published.CREATED:
            late = await self.broker.time() - slot.slot
            self.fired.setdefault(slot.schedule, []).append((slot.slot, late))
        return receipt

    async def missed(self, schedule: Schedule, seconds: int) -> None:
        """Let the last slot of a schedule be so long ago."""
        now = int(await self.broker.time())
        slot = ScheduleSlot(
            schedule=schedule.name, queue=schedule.task.queue, spec=schedule.spec, due=now + 1
        )
        last = (await self.broker.fire(slot)).last
        await self.broker.fire(replace(slot, after=last, slot=now - seconds))


def declare(*names: str, misfire: str = "once", **options: Any) -> tuple[Schedule, ...]:
    """Schedules that fire each second."""
    worker = ltq.Worker("jobs", "memory://declared")
    for name in names:
        task = worker.task(name=name, **options)(_nothing)
        worker.cron("* * * * * *", name=name, misfire=misfire)(task)  # type: ignore[arg-type]  # a text
    return tuple(worker.schedules)


async def _nothing() -> None: ...


@asynccontextmanager
async def running(store: Store, schedules: Iterable[Schedule]) -> AsyncIterator[SchedulerLoop]:
    loop = SchedulerLoop(store, schedules)
    loop.start()
    try:
        yield loop
    finally:
        await loop.aclose()


class TestSchedulesAreIndependent:
    @pytest.mark.slow
    async def test_one_whose_call_hangs_holds_up_no_other(self) -> None:
        store, schedules = Store(), declare("stuck", "tick")
        store.stuck.add("stuck")
        async with running(store, schedules):
            await elapse(4.5, "slots of a second are due")
        assert len(store.fired["tick"]) >= 3
        assert max(late for _, late in store.fired["tick"]) < 1.5

    @pytest.mark.slow
    async def test_one_that_makes_up_for_a_day_holds_up_no_other(self) -> None:
        store = Store()
        store.pause = 0.06
        (behind,) = declare("behind", misfire="all")
        ticks = declare("tick", misfire="skip")
        await store.missed(behind, 100_000)
        async with running(store, [behind, *ticks]):
            await elapse(4.5, "slots of a second are due")
        assert len(store.fired["tick"]) >= 4
        assert max(late for _, late in store.fired["tick"]) < 0.9
        slots = [slot for slot, _ in store.fired["behind"]]
        assert len(slots) >= MAX_MISSED
        assert slots == list(range(slots[0], slots[0] + len(slots)))

    @pytest.mark.slow
    async def test_many_make_up_a_few_at_a_time(self) -> None:
        store, names = Store(), [f"behind-{number}" for number in range(10)]
        schedules = declare(*names, misfire="all")
        for schedule in schedules:
            await store.missed(schedule, 150)
        async with running(store, schedules):
            await eventually(lambda: sum(map(len, store.fired.values())) >= 1500)
        assert store.most <= 4 * 100 + 10
        for fired in store.fired.values():
            slots = [slot for slot, _ in fired]
            assert slots == list(range(slots[0], slots[0] + len(slots)))

    async def test_those_that_are_longest_overdue_make_up_first(self) -> None:
        store, names = Store(), [f"behind-{number}" for number in range(12)]
        schedules = declare(*names, misfire="all")
        for number, schedule in enumerate(schedules):
            await store.missed(schedule, 10 + 10 * number)
        async with running(store, schedules):
            await eventually(lambda: len(store.fired) == len(names))
        assert {*[*store.fired][:4]} == {*names[-4:]}

    @pytest.mark.slow
    async def test_very_many_that_make_up_need_few_rounds(self) -> None:
        store, names = Store(), [f"behind-{number}" for number in range(1200)]
        schedules = declare(*names, misfire="all")
        for schedule in schedules:
            await store.missed(schedule, 10)
        store.pause = 0.001
        rounds = 0
        time = store.time

        async def counted() -> float:
            nonlocal rounds
            rounds += 1
            return await time()

        store.time = counted  # type: ignore[method-assign]  # the loop asks once a round
        async with running(store, schedules):
            await eventually(lambda: len(store.fired) == len(names), 45.0)
        # With one for each four that are done there were 66 for 300; now 72 to 133 for 1200.
        assert rounds < len(names) / 6

    async def test_slots_behind_one_that_finds_no_room_wait_for_it(self) -> None:
        store = Store()
        (full,) = declare("full", misfire="all", max_pending=150)
        await store.missed(full, 290)
        async with running(store, [full]):
            await eventually(lambda: len(store.fired.get("full", [])) == 150)
            await store.broker.clear("jobs:full")
            await eventually(lambda: len(store.fired["full"]) >= 280)
        slots = [slot for slot, _ in store.fired["full"]]
        assert slots == list(range(slots[0], slots[0] + len(slots)))

    @pytest.mark.parametrize("error", [ltq.LtqError("not now"), SystemExit(0)])
    async def test_a_task_that_cannot_be_sent_keeps_the_slots_before_it(
        self, error: BaseException
    ) -> None:
        class Refusing(Middleware):
            sent = 0

            def on_send(self, message: Message[Any], task: ltq.Task[..., Any]) -> None:
                self.sent += 1
                if self.sent == 5:
                    raise error

            @asynccontextmanager
            async def __call__(
                self, message: Message[Any], task: ltq.Task[..., Any]
            ) -> AsyncIterator[None]:
                yield

        worker = ltq.Worker("jobs", "memory://refusing", middlewares=[Refusing()])
        worker.cron("* * * * * *", name="x", misfire="all")(worker.task(_nothing))
        store = Store()
        await store.missed(worker.schedules[0], 50)
        async with running(store, worker.schedules):
            await eventually(lambda: len(store.fired.get("x", [])) >= 50)
        slots = [slot for slot, _ in store.fired["x"]]
        assert slots == list(range(slots[0], slots[0] + len(slots)))


class TestPresence:
    async def test_it_says_that_it_is_there_and_that_it_ends(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(presence, "BEAT", 0.001)
        store, schedules = Store(), declare("a", "b")
        async with running(store, schedules):
            await eventually(lambda: len(store.calls) > 8)
            store.error = BrokerError("away")
            seen = len(store.calls)
            await eventually(lambda: len(store.calls) > seen + 4)
            store.error = None
        assert not any(call.leaves for call in store.calls[:-1])
        assert store.calls[-1].leaves
        assert len({call.scheduler for call in store.calls}) == 1

    async def test_an_end_does_not_wait_for_a_broker_that_is_away(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(presence, "_LEAVE_TIMEOUT", 0.01)
        store, schedules = Store(), declare("a")
        async with running(store, schedules):
            await eventually(lambda: len(store.calls) > 0)
            store.stuck.add("a")

    async def test_one_that_was_away_waits_until_others_may_be_back(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(presence, "BEAT", 0.001)
        now = 100.0
        store, schedules = Store(), declare("a")
        loop = SchedulerLoop(store, schedules, clock=lambda: now)
        loop.start()
        await eventually(lambda: len(store.calls) > 2)
        assert not loop._presence.is_just_back
        store.error, now = BrokerError("away"), 200.0
        store.error = None
        await eventually(lambda: loop._presence.is_just_back)
        now += SCHEDULER_SILENT
        assert not loop._presence.is_just_back
        await loop.aclose()


class TestOtherDeclaration:
    """Another process declares the schedule differently, and is gone without a word."""

    @pytest.mark.parametrize("misfire", ["once", "skip", "all"])
    async def test_each_slot_since_it_was_heard_of_is_fired_once(self, misfire: str) -> None:
        now = 1_900_000_000.25
        broker = MemoryBroker(f"memory://{new_id()}", clock=lambda: now)
        (schedule,) = declare("x", misfire=misfire)
        over = asyncio.Event()

        async def doze(seconds: float) -> None:
            nonlocal now
            if now > 1_900_000_020:
                over.set()
                await asyncio.Event().wait()
            if now < 1_900_000_001:  # the other one starts
                await broker.fire(other)
            now += seconds

        other = ScheduleSlot(
            schedule="x", queue=schedule.task.queue, spec="daily", due=2**31, scheduler="other"
        )
        loop = SchedulerLoop(broker, [schedule], sleep=doze, beats=False)
        loop.start()
        async with asyncio.timeout(5):
            await over.wait()
        await loop.aclose()
        stats = (await broker.stats([schedule.task.queue]))[0]
        assert stats.pending == 20


class TestContext:
    async def test_what_a_scheduler_sends_belongs_to_nobodys_request(self) -> None:
        request = contextvars.ContextVar("request", default="none")
        seen: list[str] = []

        class Seen(Middleware):
            def on_send(self, message: Message[Any], task: ltq.Task[..., Any]) -> None:
                seen.append(request.get())

            @asynccontextmanager
            async def __call__(
                self, message: Message[Any], task: ltq.Task[..., Any]
            ) -> AsyncIterator[None]:
                yield

        worker = ltq.Worker("jobs", "memory://context", middlewares=[Seen()])
        worker.cron("* * * * * *")(worker.task(_nothing))
        worker.subscribe(lambda _: seen.append(request.get()))
        request.set("a request")
        scheduler = Scheduler("memory://context")
        scheduler.register_worker(worker)
        run = asyncio.create_task(scheduler.run())
        await eventually(lambda: len(seen) >= 2)
        await scheduler.stop()
        await run
        assert set(seen) == {"none"}


class TestDeclaredTooLate:
    async def test_a_scheduler_that_runs_takes_no_schedule(self) -> None:
        worker = ltq.Worker("jobs", "memory://late")
        task = worker.task(_nothing)
        scheduler = Scheduler("memory://late")
        scheduler.start_background()
        with pytest.raises(ConfigurationError, match="declared while its scheduler runs"):
            scheduler.cron("@daily", task.message(), name="late")
        worker.cron("@daily")(task)
        with pytest.raises(ConfigurationError, match="declare schedules before the start"):
            scheduler.register_worker(worker)
        await scheduler.stop()
        scheduler.cron("@daily", task.message(), name="late")
        assert [one.name for one in scheduler.schedules] == ["late"]

    async def test_a_worker_that_runs_warns(self, caplog: pytest.LogCaptureFixture) -> None:
        worker = ltq.Worker("jobs", "memory://late-worker")
        task = worker.task(name="early")(_nothing)
        async with worker:
            worker.task(name="late")(_nothing)
            worker.cron("@daily")(task)
        assert "task jobs:late is declared while its worker runs" in caplog.text
        assert "a schedule (@daily) is declared while its worker runs" in caplog.text
        caplog.clear()
        worker.task(name="later")(_nothing)
        assert caplog.text == ""


class TestSlotsHeldUp:
    """Slots that were held up by another declaration are late, but not missed."""

    @pytest.mark.parametrize("taken_over", [True, False])
    def test_whoever_took_the_schedule_over(self, taken_over: bool) -> None:
        (schedule,) = declare("x", misfire="skip")
        entry = Entry(DeclaredPlan(schedule), lambda seconds: seconds)
        entry.note(SlotReceipt(100, since=1.0), 100.5)
        entry.succeeded()
        entry.note(SlotReceipt(100, is_other=True), 106.5)
        entry.succeeded()
        assert entry.is_others
        assert entry.last == 100
        entry.note(SlotReceipt(100, taken_over=taken_over), 108.0)
        entry.succeeded()
        assert entry.grace(108.0) > 8.0
        entry.note(SlotReceipt(108, Published.CREATED), 108.0)
        entry.succeeded()
        assert entry.grace(108.0) == 5.0

    def test_those_of_its_reign_are_not_fired(self) -> None:
        (schedule,) = declare("x")
        entry = Entry(DeclaredPlan(schedule), lambda seconds: seconds)
        entry.note(SlotReceipt(100, since=1.0), 100.5)
        entry.note(SlotReceipt(100, is_other=True), 160.5)
        assert entry.last == 160 - SCHEDULER_SILENT
        assert entry.wake_at(160.5) == 162.5
