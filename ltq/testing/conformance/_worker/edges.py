"""Edge cases of a worker. Each of them failed once, or nearly did."""

import asyncio
import contextlib
import logging
import sys
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

import ltq
from ltq import EventKind, Status, Worker
from ltq._declared import DeclaredTask
from ltq.broker import Broker
from ltq.testing.conformance._support.eventually import PATIENCE, eventually


class TestCancelledStart:
    async def test_it_does_not_go_on_by_itself(self, broker: Broker) -> None:
        entered = asyncio.Event()

        @contextlib.asynccontextmanager
        async def slow(_: Worker[Any]) -> AsyncIterator[None]:
            entered.set()
            await asyncio.Event().wait()
            yield

        worker = Worker("shop", broker=broker, lifespan=slow)

        @worker.task
        async def work() -> None: ...

        async def run_beside() -> None:
            async with worker:
                await asyncio.Event().wait()

        running = asyncio.create_task(run_beside())
        await entered.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        left = [task for task in asyncio.all_tasks() if "Worker._work" in repr(task)]
        assert left == []


class TestBurstOfThreads:
    async def test_it_waits_for_the_slot_of_a_thread(self, broker: Broker) -> None:
        worker = Worker("shop", broker=broker, concurrency=1)
        failed = threading.Event()
        worker.subscribe(lambda one: failed.set() if one.kind is EventKind.FAILED else None)

        @worker.task(timeout=0.05)
        def slow(number: int) -> None:
            assert failed.wait(PATIENCE)  # by then its timeout is over, but its thread goes on

        handles = [await slow.send(number) for number in range(3)]
        await worker.run(burst=True)
        assert [(await handle.state()).status for handle in handles] == [
            Status.FAILED,
            Status.COMPLETED,
            Status.COMPLETED,
        ]


class TestStopTwice:
    async def test_told_twice_it_still_lets_tasks_end(self, worker: Worker) -> None:
        gate = asyncio.Event()
        begun = asyncio.Event()

        @worker.task
        async def work() -> int:
            begun.set()
            await gate.wait()
            return 1

        handle = await work.send()
        async with worker:
            await begun.wait()
            worker.stop()
            worker.stop()
            gate.set()
        state = await handle.state()
        assert (state.status, state.dequeue_count) == (Status.COMPLETED, 1)


class TestOutcomes:
    async def test_a_text_with_a_lone_surrogate_spoils_no_other_outcome(
        self, worker: Worker, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.CRITICAL, "ltq")  # a captured surrogate upsets test runners

        @worker.task
        async def fail() -> None:
            raise ValueError("no such file: caf\udce9.txt")

        @worker.task
        async def refuse() -> None:
            raise ltq.RejectError("caf\udce9")

        @worker.task
        async def fine(number: int) -> int:
            return number

        handles = await fine.send_many([fine.message(number) for number in range(10)])
        bad = [await fail.send(), await refuse.send()]
        async with worker:
            assert await ltq.gather(*handles) == tuple(range(10))
            states = [await handle.wait(timeout=PATIENCE) for handle in bad]
        assert [state.status for state in states] == [Status.FAILED, Status.REJECTED]
        assert "caf\\udce9" in (states[0].error or "")

    async def test_leaving_the_process_ends_the_run_only(self, worker: Worker) -> None:
        @worker.task
        async def leave() -> None:
            sys.exit(3)

        @worker.task
        async def fine() -> int:
            return 1

        async with worker:
            state = await (await leave.send()).wait(timeout=PATIENCE)
            assert (state.status, state.error) == (Status.FAILED, "SystemExit: 3")
            assert await (await fine.send()).result(timeout=PATIENCE) == 1

    async def test_many_large_results_are_written(self, worker: Worker) -> None:
        @worker.task
        async def large() -> str:
            return "x" * 900_000

        handles = await large.send_many([large.message() for _ in range(20)])
        async with worker:
            results = await ltq.gather(*handles)
        assert {len(result) for result in results} == {900_000}


class TestCancelledRun:
    @pytest.fixture
    def worker(self, broker: Broker) -> Worker:
        return Worker("shop", broker=broker, concurrency=20)

    async def test_what_a_cancelled_claim_leased_goes_back(self, worker: Worker) -> None:
        @worker.task
        async def hang() -> None:
            await asyncio.Event().wait()

        await hang.send_many([hang.message() for _ in range(50)])
        running = asyncio.create_task(worker.run())
        for _ in range(8):  # somewhere in the start or the first claim
            await asyncio.sleep(0)  # the task's own time
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        (stats,) = await worker.broker.stats([hang.queue])
        assert (stats.pending, stats.working) == (50, 0)


class TestBurst:
    async def test_it_waits_for_its_own_rate_limit_and_does_not_spin(self, worker: Worker) -> None:
        @worker.task(max_rate="5/s")
        async def limited() -> None:
            return None

        await limited.send_many([limited.message() for _ in range(3)])
        used = time.process_time()
        await asyncio.wait_for(worker.run(burst=True), PATIENCE)
        assert time.process_time() - used < 0.3  # it takes 0.4 s in all, waiting
        (stats,) = await worker.broker.stats([limited.queue])
        assert stats.pending == 0

    async def test_it_does_not_wait_for_what_only_others_serve(self, broker: Broker) -> None:
        mine, theirs = Worker("shop", broker=broker), Worker("bank", broker=broker)

        @mine.task(queue="shared")
        async def work() -> None:
            return None

        @theirs.task(queue="shared", max_rate="1/h")
        async def limited() -> None:
            return None

        await limited.send()
        handle = await work.send()
        await asyncio.wait_for(mine.run(burst=True), PATIENCE)
        assert (await handle.state()).status is Status.COMPLETED
        assert (await theirs.broker.stats(["shared"]))[0].pending == 1


class TestDeclaration:
    def test_a_function_and_options_may_be_given_together(self, worker: Worker) -> None:
        async def work() -> None:
            return None

        decorate: object = worker.task
        assert callable(decorate)
        assert DeclaredTask.of(decorate(work, max_tries=3)).config.max_tries == 3

    @pytest.mark.parametrize("given", [("x",), (print, print), (None,)])
    def test_what_is_no_function_is_refused(self, worker: Worker, given: tuple[object]) -> None:
        decorate: object = worker.task
        assert callable(decorate)
        with pytest.raises(ltq.ConfigurationError, match="one function"):
            decorate(*given)

    def test_an_empty_name_is_refused(self, worker: Worker) -> None:
        with pytest.raises(ltq.ConfigurationError, match="''"):
            worker.task(name="")(print)

    def test_an_empty_url_is_no_default(self) -> None:
        with pytest.raises(ltq.ConfigurationError, match="scheme"):
            Worker("shop", "")


class TestCancelBeforeTheStart:
    async def test_a_cancelled_task_that_had_not_begun_frees_its_slot(self, broker: Broker) -> None:
        worker = Worker("shop", broker=broker, concurrency=1)
        ran: list[int] = []

        @worker.task
        async def work(number: int) -> None:
            ran.append(number)

        handles = [await work.send(number) for number in range(5)]
        async with worker:
            await asyncio.gather(*(handle.cancel() for handle in handles[:3]))
            await eventually(lambda: 4 in ran)
            states = [await handle.wait(timeout=PATIENCE) for handle in handles]
        assert all(state.status.is_final for state in states)


class TestEndOfItsLoop:
    """`asyncio.run` ends while the worker runs, and cancels all asyncio tasks at once."""

    async def end_early(self, worker: Worker, begun: threading.Event) -> None:
        async def run() -> None:
            async with contextlib.aclosing(worker):
                await worker.run()

        async def main() -> None:
            running = asyncio.create_task(run())
            await asyncio.to_thread(begun.wait, PATIENCE)
            assert not running.done()

        await asyncio.to_thread(asyncio.run, main())

    async def test_what_runs_is_requeued_with_no_try_used_up(
        self, broker: Broker, caplog: pytest.LogCaptureFixture
    ) -> None:
        # A worker with all slots in use does not wait for work, for which fakeredis would go on
        # calling into the event loop that has ended.
        worker = Worker("shop", broker=broker, concurrency=3)
        begun, ran = threading.Event(), list[tuple[int, int]]()

        @worker.task(max_tries=2)
        async def work(number: int) -> int:
            ran.append((number, ltq.current().attempt))
            if len(ran) == 3:
                begun.set()
            if len(ran) <= 3:
                await asyncio.Event().wait()
            return number

        handles = [await work.send(number) for number in range(3)]
        await self.end_early(worker, begun)
        assert [(await handle.state()).status for handle in handles] == [Status.PENDING] * 3
        await worker.run(burst=True)
        assert [await handle.result(timeout=PATIENCE) for handle in handles] == [0, 1, 2]
        assert sorted(ran) == [(0, 1), (0, 1), (1, 1), (1, 1), (2, 1), (2, 1)]
        assert [r.message for r in caplog.records if r.levelno >= logging.ERROR] == []

    async def test_what_runs_in_a_thread_is_requeued_too(self, broker: Broker) -> None:
        worker = Worker("shop", broker=broker, concurrency=1)
        begun, goes_on = threading.Event(), threading.Event()

        @worker.task(max_tries=2)
        def work() -> int:
            begun.set()
            goes_on.wait(PATIENCE)
            return ltq.current().attempt

        handle = await work.send()
        await self.end_early(worker, begun)
        assert (await handle.state()).status is Status.PENDING
        goes_on.set()
        await worker.run(burst=True)
        assert await handle.result(timeout=PATIENCE) == 1

    async def test_a_task_that_cancels_itself_fails_as_ever(self, worker: Worker) -> None:
        @worker.task
        async def work() -> None:
            current = asyncio.current_task()
            assert current is not None
            current.cancel()
            await asyncio.Event().wait()

        async with worker:
            state = await (await work.send()).wait(timeout=PATIENCE)
        assert (state.status, state.error) == (Status.FAILED, "CancelledError")
