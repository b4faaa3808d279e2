"""A clock that tests move: what follows it, in which order, and what does not."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import ltq
import ltq.testing
from ltq.state import Status
from ltq.testing import Box, Clock
from tests.testing.conftest import NOON, START

Seconds = Callable[[], float]


class TestTime:
    def test_it_starts_where_it_is_told(self) -> None:
        for start in (START, NOON, int(NOON), datetime(2030, 1, 1, 12, tzinfo=UTC)):
            assert Clock(start)() == NOON
        assert Clock(START).now == datetime(2030, 1, 1, 12, tzinfo=UTC)

    def test_or_now_in_whole_seconds(self) -> None:
        assert Clock()() == pytest.approx(time.time(), abs=2.0)
        assert Clock()().is_integer()

    @pytest.mark.parametrize("start", ["noon", "2030-01-01T12:00:00", datetime(2030, 1, 1), True])
    def test_a_wrong_start_is_refused(self, start: Any) -> None:
        with pytest.raises(ltq.ConfigurationError, match=r"start=.* an aware datetime"):
            Clock(start)

    async def test_it_stands_still(self) -> None:
        clock = Clock()
        before = clock()
        await asyncio.sleep(0.01)  # the task's own time
        assert clock() == before

    async def test_it_moves_by_what_it_is_told(self) -> None:
        clock = Clock(START)
        await clock.advance(1)
        await clock.advance(seconds=1.5)
        await clock.advance(timedelta(seconds=0.5), minutes=1, hours=1, days=1)
        assert clock() == NOON + 3 + 60 + 3600 + 86400
        await clock.advance_to("2030-02-01T00:00:00+01:00")
        assert clock.now == datetime(2030, 1, 31, 23, tzinfo=UTC)

    @pytest.mark.parametrize("step", [-1, float("nan"), "1", 1e12, None])
    async def test_a_wrong_step_is_refused(self, step: Any) -> None:
        with pytest.raises(ltq.ConfigurationError, match="a timedelta or numbers, 0 or more"):
            await Clock().advance(step)

    async def test_it_does_not_go_back(self) -> None:
        with pytest.raises(ltq.ConfigurationError, match="the clock shows 2030-01-01T12:00:00"):
            await Clock(START).advance_to(NOON - 1)

    async def test_it_is_moved_once_at_a_time(self, worker: ltq.Worker, box: Box) -> None:
        first = asyncio.create_task(box.clock.advance(1))
        with pytest.raises(ltq.ConfigurationError, match="already being moved"):
            await asyncio.gather(first, box.clock.advance(1))
        await first

    async def test_a_task_may_not_move_it(self, worker: ltq.Worker, box: Box) -> None:
        @worker.task
        async def hurry() -> None:
            await box.clock.advance(1)

        await hurry.send()
        (state,) = await box.drain()
        assert "moved by the test" in str(state.error)


class TestTasks:
    async def test_all_happens_at_its_time_and_in_order(
        self, worker: ltq.Worker, box: Box, seconds: Seconds
    ) -> None:
        seen: list[tuple[str, float]] = []

        @worker.task
        async def note(name: str, nap: float = 0.0) -> None:
            seen.append((name, seconds()))
            if nap:
                await asyncio.sleep(nap)  # the task's own time
                seen.append((f"{name} woke", seconds()))

        for delay in (30, 10, 20):
            await note.with_options(delay=delay).send(f"after {delay}", nap=15)
        await note.with_options(eta=datetime(2030, 1, 1, 12, 0, 5, tzinfo=UTC)).send("eta")
        await note.with_options(delay=0.1).send("soon")
        await box.clock.advance(9.999)
        assert seen == [("soon", pytest.approx(0.1, abs=1e-5)), ("eta", 5.0)]
        await box.clock.advance(hours=1)
        assert seen[2:] == [
            ("after 10", 10.0),
            ("after 20", 20.0),
            ("after 10 woke", 25.0),
            ("after 30", 30.0),
            ("after 20 woke", 35.0),
            ("after 30 woke", 45.0),
        ]
        assert seconds() == pytest.approx(3609.999)

    async def test_retries_come_after_their_pauses(
        self, worker: ltq.Worker, box: Box, seconds: Seconds
    ) -> None:
        tries: list[float] = []

        @worker.task(max_tries=4, backoff=lambda failed: 60.0 * failed)
        async def fails() -> None:
            tries.append(seconds())
            raise ValueError("no")

        handle = await fails.send()
        await box.clock.advance(hours=1)
        assert tries == [0, 60, 180, 360]
        assert (await handle.state()).status is Status.FAILED

    async def test_a_retry_error_has_its_own(
        self, worker: ltq.Worker, box: Box, seconds: Seconds
    ) -> None:
        tries: list[float] = []

        @worker.task
        async def again() -> None:
            tries.append(seconds())
            if len(tries) < 3:
                raise ltq.RetryError(delay=86400)

        await again.send()
        await box.clock.advance(days=2)
        assert tries == [0, 86400, 2 * 86400]

    async def test_timeouts_cut(self, worker: ltq.Worker, box: Box) -> None:
        cut: list[float] = []

        @worker.task(timeout=30)
        async def slow() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                cut.append(box.clock())

        handle = await slow.send()
        await box.clock.advance(29)
        assert (await handle.state()).status is Status.WORKING
        await box.clock.advance(1)
        assert (
            await handle.state()
        ).error == "TimeoutError: did not end within its timeout of 30 s"
        assert cut == [NOON + 30]

    async def test_timeouts_within_a_task_as_well(self, worker: ltq.Worker, box: Box) -> None:
        @worker.task
        async def asks() -> float:
            began = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(5):  # the task's own time
                    await asyncio.Event().wait()
            except TimeoutError:
                return asyncio.get_running_loop().time() - began
            return 0.0

        handle = await asks.send()
        await box.clock.advance(minutes=1)
        assert await handle.result() == 5.0

    async def test_results_expire(self, worker: ltq.Worker, box: Box) -> None:
        @worker.task(result_ttl=60)
        async def quick() -> int:
            return 1

        handle = await quick.send()
        await box.clock.advance(59)
        assert (await handle.state()).result == 1
        await box.clock.advance(1)
        with pytest.raises(ltq.TaskNotFoundError):
            await quick.handle(handle.id).state()

    async def test_rate_limits_hold(self, worker: ltq.Worker, box: Box, seconds: Seconds) -> None:
        began: list[float] = []

        @worker.task(max_rate="1/m")
        async def rare() -> None:
            began.append(seconds())

        for _ in range(3):
            await rare.send()
        await box.drain()
        assert began == [0]
        await box.clock.advance(hours=1)
        assert began == [0, 60, 120]

    async def test_ages_and_uniqueness_as_well(self, worker: ltq.Worker, box: Box) -> None:
        @worker.task(max_age=timedelta(hours=1), unique_for=60)
        async def old() -> None: ...

        first = await old.send()
        assert await old.send() == first
        box.broker.fail(on="claim", next=1)  # its worker is away meanwhile
        await box.broker.cancel(old.queue, first.id, 60)
        await box.clock.advance(60)
        late = await old.with_options(delay=3601).send()
        assert late != first
        await box.clock.advance(hours=2)
        assert (await late.state()).status is Status.REJECTED

    async def test_a_cancelled_task_stops(self, worker: ltq.Worker, box: Box) -> None:
        @worker.task
        async def long() -> None:
            await asyncio.sleep(3600)  # the task's own time

        handle = await long.send()
        await box.drain()
        assert await handle.cancel()
        await box.drain()
        assert (await handle.state()).status is Status.CANCELLED
        assert [event.kind for event in box.events][-1] is ltq.EventKind.CANCELLED

    async def test_the_lifespan_follows_it(self) -> None:
        @asynccontextmanager
        async def slowly(_: ltq.Worker[Any]) -> AsyncIterator[str]:
            await asyncio.sleep(60)  # the task's own time
            yield "ready"

        worker = ltq.Worker("slow", lifespan=slowly)

        @worker.task
        async def ask() -> str:
            return worker.resource

        async with ltq.testing.use(worker) as box:
            handle = await ask.send()
            assert await box.drain() == []
            await box.clock.advance(60)
            assert await handle.result() == "ready"


class TestLeases:
    async def test_those_of_a_running_task_are_kept(self, worker: ltq.Worker, box: Box) -> None:
        @worker.task
        async def long() -> str:
            await asyncio.sleep(3600)  # the task's own time
            return "done"

        handle = await long.send()
        await box.clock.advance(minutes=30)
        assert (await handle.state()).status is Status.WORKING
        await box.clock.advance(minutes=30)
        state = await handle.state()
        assert (state.result, state.dequeue_count) == ("done", 1)

    async def test_those_of_a_dead_worker_end(self, worker: ltq.Worker, box: Box) -> None:
        @worker.task(max_deliveries=2)
        async def deadly() -> None: ...

        handle = await deadly.send()
        dies = box.broker.consumer([deadly.queue], lease=15)
        assert len(await box.broker.claim(dies)) == 1
        await box.clock.advance(14.9)
        assert (await handle.state()).status is Status.WORKING
        await box.clock.advance(0.1)
        assert (await handle.state()).status is Status.COMPLETED


class TestRealThings:
    async def test_a_thread_takes_the_time_it_takes(self, worker: ltq.Worker, box: Box) -> None:
        @worker.task(timeout=1)
        def slow() -> str:
            time.sleep(0.05)  # the task's own time
            return "done"

        handle = await slow.send()
        await box.clock.advance(minutes=30)
        assert (await handle.state()).result == "done"

    async def test_so_does_one_of_the_event_loop(self, worker: ltq.Worker, box: Box) -> None:
        @worker.task(timeout=1)
        async def threaded() -> str:
            await asyncio.to_thread(time.sleep, 0.05)  # the task's own time
            return "done"

        handle = await threaded.send()
        await box.clock.advance(minutes=30)
        assert (await handle.state()).result == "done"

    async def test_and_a_socket(self, worker: ltq.Worker, box: Box) -> None:
        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(0.02)  # the task's own time
            writer.write(b"hello\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]

        @worker.task(timeout=1)
        async def ask() -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                return await reader.readline()
            finally:
                writer.close()

        async with server:
            handle = await ask.send()
            await box.clock.advance(minutes=30)
            assert (await handle.state()).result == b"hello\n"

    async def test_what_is_stuck_is_waited_for_once(self, worker: ltq.Worker) -> None:
        go_on = threading.Event()

        @worker.task(timeout=5)
        def stuck() -> None:
            go_on.wait()

        async with ltq.testing.use(worker, patience=0.05) as box:
            handle = await stuck.send()
            began = time.monotonic()
            await box.clock.advance(minutes=10)
            assert time.monotonic() - began < 5.0  # for each of many jumps it would take longer
            assert (await handle.state()).status is Status.FAILED
            go_on.set()

    async def test_the_test_itself_keeps_real_time(self, worker: ltq.Worker, box: Box) -> None:
        @worker.task
        async def later() -> int:
            return 5

        loop, before = asyncio.get_running_loop(), time.monotonic()
        handle = await later.send()
        await box.clock.advance(minutes=30)
        assert loop.time() == pytest.approx(time.monotonic(), abs=1.0)
        await asyncio.sleep(0.01)  # the task's own time
        delayed = await later.with_options(delay=60).send()
        with pytest.raises(ltq.ResultTimeoutError):
            await delayed.result(timeout=0.01)
        assert await handle.result(timeout=1) == 5
        assert time.monotonic() - before < 5.0

    async def test_the_event_loop_gets_its_methods_back(self, worker: ltq.Worker) -> None:
        loop = asyncio.get_running_loop()
        before = dict(vars(loop))
        async with ltq.testing.use(worker) as box:
            await box.drain()
            assert vars(loop).keys() - before.keys() >= {"time", "call_later", "call_at"}
        assert vars(loop).keys() == before.keys()

    def test_the_event_loop_may_be_uvloops(self, worker: ltq.Worker) -> None:
        uvloop = pytest.importorskip("uvloop")

        @worker.task(timeout=10)
        async def nap(seconds: float) -> float:
            await asyncio.sleep(seconds)  # the task's own time
            return seconds

        async def main() -> list[Status]:
            async with ltq.testing.use(worker, patience=0.01) as box:
                for seconds in (5, 15):
                    await nap.with_options(delay=60).send(seconds)
                await box.clock.advance(minutes=30)
                ends = {event.id: await nap.handle(event.id).state() for event in box.events}
                return [state.status for state in ends.values()]

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            assert runner.run(main()) == [Status.COMPLETED, Status.FAILED]

    async def test_an_endless_loop_is_told(
        self, worker: ltq.Worker, box: Box, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ltq.testing._loops._MOST_TURNS", 1000)

        @worker.task
        async def again() -> None:
            raise ltq.RetryError(delay=0)

        await again.send()
        with pytest.raises(RuntimeError, match="does not become idle"):
            await box.drain()


def test_it_shows_the_moment() -> None:
    assert repr(Clock(START)) == "<Clock 2030-01-01T12:00:00+00:00>"
