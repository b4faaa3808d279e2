"""Progress that a task reports, from its coroutine and from threads."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import ltq
from ltq import Context, Progress, Status, Worker
from ltq.message import Lease
from ltq.testing.conformance._support.eventually import PATIENCE, eventually


class Thread:
    """What the thread of a task waits for, and what it came to."""

    def __init__(self) -> None:
        self.begun: threading.Event = threading.Event()
        self.goes_on: threading.Event = threading.Event()
        self.error: Exception | None = None
        self.ended: threading.Event = threading.Event()

    def report_later(self) -> None:
        """Report progress once it may go on; for a task's function."""
        context = ltq.current()
        self.begun.set()
        assert self.goes_on.wait(PATIENCE)
        try:
            context.progress_sync(1)
        except Exception as error:
            self.error = error
        self.ended.set()


def writes_of(worker: Worker) -> list[Progress]:
    """What is written by the worker's broker from now on."""
    broker: Any = worker.broker  # its calls are counted
    write, written = broker.progress, []

    async def counted(lease: Lease, progress: Progress) -> bool:
        written.append(progress)
        kept: bool = await write(lease, progress)
        return kept

    broker.progress = counted
    return written


async def first_progress(handle: ltq.Handle[Any], goes_on: threading.Event) -> Progress | None:
    """The first progress that a watcher sees. The task may go on then, and ends."""
    seen: Progress | None = None
    async for state in handle.watch(timeout=PATIENCE):
        if state.progress is not None:
            seen = seen or state.progress
            goes_on.set()
    assert state.status is Status.COMPLETED
    return seen


class TestProgressInAWorker:
    async def test_a_watcher_sees_it(self, worker: Worker) -> None:
        go_on = asyncio.Event()

        @worker.task
        async def walk() -> None:
            await ltq.current().progress(1, 4, "begun")
            await go_on.wait()

        async with worker:
            handle = await walk.send()
            async for state in handle.watch(timeout=PATIENCE):
                if state.progress is not None:
                    assert state.progress == ltq.Progress(1, 4, "begun")
                    go_on.set()
            assert state.status is Status.COMPLETED
            assert state.progress is None

    async def test_it_is_written_ten_times_a_second_at_most(self, worker: Worker) -> None:
        written = writes_of(worker)

        @worker.task
        async def hurry() -> float:
            loop = asyncio.get_running_loop()
            begin = loop.time()
            while loop.time() < begin + 0.35:
                await ltq.current().progress(1)
                await asyncio.sleep(0.001)  # the task's own time
            return loop.time() - begin

        async with worker:
            took = await (await hurry.send()).result(timeout=PATIENCE)
        assert 1 <= len(written) <= 10 * took + 2


class TestProgressOfAThread:
    @pytest.fixture
    def thread(self) -> Iterator[Thread]:
        thread = Thread()
        yield thread
        thread.goes_on.set()

    async def test_a_watcher_sees_it(self, worker: Worker, thread: Thread) -> None:
        @worker.task
        def walk() -> None:
            ltq.current().progress_sync(1, 4, "begun")
            assert thread.goes_on.wait(PATIENCE)

        async with worker:
            handle = await walk.send()
            assert await first_progress(handle, thread.goes_on) == Progress(1, 4, "begun")

    async def test_other_threads_of_a_task_may_report_too(
        self, worker: Worker, thread: Thread
    ) -> None:
        def report(context: Context) -> None:
            context.progress_sync(2, note="from a pool")
            assert thread.goes_on.wait(PATIENCE)

        @worker.task
        def pooled() -> None:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(report, ltq.current()).result()

        @worker.task
        async def threaded() -> None:
            await asyncio.to_thread(lambda: report(ltq.current()))

        async with worker:
            for task in (pooled, threaded):
                thread.goes_on.clear()
                seen = await first_progress(await task.send(), thread.goes_on)
                assert seen == Progress(2, note="from a pool")

    async def test_in_an_event_loop_of_its_own_it_is_left_to_the_workers(
        self, worker: Worker, thread: Thread
    ) -> None:
        broker: Any = worker.broker
        write, loops = broker.progress, []

        async def noted(lease: Lease, progress: Progress) -> bool:
            loops.append(asyncio.get_running_loop())
            kept: bool = await write(lease, progress)
            return kept

        broker.progress = noted

        @worker.task
        def walk() -> None:
            asyncio.run(ltq.current().progress(1, 2, "first"))  # this event loop ends at once
            assert thread.goes_on.wait(PATIENCE)

        async with worker:
            handle = await walk.send()
            assert await first_progress(handle, thread.goes_on) == Progress(1, 2, "first")
        assert loops == [asyncio.get_running_loop()]

    async def test_of_many_calls_the_last_counts_and_few_are_written(
        self, worker: Worker, thread: Thread
    ) -> None:
        written = writes_of(worker)
        last = Progress(20_000, 20_000)

        @worker.task
        def hurry() -> None:
            for number in range(1, 20_001):
                ltq.current().progress_sync(number, 20_000)
            assert thread.goes_on.wait(PATIENCE)

        async with worker:
            handle = await hurry.send()
            await eventually(lambda: last in written)
            thread.goes_on.set()
            await handle.result(timeout=PATIENCE)
        assert len(written) < 1000

    async def test_in_the_event_loop_it_is_refused(self, worker: Worker) -> None:
        @worker.task
        async def walk() -> None:
            ltq.current().progress_sync(1)

        async with worker:
            state = await (await walk.send()).wait(timeout=PATIENCE)
        assert state.error_type == "ConfigurationError"
        assert "await ltq.current().progress" in (state.error or "")

    @pytest.mark.parametrize("end", ["timeout", "cancel", "stop"])
    async def test_when_the_run_is_over_it_says_so(
        self, worker: Worker, thread: Thread, end: str
    ) -> None:
        written = writes_of(worker)

        @worker.task(timeout=0.05 if end == "timeout" else PATIENCE)
        def patient() -> None:
            thread.report_later()

        async with worker:
            handle = await patient.send()
            await asyncio.to_thread(thread.begun.wait, PATIENCE)
            if end == "cancel":
                await handle.cancel()
            if end != "stop":
                await handle.wait(timeout=PATIENCE)
                await eventually(lambda: not worker.health()[0].running)
                thread.goes_on.set()
                await asyncio.to_thread(thread.ended.wait, PATIENCE)
            worker.stop(now=True)
        thread.goes_on.set()
        await asyncio.to_thread(thread.ended.wait, PATIENCE)
        assert isinstance(thread.error, ltq.RunOverError)
        assert handle.id in str(thread.error)
        assert written == []
