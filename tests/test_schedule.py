"""The scheduler by itself: on a clock that a test moves, and its beginning and end."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from datetime import datetime
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

import ltq
from ltq import ConfigurationError, InvalidArgumentsError, Scheduler
from ltq._aio.signals import SAME_SIGNAL
from ltq._scheduler.loop import SchedulerLoop
from ltq.brokers.memory import MemoryBroker
from ltq.names import new_id
from ltq.schedule import MAX_MISSED, DueSlots
from ltq.scheduler import Misfire
from tests.elapse import elapse
from tests.eventually import eventually

BERLIN = ZoneInfo("Europe/Berlin")


class World:
    """A memory broker whose time passes only when a scheduler sleeps."""

    def __init__(self, begin: str = "2026-11-02T12:00", zone: ZoneInfo = BERLIN) -> None:
        self.zone = zone
        self.now = datetime.fromisoformat(begin).replace(tzinfo=zone).timestamp()
        self.broker = MemoryBroker(f"memory://{new_id()}", clock=lambda: self.now)
        self.end = self.now
        self.over = asyncio.Event()
        self.sleeps = 0
        self.paused: dict[int, float] = {}
        """How many seconds more a sleep takes, by its number."""
        self.worker = ltq.Worker("jobs", broker=self.broker)
        self.sent: list[str] = []
        self.worker.subscribe(self._note)

        @self.worker.task
        async def report(to: str = "") -> None: ...

        self.report = report

    def _note(self, event: ltq.Event) -> None:
        moment = datetime.fromtimestamp(self.now, self.zone)
        self.sent.append(moment.strftime("%m-%d %H:%M:%S %z"))

    async def doze(self, seconds: float) -> None:
        seconds += self.paused.get(self.sleeps, 0.0)
        self.sleeps += 1
        if self.now >= self.end:
            self.over.set()
            await asyncio.Event().wait()
        self.now = min(self.end, self.now + seconds)

    def scheduler(self, **options: Any) -> Scheduler:
        return Scheduler(broker=self.broker, **options)

    async def run(self, scheduler: Scheduler, seconds: float) -> None:
        """Run for so long, in no time."""
        self.end, self.over = self.now + seconds, asyncio.Event()
        loop = SchedulerLoop(self.broker, scheduler.schedules, sleep=self.doze)
        loop.start()
        async with asyncio.timeout(20):
            await self.over.wait()
        await loop.aclose()


HOUR, DAY = 3600.0, 86400.0


class TestTime:
    async def test_hours_pass_without_waiting(self) -> None:
        world = World()
        scheduler = world.scheduler(tz=BERLIN)
        scheduler.cron("*/30 * * * *", world.report.message("a"))
        await world.run(scheduler, 6 * HOUR)
        assert len(world.sent) == 12
        assert world.sent[:2] == ["11-02 12:30:00 +0100", "11-02 13:00:00 +0100"]

    async def test_between_slots_it_looks_at_the_clock_once_a_minute(self) -> None:
        world = World()
        scheduler = world.scheduler()
        scheduler.cron("@yearly", world.report.message("a"))
        await world.run(scheduler, HOUR)
        assert world.sleeps <= 62

    @pytest.mark.parametrize(
        ("begin", "expected"),
        [
            ("2026-03-28T00:00", ["03-28 02:30:00 +0100", "03-29 03:00:00 +0200"]),
            ("2026-10-24T00:00", ["10-24 02:30:00 +0200", "10-25 02:30:00 +0200"]),
        ],
    )
    async def test_a_daily_task_when_clocks_are_changed(
        self, begin: str, expected: list[str]
    ) -> None:
        world = World(begin)
        scheduler = world.scheduler(tz="Europe/Berlin")
        scheduler.cron("30 2 * * *", world.report.message("a"))
        await world.run(scheduler, 2 * DAY)
        assert world.sent == expected

    async def test_a_clock_that_is_set_back_fires_nothing_twice(self) -> None:
        world = World()
        scheduler = world.scheduler()
        scheduler.cron("*/10 * * * *", world.report.message("a"))
        await world.run(scheduler, HOUR)
        world.now -= HOUR / 2
        await world.run(scheduler, HOUR / 2)
        assert len(world.sent) == 6
        await world.run(scheduler, HOUR / 6)
        assert len(world.sent) == 7

    async def test_one_set_back_by_days_is_believed(self) -> None:
        world = World()
        scheduler = world.scheduler()
        scheduler.cron("@hourly", world.report.message("a"))
        await world.run(scheduler, HOUR)
        world.now -= 30 * DAY
        await world.run(scheduler, 3 * HOUR)
        assert len(world.sent) == 1 + 3


class TestMisfire:
    @pytest.mark.parametrize(("misfire", "runs"), [("once", 1), ("skip", 0), ("all", 10)])
    async def test_what_was_missed(self, misfire: Misfire, runs: int) -> None:
        world = World()
        scheduler = world.scheduler()
        scheduler.cron("* * * * * *", world.report.message("a"), misfire=misfire)
        await world.run(scheduler, 5)
        assert len(world.sent) == 5
        world.now += 10.5
        world.end = world.now
        await world.run(scheduler, 0)
        assert len(world.sent) in ({6} if misfire == "skip" else {5 + runs})
        await world.run(scheduler, 3.5)
        assert len(world.sent) == 5 + max(runs, misfire == "skip") + 4

    async def test_a_pause_of_a_running_one_loses_nothing_that_is_near(self) -> None:
        world = World()
        scheduler = world.scheduler()
        scheduler.cron("* * * * * *", world.report.message("a"), misfire="skip")
        world.paused[3] = 3.0
        await world.run(scheduler, 20)
        assert len(world.sent) == 20

    async def test_all_is_bounded(self) -> None:
        world = World()
        scheduler = world.scheduler()
        scheduler.cron("* * * * *", world.report.message("a"), misfire="all")
        await world.run(scheduler, 60)
        world.now += 2 * MAX_MISSED * 60
        await world.run(scheduler, 0)
        assert len(world.sent) == 1 + MAX_MISSED


class TestDeclaring:
    def test_its_slots_can_be_listed(self) -> None:
        world = World()
        scheduler = world.scheduler()
        scheduler.cron("0 3 * * *", world.report.message("a"), tz="Europe/Berlin")
        (schedule,) = scheduler.schedules
        first = schedule.next(0)
        assert [*islice(schedule.iterate(0), 3)] == [first, first + 86400, first + 2 * 86400]

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            ({"expr": "* * *"}, r"'\* \* \*' is not allowed.*five fields"),
            ({"tz": "Mars/Base"}, r"tz='Mars/Base' is not allowed: .*Europe/Berlin"),
            ({"misfire": "twice"}, r"misfire='twice' is not allowed: \"once\", \"skip\" or"),
            ({"name": "two words"}, "schedule name 'two words' is not allowed: 1 to 180 of"),
            ({"name": ""}, "schedule name '' is not allowed: 1 to 180 of"),
            ({"name": "n" * 181}, "at most 180"),
            (
                {"message": "jobs:report"},
                "'jobs:report' is not allowed: it must be",
            ),
            ({"message": ltq.Message((), {}, "jobs:report")}, "made by task.message"),
        ],
    )
    async def test_what_is_wrong_is_told(self, options: dict[str, Any], told: str) -> None:
        world = World()
        defaults = {"expr": "@daily", "message": world.report.message("a")}
        with pytest.raises(ConfigurationError, match=told):
            world.scheduler().cron(**{**defaults, **options})

    async def test_a_wrong_zone_of_the_scheduler(self) -> None:
        with pytest.raises(ConfigurationError, match="tz="):
            Scheduler("memory://x", tz="Mars/Base")

    async def test_an_id_or_an_eta_would_be_the_same_each_time(self) -> None:
        world = World()
        eta = datetime(2027, 1, 1, tzinfo=BERLIN)
        for task in (world.report.with_options(id="a"), world.report.with_options(eta=eta)):
            with pytest.raises(ConfigurationError, match="not allowed in a schedule"):
                world.scheduler().cron("@daily", task.message("a"))

    async def test_a_copy_with_other_arguments_is_another_schedule(self) -> None:
        world, scheduler = World(), World().scheduler()
        message = world.report.message("a")
        for args in ("a",), ("b",):
            scheduler.cron("@daily", replace(message, args=args))
        one, other = scheduler.schedules
        assert one.name != other.name
        assert scheduler.schedules[1].message == replace(message, args=("b",))
        with pytest.raises(InvalidArgumentsError, match="Expected `str`, got `int`"):
            world.scheduler().cron("@daily", replace(message, args=(5,)))

    async def test_the_name_of_a_task_may_be_long(self) -> None:
        world, scheduler = World(), World().scheduler()
        names = ["n" * 190 + "1", "n" * 190 + "2"]
        for name in names:
            task = world.worker.task(name=name)(world.report.fn)
            scheduler.cron("@daily", task.message("a"))
        assert [len(one.name) for one in scheduler.schedules] == [180, 180]

    async def test_the_same_twice_needs_a_name(self) -> None:
        world, message = World(), World().report.message("a")
        scheduler = world.scheduler()
        scheduler.cron("@daily", message)
        scheduler.cron("@daily", message, tz="Europe/Berlin")
        scheduler.cron("@daily", world.report.message("b"))
        scheduler.cron("@daily", message, name="again")
        with pytest.raises(ConfigurationError, match="declared twice"):
            scheduler.cron("@daily", message)
        with pytest.raises(ConfigurationError, match="declared twice"):
            scheduler.cron("@hourly", message, name="again")
        assert len({schedule.name for schedule in scheduler.schedules}) == 4

    def test_the_environment_names_the_broker(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LTQ_BROKER_URL", "memory://named")
        assert Scheduler().broker.url == "memory://named"
        monkeypatch.delenv("LTQ_BROKER_URL")
        assert Scheduler().broker.url == "redis://localhost:6379"
        with pytest.raises(ConfigurationError, match="exclude each other"):
            Scheduler("memory://named", broker=MemoryBroker("memory://named"))


class TestWorkerCron:
    async def test_it_is_run_by_a_scheduler_that_takes_it_over(self) -> None:
        world = World()

        @world.worker.cron("@hourly", tz="Europe/Berlin", misfire="skip", name="tidy")
        @world.worker.cron("@daily")
        @world.worker.task
        def tidy(deep: bool = False) -> int:
            return 1

        assert await tidy() == 1
        scheduler = world.scheduler()
        scheduler.register_worker(world.worker)
        assert {one.misfire for one in scheduler.schedules} == {"once", "skip"}
        await world.run(scheduler, DAY)
        assert len(world.sent) == 25

    @pytest.mark.parametrize("bad", [{"expr": "x"}, {"tz": "x"}, {"misfire": "x"}, {"name": " "}])
    async def test_what_is_wrong_is_told(self, bad: dict[str, Any]) -> None:
        world = World()
        with pytest.raises(ConfigurationError, match="is not allowed"):
            world.worker.cron(**{"expr": "@daily", **bad})(world.report)

    async def test_a_task_that_needs_arguments_is_refused(self) -> None:
        world = World()

        @world.worker.task
        async def greet(name: str) -> None: ...

        with pytest.raises(ConfigurationError, match=r"'jobs:greet' needs arguments .*Scheduler"):
            world.worker.cron("@daily")(greet)  # type: ignore[type-var]

    async def test_so_is_a_function_and_another_workers_task(self) -> None:
        world = World()
        with pytest.raises(ConfigurationError, match=r"above @worker\.task"):
            world.worker.cron("@daily")(print)  # type: ignore[type-var]
        with pytest.raises(ConfigurationError, match="belongs to another worker"):
            ltq.Worker("other", broker=world.broker).cron("@daily")(world.report)


def make_scheduler() -> tuple[Scheduler, Callable[[], int]]:
    """One that fires every second, on a store of its own, and how often it did."""
    worker = ltq.Worker("jobs", broker_url=f"memory://{new_id()}")
    sent: list[ltq.Event] = []
    worker.subscribe(sent.append)

    @worker.cron("* * * * * *")
    @worker.task
    async def tick() -> None: ...

    scheduler = Scheduler(worker.broker.url)
    scheduler.register_worker(worker)
    return scheduler, lambda: len(sent)


class TestRuns:
    async def test_in_the_background_until_stopped(self) -> None:
        scheduler, count = make_scheduler()
        scheduler.start_background()
        with pytest.raises(ConfigurationError, match="runs already"):
            scheduler.start_background()
        await eventually(count)
        await scheduler.stop()
        assert "ltq-scheduler" not in {thread.name for thread in threading.enumerate()}
        await scheduler.stop()

    def test_in_a_program_without_an_event_loop(self) -> None:
        scheduler, _ = make_scheduler()
        for _ in range(3):
            scheduler.start_background()
            asyncio.run(scheduler.stop())
        assert "ltq-scheduler" not in {thread.name for thread in threading.enumerate()}

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_ends_start(
        self, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scheduler, _ = make_scheduler()
        before = signal.getsignal(number)

        async def asked_for_the_time() -> float:
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()
            return 0.0

        monkeypatch.setattr(scheduler.broker, "time", asked_for_the_time)
        scheduler.start()
        assert signal.getsignal(number) is before

    async def test_a_cancelled_run_may_be_run_again(self) -> None:
        scheduler, count = make_scheduler()
        running = asyncio.create_task(scheduler.run())
        await eventually(lambda: scheduler._present() is not None)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        running = asyncio.create_task(scheduler.run())
        await eventually(count)
        await scheduler.stop()
        await running

    async def test_beside_the_code_of_a_block(self) -> None:
        scheduler, count = make_scheduler()
        async with scheduler as entered:
            assert entered is scheduler
            with pytest.raises(ConfigurationError, match="runs already"):
                await scheduler.__aenter__()
            await eventually(count)
        assert scheduler._present() is None
        async with scheduler:
            await scheduler.stop()
            assert scheduler._present() is None

    async def test_what_ended_it_in_the_block_is_raised_at_its_end(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def fail(_: SchedulerLoop) -> None:
            raise ZeroDivisionError

        scheduler, _ = make_scheduler()
        monkeypatch.setattr(SchedulerLoop, "_run", fail)
        await scheduler.__aenter__()
        await eventually(lambda: scheduler._present() is None)
        with pytest.raises(ZeroDivisionError):
            await scheduler.__aexit__()

    @pytest.mark.slow
    async def test_a_close_that_hangs_ends_at_a_second_signal(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        closing = asyncio.Event()

        async def hang() -> None:
            closing.set()
            await asyncio.Event().wait()

        scheduler = Scheduler("memory://none")
        monkeypatch.setattr(scheduler.broker, "aclose", hang)
        running = asyncio.create_task(scheduler.run())
        await eventually(lambda: scheduler._present() is not None)
        signal.raise_signal(signal.SIGTERM)
        await closing.wait()
        await elapse(4 * SAME_SIGNAL, "the next signal is a second one")
        signal.raise_signal(signal.SIGTERM)
        await asyncio.wait_for(running, 10)
        assert scheduler._present() is None

    async def test_without_schedules_it_waits(self) -> None:
        scheduler = Scheduler("memory://none")
        scheduler.start_background()
        await scheduler.stop()


def test_it_shows_how_many_schedules_it_has() -> None:
    scheduler, _ = make_scheduler()
    assert repr(scheduler) == "<Scheduler: 1 schedules>"


async def test_one_that_fails_in_the_background_says_so(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler, _ = make_scheduler()

    async def fail(_: SchedulerLoop) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(SchedulerLoop, "_run", fail)
    scheduler.start_background()
    await eventually(lambda: "the scheduler failed" in caplog.messages)
    await scheduler.stop()


@pytest.mark.parametrize(
    ("misfire", "now", "expected"),
    [
        ("once", 3600 * 5 - 1, DueSlots(())),
        ("once", 3600 * 5, DueSlots((3600 * 5,))),
        ("once", 3600 * 7, DueSlots((3600 * 7,), None, 3600 * 5)),
        ("skip", 3600 * 7, DueSlots((3600 * 7,), None, 3600 * 5)),
        ("skip", 3600 * 7 + 61, DueSlots((), 3600 * 7, 3600 * 5)),
        ("all", 3600 * 7, DueSlots((3600 * 5, 3600 * 6, 3600 * 7), None, 3600 * 5)),
    ],
)
def test_what_is_due_since_four_o_clock(misfire: Misfire, now: int, expected: DueSlots) -> None:
    worker = ltq.Worker("jobs", broker_url="memory://due")

    @worker.cron("0 * * * *", misfire=misfire)
    @worker.task
    async def tidy() -> None: ...

    (schedule,) = worker.schedules
    assert schedule.due(3600 * 4, now, 60.0) == expected
