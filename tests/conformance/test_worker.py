"""Tasks run by a worker: the whole way, on every broker."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import ltq
from ltq import Handle, Status, Worker
from ltq._names import new_id
from ltq.broker import Broker
from ltq.message import Envelope
from tests.eventually import eventually


@pytest.fixture
def worker(broker: Broker) -> Worker:
    return Worker("shop", broker=broker, concurrency=10, lease=5.0, shutdown_timeout=5.0)


@dataclass(frozen=True)
class Order:
    number: int
    items: tuple[str, ...]
    at: datetime


async def run_until_final(worker: Worker, *handles: Handle[Any]) -> list[ltq.TaskState[Any]]:
    async with worker:
        return list(await asyncio.gather(*(handle.wait(timeout=10) for handle in handles)))


class TestRun:
    async def test_a_result_is_rebuilt_from_its_annotation(self, worker: Worker) -> None:
        moment = datetime(2026, 1, 2, tzinfo=UTC)

        @worker.task
        async def order(number: int, *, items: tuple[str, ...]) -> Order:
            return Order(number, items, moment)

        async with worker:
            handle = await order.send(7, items=("tea", "cup"))
            assert await handle.result(timeout=5) == Order(7, ("tea", "cup"), moment)

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
            name, attempt = await (await where.send()).result(timeout=5)
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
        await asyncio.wait_for(worker.run(), 10)
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


class TestFailure:
    async def test_an_error_without_max_tries_is_final(self, worker: Worker) -> None:
        @worker.task
        async def fail() -> None:
            raise ValueError("no such thing")

        handle = await fail.send()
        (state,) = await run_until_final(worker, handle)
        assert (state.status, state.dequeue_count) == (Status.FAILED, 1)
        with pytest.raises(ltq.TaskFailedError, match="ValueError: no such thing") as caught:
            await handle.result(timeout=1)
        assert (caught.value.type, caught.value.message) == ("ValueError", "no such thing")
        assert "raise ValueError" in (caught.value.traceback or "")

    async def test_max_tries_counts_all_failing_runs(self, worker: Worker) -> None:
        attempts: list[int] = []

        @worker.task(max_tries=3, backoff=0.001)
        async def fail() -> None:
            attempts.append(ltq.current().attempt)
            raise OSError("again")

        (state,) = await run_until_final(worker, await fail.send())
        assert attempts == [1, 2, 3]
        assert (state.status, state.error) == (Status.FAILED, "OSError: again")
        (stats,) = await worker.broker.stats([fail.queue])
        assert (stats.dead, stats.pending, stats.delayed, stats.working) == (1, 0, 0, 0)

    async def test_a_try_that_succeeds_ends_it(self, worker: Worker) -> None:
        @worker.task(max_tries=5, backoff=lambda failed: 0.001 * failed)
        async def flaky() -> int:
            if ltq.current().attempt < 3:
                raise OSError("again")
            return ltq.current().attempt

        (state,) = await run_until_final(worker, await flaky.send())
        assert (state.result, state.error, state.requeue_count) == (3, None, 2)

    async def test_retry_on_chooses_the_errors(self, worker: Worker) -> None:
        @worker.task(max_tries=3, backoff=0.001, retry_on=OSError)
        async def fail(kind: str) -> None:
            raise OSError("os") if kind == "os" else KeyError("key")

        states = await run_until_final(worker, await fail.send("os"), await fail.send("key"))
        assert [state.dequeue_count for state in states] == [3, 1]

    async def test_retry_error_keeps_its_delay_and_may_repeat(self, worker: Worker) -> None:
        @worker.task
        async def insist() -> int:
            if ltq.current().attempt < 4:
                raise ltq.RetryError(delay=0.001, message="not yet")
            return ltq.current().attempt

        (state,) = await run_until_final(worker, await insist.send())
        assert (state.result, state.dequeue_count) == (4, 4)

    async def test_retry_error_uses_up_tries_where_they_are_limited(self, worker: Worker) -> None:
        @worker.task(max_tries=2)
        async def insist() -> None:
            raise ltq.RetryError(message="not yet")

        (state,) = await run_until_final(worker, await insist.send())
        assert (state.status, state.dequeue_count) == (Status.FAILED, 2)
        assert state.error == "RetryError: not yet"

    @pytest.mark.parametrize("delay", [timedelta(milliseconds=1), 0.001, 0])
    async def test_retry_error_takes_any_duration(
        self, worker: Worker, delay: timedelta | float
    ) -> None:
        @worker.task
        async def insist() -> int:
            if ltq.current().attempt == 1:
                raise ltq.RetryError(delay=delay)
            return ltq.current().attempt

        (state,) = await run_until_final(worker, await insist.send())
        assert state.result == 2

    @pytest.mark.parametrize("delay", [float("inf"), float("nan"), -1, 1e300])
    async def test_a_delay_that_is_none_fails_the_task(self, worker: Worker, delay: float) -> None:
        @worker.task
        async def insist() -> None:
            raise ltq.RetryError(delay=delay)

        (state,) = await run_until_final(worker, await insist.send())
        assert state.status is Status.FAILED
        assert "RetryError.delay=" in (state.error or "")

    async def test_a_ctx_that_is_no_json_fails_the_task(self, worker: Worker) -> None:
        @worker.task
        async def spoil() -> None:
            ltq.current().message.ctx["lock"] = threading.Lock()
            raise ltq.RetryError

        (state,) = await run_until_final(worker, await spoil.send())
        assert (state.status, state.error_type) == (Status.FAILED, "TypeError")

    async def test_middleware_may_keep_what_it_knows_over_retries(self, broker: Broker) -> None:
        seen: list[Any] = []

        class Count(ltq.Middleware):
            @asynccontextmanager
            async def __call__(
                self, message: ltq.Message[Any], task: ltq.Task[..., Any]
            ) -> AsyncIterator[None]:
                seen.append(message.ctx.get("count", 0))
                message.ctx["count"] = message.ctx.get("count", 0) + 1
                yield

        worker = Worker("shop", broker=broker)
        worker.register_middleware(Count(), pos=0)

        @worker.task(max_tries=3, backoff=0.001)
        async def fail() -> None:
            raise OSError

        await run_until_final(worker, await fail.send())
        assert seen == [0, 1, 2]

    async def test_a_traceback_begins_where_the_users_code_does(self, worker: Worker) -> None:
        @worker.task
        async def fail() -> None:
            raise ValueError("no")

        (state,) = await run_until_final(worker, await fail.send())
        assert "_executor.py" not in (state.traceback or "")
        assert "in fail" in (state.traceback or "")

    async def test_a_task_that_cancels_itself_has_failed(self, worker: Worker) -> None:
        @worker.task
        async def give_up() -> None:
            raise asyncio.CancelledError

        (state,) = await run_until_final(worker, await give_up.send())
        assert state.status is Status.FAILED
        assert "CancelledError" in (state.error or "")

    async def test_that_is_an_error_like_any_other(self, worker: Worker) -> None:
        @worker.task(max_tries=3, backoff=0.001)
        async def give_up() -> int:
            if ltq.current().attempt < 3:
                raise asyncio.CancelledError
            return 3

        (state,) = await run_until_final(worker, await give_up.send())
        assert (state.status, state.result) == (Status.COMPLETED, 3)

    async def test_reject_error_is_final(self, worker: Worker) -> None:
        @worker.task(max_tries=5)
        async def refuse() -> None:
            raise ltq.RejectError("not for me")

        handle = await refuse.send()
        (state,) = await run_until_final(worker, handle)
        assert (state.status, state.error) == (Status.REJECTED, "not for me")
        with pytest.raises(ltq.TaskRejectedError, match="not for me"):
            await handle.result(timeout=1)

    async def test_a_timeout_cuts_a_coroutine(self, worker: Worker) -> None:
        @worker.task(timeout=0.05)
        async def hang() -> None:
            await asyncio.Event().wait()

        (state,) = await run_until_final(worker, await hang.send())
        assert (state.status, state.timeout) == (Status.FAILED, 0.05)
        assert "did not end within its timeout of 0.05 s" in (state.error or "")

    async def test_too_old_is_rejected(self, worker: Worker) -> None:
        @worker.task(max_age=timedelta(milliseconds=20))
        async def news() -> None:
            return None

        handle = await news.with_options(delay=0.05).send()
        (state,) = await run_until_final(worker, handle)
        assert state.status is Status.REJECTED
        assert "too old" in (state.error or "")

    async def test_a_result_that_does_not_fit_fails_the_task(self, worker: Worker) -> None:
        @worker.task
        async def lie() -> int:
            return "text"  # type: ignore[return-value]

        (state,) = await run_until_final(worker, await lie.send())
        assert state.status is Status.FAILED
        assert "int" in (state.error or "")

    async def test_an_undecodable_body_is_rejected_and_the_others_run(
        self, worker: Worker, broker: Broker
    ) -> None:
        @worker.task
        async def double(number: int) -> int:
            return 2 * number

        bad = Envelope(id=new_id(), queue=double.queue, task_name=double.name, body=b"\xff{[")
        await broker.publish([bad])
        good = await double.send(4)
        states = await run_until_final(worker, double.handle(bad.id), good)
        assert [state.status for state in states] == [Status.REJECTED, Status.COMPLETED]
        (stats,) = await broker.stats([double.queue])
        assert stats.dead == 1

    async def test_an_unknown_task_is_put_back_for_others(
        self, worker: Worker, broker: Broker
    ) -> None:
        @worker.task(queue="shop:shared")
        async def known() -> None:
            return None

        stranger = Envelope(id=new_id(), queue="shop:shared", task_name="shop:new", body=b"[[],{}]")
        await broker.publish([stranger])
        async with worker:

            async def put_back() -> bool:
                state = await broker.state("shop:shared", stranger.id)
                return state.status is Status.DELAYED and state.dequeue_count == 1

            await eventually(put_back)


class TestBlockedLoop:
    async def test_it_loses_no_lease_and_is_logged_by_name(
        self, broker: Broker, caplog: pytest.LogCaptureFixture
    ) -> None:
        worker = Worker("shop", broker=broker, lease=0.5)

        @worker.task
        async def block() -> int:
            time.sleep(2.5)  # noqa: ASYNC251  # the task's own time
            return ltq.current().attempt

        handle = await block.send()
        async with worker:
            state = await handle.wait(timeout=10)
        assert (state.result, state.dequeue_count, state.requeue_count) == (1, 1, 0)
        assert f"the event loop is blocked by shop:block {handle.id}" in caplog.text


class TestCancel:
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
            await asyncio.wait_for(started.wait(), 5)
            assert await handle.cancel()
            await asyncio.wait_for(ended.wait(), 1)
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
        await asyncio.wait_for(started.wait(), 5)
        worker.stop()
        asyncio.get_running_loop().call_later(0.05, go_on.set)
        await asyncio.wait_for(running, 5)
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
        await asyncio.wait_for(started.wait(), 5)
        worker.stop()
        await asyncio.wait_for(running, 5)
        state = await handle.state()
        assert (state.status, state.requeue_count) == (Status.PENDING, 1)

    async def test_cancelling_run_requeues_at_once(self, worker: Worker) -> None:
        started = asyncio.Event()

        @worker.task
        async def hang() -> None:
            started.set()
            await asyncio.Event().wait()

        handle = await hang.send()
        running = asyncio.create_task(worker.run())
        await asyncio.wait_for(started.wait(), 5)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(running, 5)
        assert (await handle.state()).status is Status.PENDING


class TestProgress:
    async def test_a_watcher_sees_it(self, worker: Worker) -> None:
        go_on = asyncio.Event()

        @worker.task
        async def walk() -> None:
            await ltq.current().progress(1, 4, "begun")
            await go_on.wait()

        async with worker:
            handle = await walk.send()
            async for state in handle.watch(timeout=5):
                if state.progress is not None:
                    assert state.progress == ltq.Progress(1, 4, "begun")
                    go_on.set()
            assert state.status is Status.COMPLETED
            assert state.progress is None


class TestRate:
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
            await handle.result(timeout=5)
            (stats,) = await worker.broker.stats(["shop:all"])
        assert stats.pending == 2
