"""What is under test: swapped for the time of a block, run while the test awaits it."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any
from unittest.mock import AsyncMock

import pytest

import ltq
import ltq.testing
from ltq.brokers.memory import broker as memory
from ltq.state import Status
from ltq.testing import Box, Clock, drain
from ltq.testing.box import find_box
from tests.testing.conftest import NOON, START


class TestUse:
    async def test_brokers_are_swapped_for_the_time_of_the_block(self, worker: ltq.Worker) -> None:
        other = ltq.Worker("other", broker_url="redis://localhost:1")
        app, scheduler = ltq.App(), ltq.Scheduler("redis://localhost:1")
        app.register_worker(other)
        users: list[ltq.Worker | ltq.Scheduler] = [worker, other, scheduler]
        before = [one.broker for one in users]
        async with ltq.testing.use(worker, app, scheduler) as box:
            assert box.workers == (worker, other)
            assert {one.broker for one in users} == {box.broker}
        assert [one.broker for one in users] == before

    def test_a_plain_with_does_as_well(self, worker: ltq.Worker) -> None:
        before = worker.broker
        with suppress(ZeroDivisionError), ltq.testing.use(worker) as box:
            assert worker.broker is box.broker
            raise ZeroDivisionError
        assert worker.broker is before

    async def test_each_block_has_a_store_of_its_own(self, worker: ltq.Worker) -> None:
        @worker.task
        async def one() -> None: ...

        for _ in range(2):
            async with ltq.testing.use(worker) as box:
                await one.with_options(id="one").send()
                assert [state.status for state in await drain(worker)] == [Status.COMPLETED]
                assert len(box.sent) == 1

    async def test_nothing_is_left_of_it(self, worker: ltq.Worker) -> None:
        stores = len(memory._stores)
        async with ltq.testing.use(worker) as box:
            await box.drain()
            assert len(memory._stores) == stores + 1
        assert len(memory._stores) == stores

    async def test_other_things_are_refused(self) -> None:
        with pytest.raises(ltq.ConfigurationError, match="'shop' cannot be put under test"):
            ltq.testing.use("shop")  # type: ignore[arg-type]

    async def test_a_clock_excludes_what_a_clock_is_told(self, worker: ltq.Worker) -> None:
        with pytest.raises(ltq.ConfigurationError, match="clock excludes start and patience"):
            ltq.testing.use(worker, clock=Clock(), start=START)

    async def test_a_box_is_used_once(self, box: Box) -> None:
        with pytest.raises(ltq.ConfigurationError, match="was used already"), box:
            pass

    async def test_two_boxes_may_share_a_clock(self, worker: ltq.Worker) -> None:
        other, clock = ltq.Worker("other"), Clock(START)
        ran: list[tuple[str, float]] = []

        @worker.task
        async def first() -> None:
            ran.append(("first", clock()))

        @other.task
        async def second() -> None:
            ran.append(("second", clock()))

        async with ltq.testing.use(worker, clock=clock):
            async with ltq.testing.use(other, clock=clock):
                await second.with_options(delay=10).send()
                await first.with_options(delay=20).send()
                await first.with_options(delay=5).send()
                await clock.advance(10)
            await clock.advance(10)
        assert ran == [("first", NOON + 5), ("second", NOON + 10), ("first", NOON + 20)]


class TestRunning:
    async def test_tasks_run_while_they_are_awaited_and_not_in_between(
        self, worker: ltq.Worker, box: Box
    ) -> None:
        ran: list[int] = []

        @worker.task
        async def note(number: int) -> None:
            ran.append(number)

        for number in range(3):
            await note.send(number)
            await asyncio.sleep(0.005)  # the task's own time
            assert len(ran) == number
            await box.drain()
        assert ran == [0, 1, 2]

    async def test_or_all_the_time(self, worker: ltq.Worker) -> None:
        @worker.task
        async def double(number: int) -> int:
            return 2 * number

        async with ltq.testing.use(worker, running=True) as box:
            assert await (await double.send(4)).result(timeout=5) == 8
            later = await double.with_options(delay=3600).send(5)
            await box.clock.advance(minutes=59)
            assert (await later.state()).status is Status.DELAYED
            await box.clock.advance(minutes=1)
            assert await later.result(timeout=5) == 10

    async def test_what_tasks_send_runs_as_well(self, worker: ltq.Worker, box: Box) -> None:
        @worker.task
        async def count(down: int) -> None:
            if down:
                await count.send(down - 1)

        await count.send(4)
        states = await box.drain()
        assert [state.status for state in states] == [Status.COMPLETED] * 5

    def test_the_tasks_stay_from_one_event_loop_to_the_next(self, worker: ltq.Worker) -> None:
        tries: list[float] = []

        @worker.task(max_tries=2, backoff=lambda _: 60.0)
        async def fail() -> None:
            tries.append(box.clock() - NOON)
            raise ValueError("no")

        with ltq.testing.use(worker, start=START) as box:
            fail.with_options(delay=5).send_sync()
            asyncio.run(box.drain())
            assert tries == []
            asyncio.run(box.clock.advance(5))
            asyncio.run(box.clock.advance(60))
        assert tries == [5, 65]

    def test_what_an_ending_event_loop_cuts_ends_by_its_own_time_and_starts_anew(
        self, worker: ltq.Worker
    ) -> None:
        said: list[str] = []

        @worker.task
        async def work() -> None:
            said.append("begins")
            try:
                await asyncio.sleep(10)  # the task's own time
            except asyncio.CancelledError:
                said.append("is cut")
                await asyncio.sleep(0.01)  # the task's own time
                raise

        with ltq.testing.use(worker) as box:
            handle = work.send_sync()
            asyncio.run(box.drain())
            assert (said, handle.state().status) == (["begins", "is cut"], Status.PENDING)
            asyncio.run(box.clock.advance(10))
            assert (said[2:], handle.state().status) == (["begins"], Status.COMPLETED)

    async def test_a_plain_with_is_left_without_waiting(self, worker: ltq.Worker) -> None:
        @worker.task
        async def long() -> None:
            await asyncio.sleep(3600)  # the task's own time

        for _ in range(3):  # the next one waits for the end of that before
            with ltq.testing.use(worker) as box:
                await long.send()
                (state,) = await box.drain()
                assert state.status is Status.WORKING

    async def test_what_ends_a_worker_is_raised(self) -> None:
        def broken(_: ltq.Worker[Any]) -> AbstractAsyncContextManager[None]:
            raise OSError("no database")

        worker = ltq.Worker("broken", lifespan=broken)

        @worker.task
        async def nothing() -> None: ...

        async with ltq.testing.use(worker) as box:
            with pytest.raises(ltq.LifespanError, match="no database"):
                await box.drain()

    async def test_a_missing_middleware_as_well(self) -> None:
        worker = ltq.Worker("bare", middlewares=[])

        @worker.task(max_tries=3)
        async def nothing() -> None: ...

        async with ltq.testing.use(worker) as box:
            with pytest.raises(ltq.ConfigurationError, match="max_tries"):
                await box.clock.advance(1)

    async def test_all_workers_of_an_app_run_with_its_middleware(self) -> None:
        seen: list[str] = []

        class Log(ltq.Middleware):
            @asynccontextmanager
            async def __call__(
                self, message: ltq.Message[Any], task: ltq.Task[..., Any]
            ) -> AsyncIterator[None]:
                seen.append(task.name)
                yield

        app = ltq.App(middlewares=[Log()])
        for name in ("a", "b"):
            app.register_worker(worker := ltq.Worker(name))
            worker.task(name="work")(_nothing)
        async with ltq.testing.use(app) as box:
            for worker in app.workers:
                await worker.tasks[f"{worker.name}:work"].send()
            await box.drain()
        assert sorted(seen) == ["a:work", "b:work"]


class TestDrain:
    async def test_it_gives_the_states_of_what_ran(self, worker: ltq.Worker, box: Box) -> None:
        @worker.task(result_ttl=0)
        async def half(number: int) -> float:
            return number / 2

        @worker.task
        async def fail() -> None:
            raise ValueError("no")

        await half.with_options(result_ttl=60).send(3)
        await half.send(4)
        await fail.send()
        await half.with_options(delay=1).send(5)
        states = await drain(worker)
        assert {(s.task_name, s.status, s.result, s.error) for s in states} == {
            ("shop:half", Status.COMPLETED, 1.5, None),
            ("shop:half", Status.COMPLETED, None, None),
            ("shop:fail", Status.FAILED, None, "ValueError: no"),
        }
        assert len(states) == 3
        assert await drain(worker) == []

    async def test_it_gives_those_of_its_worker(self, worker: ltq.Worker) -> None:
        other = ltq.Worker("other")
        for one in (worker, other):
            one.task(name="work")(_nothing)
        async with ltq.testing.use(worker, other):
            await other.tasks["other:work"].send()
            await worker.tasks["shop:work"].send()
            assert [state.task_name for state in await drain(worker)] == ["shop:work"]

    async def test_failures_are_raised_on_request(self, worker: ltq.Worker, box: Box) -> None:
        @worker.task
        async def fail(text: str) -> None:
            raise ValueError(text)

        @worker.task(result_ttl=0)
        async def refuse() -> None:
            raise ltq.RejectError("unwanted")

        await fail.send("first")
        await box.clock.advance(1)  # what failed there counts
        await fail.send("second")
        with pytest.raises(ltq.TaskFailedError, match="first") as caught:
            await box.drain(check=True)
        notes = "".join(caught.value.__notes__)
        assert "and task 'shop:fail' failed: ValueError: second" in notes
        assert "raise ValueError(text)" in notes
        assert await box.drain(check=True) == []
        await refuse.send()
        with pytest.raises(ltq.TaskRejectedError, match="unwanted"):
            await drain(worker, check=True)

    async def test_retries_to_come_are_no_failures(self, worker: ltq.Worker, box: Box) -> None:
        @worker.task(max_tries=2, backoff=60)
        async def flaky() -> str:
            if ltq.current().attempt == 1:
                raise ValueError("no")
            return "yes"

        await flaky.send()
        (state,) = await drain(worker, check=True)
        assert state.status is Status.DELAYED
        await box.clock.advance(60)
        assert [event.kind for event in box.events if event.kind is not ltq.EventKind.STARTED] == [
            ltq.EventKind.ENQUEUED,
            ltq.EventKind.RETRIED,
            ltq.EventKind.COMPLETED,
        ]
        assert NOON <= box.events[-1].time <= NOON + 60

    async def test_a_worker_that_is_not_under_test_is_refused(self, worker: ltq.Worker) -> None:
        with pytest.raises(ltq.ConfigurationError, match="'shop' is not under test"):
            await drain(worker)


class TestSchedules:
    async def test_slots_are_fired_at_their_instants(self, worker: ltq.Worker) -> None:
        scheduler = ltq.Scheduler(tz="Europe/Berlin")
        ran: list[str] = []

        @worker.task
        async def report() -> None:
            ran.append(box.clock.now.isoformat())

        scheduler.cron("0 3 * * *", report.message())
        async with ltq.testing.use(worker, scheduler, start="2026-03-27T12:00:00Z") as box:
            await box.clock.advance(days=3)
            await box.clock.advance_to("2026-04-01T00:59:59Z")
            assert len(ltq.testing.sent(report)) == 4
        assert ran == [
            "2026-03-28T02:00:00+00:00",
            "2026-03-29T01:00:00+00:00",
            "2026-03-30T01:00:00+00:00",
            "2026-03-31T01:00:00+00:00",
        ]

    async def test_those_of_a_worker_on_request(self, worker: ltq.Worker) -> None:
        @worker.cron("*/15 * * * *")
        @worker.task
        async def tidy() -> None: ...

        async with ltq.testing.use(worker, start=START) as box:
            await box.clock.advance(hours=1)
            assert box.sent == ()
        scheduler = ltq.Scheduler()
        scheduler.register_worker(worker)
        targets = (worker, scheduler)  # said twice is fired once
        async with ltq.testing.use(*targets, start=START, with_scheduler=True) as box:
            await box.clock.advance(hours=1)
            assert [state.id for state in await box.drain()] == []
            assert [envelope.id[-17:] for envelope in box.sent] == [
                ":20300101T121500Z",
                ":20300101T123000Z",
                ":20300101T124500Z",
                ":20300101T130000Z",
            ]

    async def test_many_with_seconds(self, worker: ltq.Worker) -> None:
        scheduler = ltq.Scheduler()
        counts = {"often": 0, "seldom": 0}

        @worker.task
        async def count(name: str) -> None:
            counts[name] += 1

        scheduler.cron("* * * * * */10", count.message("often"))
        scheduler.cron("@daily", count.message("seldom"))
        async with ltq.testing.use(worker, scheduler, start=START) as box:
            await box.clock.advance(minutes=5)
            assert counts == {"often": 30, "seldom": 0}

    async def test_what_is_put_meanwhile_is_fired_too(self, worker: ltq.Worker) -> None:
        scheduler = ltq.Scheduler()
        ran: list[str] = []

        @worker.task
        async def report(kind: str) -> None:
            ran.append(f"{kind} {box.clock.now:%d %H:%M}")

        async with ltq.testing.use(worker, scheduler, start=START) as box:
            await box.clock.advance(hours=1)
            await scheduler.put("nightly", "0 3 * * *", report.message("all"))
            await box.clock.advance(days=2)
            await scheduler.pause("nightly")
            await box.clock.advance(days=1)
            await scheduler.resume("nightly")
            await scheduler.put("nightly", "30 4 * * *", report.message("some"), misfire="skip")
            await box.clock.advance(days=1)
            await scheduler.remove("nightly")
            await box.clock.advance(days=1)
        assert ran == ["all 02 03:00", "all 03 03:00", "some 05 04:30"]

    async def test_a_failing_broker_is_tried_again_by_the_clock(
        self, worker: ltq.Worker, caplog: pytest.LogCaptureFixture
    ) -> None:
        @worker.cron("30 12 * * *")
        @worker.task
        async def tidy() -> None: ...

        caplog.set_level(logging.CRITICAL, "ltq.scheduler")
        async with ltq.testing.use(worker, start=START, with_scheduler=True) as box:
            await box.drain()
            with box.broker.fail(on="fire") as fault:
                await box.clock.advance(minutes=31)
            assert fault.count > 1
            assert box.sent == ()
            await box.clock.advance(minutes=1)
            assert len(ltq.testing.sent(tidy)) == 1


async def _nothing() -> None: ...


async def test_one_whose_worker_cannot_begin_is_left_again(
    worker: ltq.Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = worker.broker
    monkeypatch.setattr(Box, "begin", AsyncMock(side_effect=ZeroDivisionError))
    with pytest.raises(ZeroDivisionError):
        async with ltq.testing.use(worker, running=True):
            raise AssertionError("it was entered")
    assert worker.broker is before
    assert find_box(lambda _: True) is None


class TestProgress:
    async def test_a_thread_reports_it_too(self, worker: ltq.Worker) -> None:
        goes_on, seen = threading.Event(), list[ltq.Progress]()

        @worker.task
        def walk() -> str:
            ltq.current().progress_sync(1, 2, "half")
            assert goes_on.wait(10)
            return "there"

        async with ltq.testing.use(worker, running=True):
            async for state in (await walk.send()).watch():
                if state.progress is not None:
                    seen.append(state.progress)
                    goes_on.set()
        assert seen == [ltq.Progress(1, 2, "half")]
        assert state.result == "there"

    async def test_a_thread_that_only_reports_ends_in_a_drain(
        self, worker: ltq.Worker, box: Box
    ) -> None:
        @worker.task
        def walk() -> str:
            for number in range(1000):
                ltq.current().progress_sync(number, 1000)
            return "there"

        await walk.send()
        assert [state.result for state in await box.drain()] == ["there"]


class TestWorkflows:
    async def test_a_drain_runs_all_of_one(self) -> None:
        worker = ltq.Worker("words", broker_url="redis://nowhere.invalid")

        @worker.task
        async def numbers(count: int) -> list[int]:
            return list(range(count))

        @worker.task
        async def double(number: int) -> int:
            return 2 * number

        @worker.task
        async def add(given: list[int]) -> int:
            return sum(given)

        async with ltq.testing.use(worker) as box:
            handle = await numbers.step(5).map(double).then(add).send()
            states = await box.drain(check=True)
            assert [state.task_name for state in states][-1] == "words:add"
            assert len(states) == 7
            assert await handle.result(0.0) == 20
