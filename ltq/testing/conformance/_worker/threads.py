"""Plain `def` tasks: their threads cannot be interrupted."""

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import ltq
from ltq import Message, Status, Task, Worker
from ltq.broker import Broker
from ltq.testing.conformance._support.eventually import PATIENCE, eventually
from ltq.testing.conformance._support.gates import Gates, HasGates
from ltq.testing.conformance._support.renewals import Renewals

MakeWorker = Callable[[int], Worker]


class MakesWorkers(HasGates):
    """Tests that choose the concurrency of their worker."""

    @pytest.fixture
    def make_worker(self, broker: Broker) -> MakeWorker:
        def make(concurrency: int) -> Worker:
            return Worker("shop", broker=broker, concurrency=concurrency, shutdown_timeout=PATIENCE)

        return make


class TestThreadTimeout(MakesWorkers):
    async def test_it_is_told_at_once_and_the_slot_is_free_when_the_thread_ends(
        self, make_worker: MakeWorker, gates: Gates, caplog: pytest.LogCaptureFixture
    ) -> None:
        worker = make_worker(1)

        @worker.task
        def hold(name: str) -> str:
            gates.wait(name)
            return name

        async with worker:
            slow = await hold.with_options(timeout=0.05).send("slow")
            state = await slow.wait(timeout=PATIENCE)
            assert (state.status, gates.entered) == (Status.FAILED, ["slow"])
            assert state.error == "TimeoutError: did not end within its timeout of 0.05 s"
            assert f"shop:hold {slow.id}: its run is over, but its thread goes on" in caplog.text
            gates.open("next")
            following = await hold.send("next")
            (stats,) = await worker.broker.stats([hold.queue])
            assert (stats.pending, stats.working, stats.dead) == (1, 0, 1)
            gates.open("slow")
            assert await following.result(timeout=PATIENCE) == "next"
        assert (await slow.state()).status is Status.FAILED
        assert (gates.entered, gates.most) == (["slow", "next"], 1)

    async def test_no_more_threads_run_than_the_concurrency(
        self, make_worker: MakeWorker, gates: Gates
    ) -> None:
        worker = make_worker(3)

        @worker.task(timeout=0.05)
        def hold(name: str) -> None:
            gates.wait(name)

        handles = [await hold.send(str(number)) for number in range(9)]
        async with worker:
            for first in (0, 3, 6):
                three = handles[first : first + 3]
                await asyncio.gather(*(one.wait(PATIENCE) for one in three))
                assert len(gates.entered) == first + 3
                for name in gates.entered[first:]:
                    gates.open(name)
        assert (len(gates.entered), gates.most) == (9, 3)

    async def test_a_coroutine_finds_a_free_slot_beside_it(
        self, make_worker: MakeWorker, gates: Gates
    ) -> None:
        worker = make_worker(2)

        @worker.task(timeout=0.05)
        def hold() -> None:
            gates.wait("hold")

        @worker.task
        async def quick() -> int:
            return 1

        async with worker:
            await (await hold.send()).wait(timeout=PATIENCE)
            assert await (await quick.send()).result(timeout=PATIENCE) == 1
            gates.open_all()

    async def test_it_is_tried_again_only_when_its_thread_has_ended(
        self, make_worker: MakeWorker, gates: Gates, caplog: pytest.LogCaptureFixture
    ) -> None:
        worker = make_worker(5)
        attempts: list[int] = []

        @worker.task(timeout=0.25, max_tries=2, backoff=0.001)
        def hold() -> str:
            attempts.append(ltq.current().attempt)
            if attempts == [1]:
                gates.wait("hold")
            return "done"

        heard: list[ltq.Event] = []
        worker.subscribe(heard.append)
        handle = await hold.send()
        async with worker:
            await eventually(lambda: "it will be retried only then" in caplog.text)
            assert heard[-1].kind is ltq.EventKind.RETRIED
            state = await handle.state()
            assert (state.status, state.dequeue_count, attempts) == (Status.WORKING, 1, [1])
            gates.open("hold")
            assert await handle.result(timeout=PATIENCE) == "done"
        state = await handle.state()
        assert (state.dequeue_count, gates.most, attempts) == (2, 1, [1, 2])

    async def test_its_lease_is_kept_until_then(
        self,
        broker: Broker,
        gates: Gates,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        worker = Worker("shop", broker=broker, concurrency=5, lease=0.6)
        renewals = Renewals(broker, monkeypatch)

        @worker.task(timeout=0.25, max_tries=2, backoff=0.001)
        def hold() -> int:
            if ltq.current().attempt == 1:
                gates.wait("hold")
            return ltq.current().attempt

        handle = await hold.send()
        async with worker:
            await eventually(lambda: "it will be retried only then" in caplog.text)
            before = renewals.of(handle.id)
            await eventually(lambda: renewals.of(handle.id) >= before + 4)  # longer than a lease
            gates.open("hold")
            assert await handle.result(PATIENCE) == 2
        state = await handle.state()
        assert (state.dequeue_count, state.requeue_count) == (2, 1)

    async def test_cancelling_it_meanwhile_is_final(
        self, make_worker: MakeWorker, gates: Gates, caplog: pytest.LogCaptureFixture
    ) -> None:
        worker = make_worker(1)

        @worker.task(timeout=0.25, max_tries=5, backoff=0.001)
        def hold() -> None:
            gates.wait("hold")

        @worker.task
        async def quick() -> None: ...

        handle = await hold.send()
        async with worker:
            await eventually(lambda: "it will be retried only then" in caplog.text)
            assert await handle.cancel()
            gates.open("hold")
            await (await quick.send()).wait(timeout=PATIENCE)
        assert (await handle.state()).status is Status.CANCELLED
        assert gates.entered == ["hold"]

    async def test_a_burst_waits_for_the_retry(
        self, make_worker: MakeWorker, gates: Gates, caplog: pytest.LogCaptureFixture
    ) -> None:
        worker = make_worker(1)

        @worker.task(timeout=0.3, max_tries=2, backoff=lambda failed: 0.0)
        def hold() -> int:
            if ltq.current().attempt == 1:
                gates.wait("hold")
            return ltq.current().attempt

        handle = await hold.send()
        running = asyncio.create_task(worker.run(burst=True))
        await eventually(lambda: "it will be retried only then" in caplog.text)
        gates.open("hold")
        await asyncio.wait_for(running, PATIENCE)
        assert await handle.result(timeout=1) == 2

    async def test_the_thread_may_look_whether_it_is_over(self, make_worker: MakeWorker) -> None:
        worker = make_worker(1)
        seen = threading.Event()

        @worker.task(timeout=0.05)
        def patient() -> None:
            context = ltq.current()
            while not context.is_over:
                seen.wait(0.005)
            seen.set()

        async with worker:
            state = await (await patient.send()).wait(timeout=PATIENCE)
            assert state.status is Status.FAILED
            assert await asyncio.to_thread(seen.wait, PATIENCE)


class TestThreadCancel(MakesWorkers):
    async def test_it_is_final_at_once_and_the_slot_is_free_when_the_thread_ends(
        self, make_worker: MakeWorker, gates: Gates, caplog: pytest.LogCaptureFixture
    ) -> None:
        worker = make_worker(1)

        @worker.task
        def hold(name: str) -> str:
            gates.wait(name)
            return name

        heard: list[str] = []
        worker.subscribe(lambda event: heard.append(f"{event.kind} {event.id}"))
        handle = await hold.send("first")
        gates.open("second")
        async with worker:
            await eventually(lambda: gates.entered)
            assert await handle.cancel()
            assert (await handle.state()).status is Status.CANCELLED
            await eventually(lambda: f"cancelled {handle.id}" in heard)
            following = await hold.send("second")
            assert (await following.state()).status is Status.PENDING
            gates.open("first")
            assert await following.result(timeout=PATIENCE) == "second"
        assert (await handle.state()).status is Status.CANCELLED
        assert gates.most == 1

    async def test_what_has_not_begun_in_its_thread_never_does(self, broker: Broker) -> None:
        at_the_door, ran = asyncio.Event(), threading.Event()

        class Door(ltq.Middleware):
            @asynccontextmanager
            async def __call__(
                self, message: Message[Any], task: Task[..., Any]
            ) -> AsyncIterator[None]:
                at_the_door.set()
                await asyncio.Event().wait()
                yield

        worker = Worker("shop", broker=broker, middlewares=[Door()])

        @worker.task
        def never() -> None:
            ran.set()

        handle = await never.send()
        ended: list[ltq.Event] = []
        worker.subscribe(ended.append)
        async with worker:
            await at_the_door.wait()
            assert await handle.cancel()
            await eventually(lambda: ended[-1].kind is ltq.EventKind.CANCELLED)
        assert not ran.is_set()
        assert (await handle.state()).status is Status.CANCELLED


class TestThreadStop(MakesWorkers):
    async def test_running_threads_get_their_time(
        self, make_worker: MakeWorker, gates: Gates
    ) -> None:
        worker = make_worker(2)

        @worker.task
        def hold() -> str:
            gates.wait("hold")
            return "done"

        handle = await hold.send()
        running = asyncio.create_task(worker.run())
        await eventually(lambda: gates.entered)
        worker.stop()
        gates.open("hold")
        await asyncio.wait_for(running, PATIENCE)
        assert await handle.result(timeout=1) == "done"

    async def test_one_that_never_ends_does_not_hold_it(
        self, broker: Broker, gates: Gates, caplog: pytest.LogCaptureFixture
    ) -> None:
        worker = Worker("shop", broker=broker, shutdown_timeout=0.1)

        @worker.task(timeout=0.25, max_tries=2, backoff=0.001)
        def retried() -> None:
            gates.wait("retried")

        @worker.task(timeout=0.05)
        def failed() -> None:
            gates.wait("failed")

        @worker.task
        def requeued() -> None:
            gates.wait("requeued")

        handles = [await retried.send(), await failed.send(), await requeued.send()]
        async with asyncio.timeout(PATIENCE):
            async with worker:
                await eventually(lambda: caplog.text.count("its thread goes on") == 2)
                await eventually(lambda: len(gates.entered) == 3)
        states = [await handle.state() for handle in handles]
        assert states[0].status in (Status.DELAYED, Status.PENDING)
        assert [state.status for state in states[1:]] == [Status.FAILED, Status.PENDING]

    async def test_a_thread_that_ends_after_its_event_loop_is_no_error(
        self, gates: Gates, caplog: pytest.LogCaptureFixture
    ) -> None:
        def run_a_worker() -> None:
            worker = Worker("shop", broker_url="memory://", shutdown_timeout=0.0)

            @worker.task(timeout=0.02)
            def hold() -> None:
                gates.wait("hold")

            async def run() -> None:
                async with worker:
                    await (await hold.send()).wait(timeout=PATIENCE)

            asyncio.run(run())

        await asyncio.to_thread(run_a_worker)
        gates.open("hold")
        names = [one.name for one in threading.enumerate()]
        await eventually(
            lambda: (
                not any(
                    one.name in names and one.name.startswith("ltq-shop")
                    for one in threading.enumerate()
                )
            )
        )
        assert [record for record in caplog.records if record.levelno >= logging.ERROR][1:] == []

    async def test_several_stops_at_once_are_one(self, make_worker: MakeWorker) -> None:
        worker = make_worker(2)

        @worker.task
        def last() -> None:
            worker.stop()
            worker.stop()

        handle = await last.send()
        await asyncio.wait_for(worker.run(), PATIENCE)
        assert (await handle.state()).status is Status.COMPLETED


class TestThreadErrors(MakesWorkers):
    @pytest.mark.parametrize(
        "error", [StopIteration, asyncio.CancelledError, concurrent.futures.CancelledError]
    )
    async def test_one_that_no_future_can_hold_is_like_any_other(
        self, make_worker: MakeWorker, error: type[BaseException]
    ) -> None:
        worker = make_worker(1)

        @worker.task(max_tries=2, backoff=0.001)
        def fail() -> int:
            if ltq.current().attempt == 1:
                raise error
            return 2

        async with worker:
            assert await (await fail.send()).result(timeout=PATIENCE) == 2
