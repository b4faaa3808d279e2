"""Synchronous calls from threads, while a worker runs in an event loop."""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

import ltq
from ltq import Handle, Message, Status, SyncHandle, Task, Worker
from ltq.broker import Broker
from ltq.testing.conformance._support.eventually import PATIENCE, eventually


class ClosesSync:
    """Tests whose synchronous calls open connections, which are closed before the store."""

    @pytest.fixture(autouse=True)
    def closed(self) -> Iterator[None]:
        yield
        ltq.close_sync()


@dataclass(frozen=True)
class Price:
    euros: int


class TestSyncSend(ClosesSync):
    async def test_a_result_is_rebuilt_from_its_annotation(self, worker: Worker) -> None:
        @worker.task
        async def price(number: int, *, discount: int = 0) -> Price:
            return Price(number - discount)

        def view() -> tuple[SyncHandle[Price], Price]:
            handle = price.send_sync(10, discount=3)
            return handle, handle.result(timeout=PATIENCE)

        async with worker:
            handle, result = await asyncio.to_thread(view)
        assert result == Price(7)
        assert (str(handle), handle.task_name, handle.queue) == (
            handle.id,
            "shop:price",
            "shop:price",
        )

    async def test_options_of_a_send_hold(self, worker: Worker) -> None:
        @worker.task
        async def double(number: int) -> int:
            return 2 * number

        later = double.with_options(id="mine", delay=60)
        first = await asyncio.to_thread(later.send_sync, 1)
        again = await asyncio.to_thread(later.send_sync, 1)
        assert first == again
        assert len({first, again}) == 1
        state = await double.handle("mine").state()
        assert (first.id, state.status) == ("mine", Status.DELAYED)
        assert (await asyncio.to_thread(first.state)) == state

    async def test_many_go_together_and_keep_their_order(self, worker: Worker) -> None:
        @worker.task
        async def double(number: int) -> int:
            return 2 * number

        def view() -> list[int]:
            messages = [double.message(number) for number in range(20)]
            return [one.result(timeout=PATIENCE) for one in double.send_many_sync(messages)]

        async with worker:
            assert await asyncio.to_thread(view) == [2 * number for number in range(20)]

    async def test_what_has_ended_may_run_once_more(self, worker: Worker) -> None:
        @worker.task(keep_body=True)
        async def double(number: int) -> int:
            return 2 * number

        def view() -> tuple[str, str, int]:
            handle = double.send_sync(4)
            handle.wait(PATIENCE)
            again = handle.rerun()
            return handle.id, again.id, again.result(timeout=PATIENCE)

        async with worker:
            first, second, result = await asyncio.to_thread(view)
        assert first != second
        assert result == 8

    async def test_a_handle_is_found_by_its_id(self, worker: Worker) -> None:
        @worker.task
        async def double(number: int) -> int:
            return 2 * number

        sent = await double.send(4)
        async with worker:
            found = double.handle_sync(sent.id)
            assert await asyncio.to_thread(found.result, PATIENCE) == 8
        nobody = double.handle_sync("nobody")
        for ask in (nobody.state, nobody.result, nobody.cancel):
            with pytest.raises(ltq.TaskNotFoundError, match="nobody"):
                await asyncio.to_thread(ask)

    async def test_wrong_arguments_and_full_queues_are_told(self, worker: Worker) -> None:
        @worker.task(max_pending=1)
        async def double(number: int) -> int:
            return 2 * number

        with pytest.raises(ltq.InvalidArgumentsError):
            await asyncio.to_thread(double.send_sync, object())  # type: ignore[arg-type]  # refused
        await asyncio.to_thread(double.send_sync, 1)
        with pytest.raises(ltq.QueueFullError):
            await asyncio.to_thread(double.send_sync, 2)

    async def test_on_send_runs_in_the_thread_that_sends(self, broker: Broker) -> None:
        class Mark(ltq.Middleware):
            @asynccontextmanager
            async def __call__(self, message: Message, task: Task) -> AsyncIterator[None]:
                yield

            def on_send(self, message: Message, task: Task) -> None:
                message.ctx["thread"] = threading.current_thread().name

        worker = Worker("shop", broker=broker, middlewares=[Mark()])

        @worker.task
        async def thread() -> str:
            name: str = ltq.current().message.ctx["thread"]
            return name

        with ThreadPoolExecutor(1, "view") as pool:
            handle = await asyncio.wrap_future(pool.submit(thread.send_sync))
            async with worker:
                assert await asyncio.wrap_future(pool.submit(handle.result, PATIENCE)) == "view_0"

    async def test_any_number_of_threads_may_send_and_wait_at_once(self, worker: Worker) -> None:
        @worker.task
        async def double(number: int) -> int:
            return 2 * number

        def view(number: int) -> int:
            return double.send_sync(number).result(timeout=PATIENCE)

        async with worker:
            with ThreadPoolExecutor(16) as pool:
                calls = [asyncio.wrap_future(pool.submit(view, number)) for number in range(200)]
                assert await asyncio.gather(*calls) == [2 * number for number in range(200)]
                assert [t.name for t in threading.enumerate()].count("ltq-sync") == 1

    async def test_a_plain_task_may_send(self, worker: Worker) -> None:
        @worker.task
        def double(number: int) -> int:
            return 2 * number

        @worker.task
        def outer(number: int) -> int:
            return double.send_sync(number).result(timeout=PATIENCE)

        async with worker:
            assert await (await outer.send(3)).result(timeout=PATIENCE) == 6


class TestSyncHandle(ClosesSync):
    async def test_it_is_followed_to_its_end(self, worker: Worker) -> None:
        goes_on = threading.Event()

        @worker.task
        async def count() -> int:
            await ltq.current().progress(1, total=2, note="half")
            await asyncio.to_thread(goes_on.wait, PATIENCE)
            return 2

        def view() -> tuple[list[Status], list[str]]:
            statuses, notes = [], []
            for state in handle.watch(timeout=PATIENCE):
                statuses.append(state.status)
                if state.progress is not None:
                    notes.append(state.progress.note)
                    goes_on.set()
            return statuses, notes

        handle = await asyncio.to_thread(count.send_sync)
        async with worker:
            statuses, notes = await asyncio.to_thread(view)
        assert (statuses[-1], "half" in notes) == (Status.COMPLETED, True)

    async def test_a_watch_left_early_ends(self, worker: Worker) -> None:
        @worker.task
        async def never() -> None: ...

        feeds = 0
        broker: Any = worker.broker  # its feeds are counted
        follow = broker.feed

        def counted(queue: str, task_id: str) -> object:
            nonlocal feeds
            feed = follow(queue, task_id)
            close = feed.close

            def closed() -> None:
                nonlocal feeds
                feeds -= 1
                close()

            feeds += 1
            feed.close = closed
            return feed

        broker.feed = counted

        def view() -> Status:
            for state in never.send_sync().watch():
                assert feeds == 1
                return state.status
            raise AssertionError

        assert await asyncio.to_thread(view) is Status.PENDING
        gc.collect()
        await eventually(lambda: feeds == 0)

    async def test_a_timeout_holds_and_the_task_goes_on(self, worker: Worker) -> None:
        @worker.task
        async def double(number: int) -> int:
            return 2 * number

        handle = await asyncio.to_thread(double.send_sync, 1)
        for wait in (handle.result, handle.wait, lambda timeout: list(handle.watch(timeout))):
            with pytest.raises(ltq.ResultTimeoutError, match=r"did not end within 0.05 s"):
                await asyncio.to_thread(wait, 0.05)
        async with worker:
            assert await asyncio.to_thread(handle.result, PATIENCE) == 2

    async def test_a_failure_is_raised_and_a_wait_gives_it(self, worker: Worker) -> None:
        @worker.task
        async def fail() -> int:
            raise ValueError("no")

        async with worker:
            handle = await asyncio.to_thread(fail.send_sync)
            with pytest.raises(ltq.TaskFailedError, match="ValueError: no"):
                await asyncio.to_thread(handle.result, PATIENCE)
            state = await asyncio.to_thread(handle.wait, PATIENCE)
        assert (state.status, state.error) == (Status.FAILED, "ValueError: no")
        assert repr(handle) == f"<SyncHandle of shop:fail {handle.id}: failed>"

    async def test_a_cancel_is_final(self, worker: Worker) -> None:
        @worker.task
        async def never() -> None: ...

        handle = await asyncio.to_thread(never.send_sync)
        assert await asyncio.to_thread(handle.cancel)
        assert not await asyncio.to_thread(handle.cancel)
        with pytest.raises(ltq.TaskCancelledError):
            await asyncio.to_thread(handle.result)


class TestSyncMistakes(ClosesSync):
    async def test_where_an_event_loop_runs_it_says_what_to_use(self, worker: Worker) -> None:
        @worker.task
        async def double(number: int) -> int:
            return 2 * number

        handle = double.handle_sync("a")
        for call, instead in (
            (lambda: double.send_sync(1), r"await shop:double\.send\("),
            (lambda: double.send_many_sync([]), r"await shop:double\.send_many\("),
            (handle.result, r"await handle\.result\("),
            (handle.state, r"await handle\.state\("),
            (handle.wait, r"await handle\.wait\("),
            (handle.cancel, r"await handle\.cancel\("),
            (handle.watch, r"async for state in handle\.watch\("),
        ):
            with pytest.raises(ltq.ConfigurationError, match=instead):
                call()

    async def test_a_handle_is_no_async_one(self, worker: Worker) -> None:
        @worker.task
        async def double(number: int) -> int:
            return 2 * number

        handle: object = double.handle_sync("a")
        assert handle != double.handle("a")
        assert not isinstance(handle, Handle)


class TestCloseSync(ClosesSync):
    async def test_who_waits_is_told_and_the_next_call_opens_anew(self, worker: Worker) -> None:
        @worker.task
        async def double(number: int) -> int:
            return 2 * number

        handle = await asyncio.to_thread(double.send_sync, 1)
        waiting = asyncio.create_task(asyncio.to_thread(handle.result))
        watch = await asyncio.to_thread(handle.watch)
        await asyncio.to_thread(next, watch)
        ltq.close_sync()
        ltq.close_sync()
        with pytest.raises(ltq.BrokerError, match="closed"):
            await waiting
        with pytest.raises(ltq.BrokerError, match="closed"):
            await asyncio.to_thread(next, watch)
        async with worker:
            assert await asyncio.to_thread(handle.result, PATIENCE) == 2
