"""A worker runs tasks, from `send` to the result."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

import ltq
from ltq import Status, Worker
from ltq.broker import Broker
from ltq.testing.conformance._support.eventually import PATIENCE, eventually
from ltq.testing.conformance._support.factories import run_until_final


@dataclass(frozen=True)
class Order:
    number: int
    items: tuple[str, ...]
    at: datetime


class TestRun:
    async def test_a_result_is_rebuilt_from_its_annotation(self, worker: Worker) -> None:
        moment = datetime(2026, 1, 2, tzinfo=UTC)

        @worker.task
        async def order(number: int, *, items: tuple[str, ...]) -> Order:
            return Order(number, items, moment)

        async with worker:
            handle = await order.send(7, items=("tea", "cup"))
            assert await handle.result(timeout=PATIENCE) == Order(7, ("tea", "cup"), moment)

    async def test_none_is_a_result_like_any_other(self, worker: Worker) -> None:
        @worker.task
        async def quiet() -> None:
            return None

        (state,) = await run_until_final(worker, await quiet.send())
        assert (state.status, state.result, state.dequeue_count) == (Status.COMPLETED, None, 1)

    async def test_a_plain_function_runs_in_a_thread(self, worker: Worker) -> None:
        @worker.task()
        def where() -> tuple[str, int]:
            return threading.current_thread().name, ltq.current().attempt

        async with worker:
            name, attempt = await (await where.send()).result(timeout=PATIENCE)
        assert name.startswith("ltq-shop")
        assert attempt == 1

    async def test_a_burst_ends_when_nothing_is_due(self, worker: Worker) -> None:
        done: list[int] = []

        @worker.task
        async def note(number: int) -> None:
            done.append(number)

        await note.send_many([note.message(number) for number in range(250)])
        later = await note.with_options(delay=60).send(999)
        await worker.run(burst=True)
        assert sorted(done) == list(range(250))
        assert (await later.state()).status is Status.DELAYED

    async def test_a_burst_runs_what_its_tasks_send(self, worker: Worker) -> None:
        done: list[int] = []

        @worker.task
        async def count_down(number: int) -> None:
            done.append(number)
            if number:
                await count_down.send(number - 1)

        await count_down.send(5)
        await worker.run(burst=True)
        assert done == [5, 4, 3, 2, 1, 0]

    @pytest.mark.parametrize("delay", [0, 0.05], ids=["at_once", "delayed"])
    async def test_a_burst_runs_what_its_tasks_wait_for(self, worker: Worker, delay: float) -> None:
        @worker.task
        async def factorial(number: int) -> int:
            if number < 2:
                return 1
            smaller = await factorial.with_options(delay=delay).send(number - 1)
            return number * await smaller.result(timeout=PATIENCE)

        handle = await factorial.send(4)
        await worker.run(burst=True)
        assert await handle.result(timeout=1) == 24

    async def test_a_burst_runs_what_is_sent_while_it_runs(self, worker: Worker) -> None:
        started, go_on = asyncio.Event(), asyncio.Event()

        @worker.task
        async def hold() -> None:
            started.set()
            await go_on.wait()

        @worker.task
        async def let_go() -> None:
            go_on.set()

        await hold.send()
        burst = asyncio.create_task(worker.run(burst=True))
        await asyncio.wait_for(started.wait(), PATIENCE)
        await let_go.send()
        await asyncio.wait_for(burst, PATIENCE)

    async def test_no_more_run_at_once_than_the_concurrency(self, broker: Broker) -> None:
        worker = Worker("shop", broker=broker, concurrency=3)
        running, most = 0, 0
        go_on = asyncio.Event()

        @worker.task
        async def hold() -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await go_on.wait()
            running -= 1

        handles = await hold.send_many([hold.message() for _ in range(8)])
        async with worker:
            await eventually(lambda: running == 3)
            (stats,) = await broker.stats([hold.queue])
            assert (stats.pending, stats.working) == (5, 3)
            go_on.set()
            await ltq.gather(*handles)
        assert most == 3

    async def test_priorities_are_strict(self, broker: Broker) -> None:
        worker = Worker("shop", broker=broker, concurrency=1)
        order: list[str] = []

        @worker.task
        async def note(text: str) -> None:
            order.append(text)

        for number in range(2):
            await note.with_options(priority="low").send(f"low {number}")
            await note.send(f"normal {number}")
            await note.with_options(priority="high").send(f"high {number}")
        await worker.run(burst=True)
        assert order == ["high 0", "high 1", "normal 0", "normal 1", "low 0", "low 1"]

    async def test_calling_a_task_runs_it_here(self, worker: Worker) -> None:
        @worker.task
        async def double(number: int) -> int:
            return 2 * number

        @worker.task
        def triple(number: int) -> int:
            return 3 * number

        assert (await double(4), await triple(4)) == (8, 12)

    async def test_stop_may_be_called_inside_a_task(self, worker: Worker) -> None:
        @worker.task
        async def last() -> str:
            worker.stop()
            return "bye"

        handle = await last.send()
        await asyncio.wait_for(worker.run(), PATIENCE)
        assert await handle.result(timeout=1) == "bye"

    async def test_the_lifespans_value_is_there_for_tasks(self, broker: Broker) -> None:
        events: list[str] = []

        @asynccontextmanager
        async def lifespan(worker: Worker) -> AsyncIterator[dict[str, int]]:
            events.append(f"up {worker.name}")
            yield {"answer": 42}
            events.append("down")

        worker = Worker("shop", broker=broker, lifespan=lifespan)

        @worker.task
        async def ask() -> int:
            return int(worker.resource["answer"])

        handle = await ask.send()
        await worker.run(burst=True)
        assert await handle.result(timeout=1) == 42
        assert events == ["up shop", "down"]


class TestCancelInAWorker:
    async def test_a_queued_task_never_starts(self, worker: Worker) -> None:
        ran = False

        @worker.task
        async def never() -> None:
            nonlocal ran
            ran = True

        handle = await never.send()
        assert await handle.cancel()
        await worker.run(burst=True)
        assert not ran
        assert not await handle.cancel()
        with pytest.raises(ltq.TaskCancelledError):
            await handle.result(timeout=1)

    async def test_a_running_coroutine_is_cancelled(self, worker: Worker) -> None:
        started, ended = asyncio.Event(), asyncio.Event()

        @worker.task(max_tries=5)
        async def hang() -> None:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        async with worker:
            handle = await hang.send()
            await asyncio.wait_for(started.wait(), PATIENCE)
            assert await handle.cancel()
            await asyncio.wait_for(ended.wait(), PATIENCE)
            state = await handle.wait(timeout=1)
        assert (state.status, state.dequeue_count) == (Status.CANCELLED, 1)


class TestShutdown:
    async def test_running_tasks_may_end(self, worker: Worker) -> None:
        started, go_on = asyncio.Event(), asyncio.Event()

        @worker.task
        async def slow() -> str:
            started.set()
            await go_on.wait()
            return "done"

        handle = await slow.send()
        running = asyncio.create_task(worker.run())
        await asyncio.wait_for(started.wait(), PATIENCE)
        worker.stop()
        asyncio.get_running_loop().call_later(0.05, go_on.set)
        await asyncio.wait_for(running, PATIENCE)
        assert await handle.result(timeout=1) == "done"

    async def test_what_does_not_end_goes_back_with_no_try_used(self, broker: Broker) -> None:
        worker = Worker("shop", broker=broker, shutdown_timeout=0.05)
        started = asyncio.Event()

        @worker.task(max_tries=1)
        async def hang() -> None:
            started.set()
            await asyncio.Event().wait()

        handle = await hang.send()
        running = asyncio.create_task(worker.run())
        await asyncio.wait_for(started.wait(), PATIENCE)
        worker.stop()
        await asyncio.wait_for(running, PATIENCE)
        state = await handle.state()
        assert (state.status, state.requeue_count) == (Status.PENDING, 1)

    async def test_what_goes_back_stays_in_its_order(self, broker: Broker) -> None:
        """However long each takes to end, and whether it was a coroutine's first step or not."""
        worker = Worker("shop", broker=broker, concurrency=5, shutdown_timeout=0.05)
        started: set[int] = set()

        @worker.task
        async def hang(number: int) -> None:
            started.add(number)
            try:
                await asyncio.Event().wait()
            finally:
                for _ in range(number * 3 % 5):
                    await broker.ping()
                    await asyncio.sleep(0)

        await hang.send_many([hang.message(number) for number in range(9)])
        running = asyncio.create_task(worker.run())
        await eventually(lambda: len(started) == 5)
        worker.stop()
        await asyncio.wait_for(running, PATIENCE)

        ran: list[int] = []
        again = Worker("shop", broker=broker, concurrency=1)

        @again.task(name="hang")
        async def note(number: int) -> None:
            ran.append(number)

        await again.run(burst=True)
        assert ran == list(range(9))

    async def test_cancelling_run_requeues_at_once(self, worker: Worker) -> None:
        started = asyncio.Event()

        @worker.task
        async def hang() -> None:
            started.set()
            await asyncio.Event().wait()

        handle = await hang.send()
        running = asyncio.create_task(worker.run())
        await asyncio.wait_for(started.wait(), PATIENCE)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(running, PATIENCE)
        assert (await handle.state()).status is Status.PENDING


class TestRateInAWorker:
    async def test_a_limited_task_is_claimed_once(self, worker: Worker) -> None:
        @worker.task(max_rate="100/s")
        async def limited(number: int) -> int:
            return number

        handles = await limited.send_many([limited.message(number) for number in range(30)])
        states = await run_until_final(worker, *handles)
        assert {state.dequeue_count for state in states} == {1}
        first = min(state.last_dequeue_time or 0 for state in states)
        last = max(state.last_dequeue_time or 0 for state in states)
        assert last - first >= 0.19  # 30 starts, 10 of them at once

    async def test_it_does_not_hold_up_the_others_of_its_queue(self, worker: Worker) -> None:
        @worker.task(queue="shop:all", max_rate="1/h")
        async def limited() -> None:
            return None

        @worker.task(queue="shop:all")
        async def free() -> None:
            return None

        await limited.send_many([limited.message() for _ in range(3)])
        handle = await free.send()
        async with worker:
            await handle.result(timeout=PATIENCE)
            (stats,) = await worker.broker.stats(["shop:all"])
        assert stats.pending == 2
