"""Streams through a worker: what readers see of a task that yields items."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

import ltq
from ltq import Status, Worker
from ltq.broker import Broker
from ltq.streams import Stream, StreamHandle
from ltq.testing.conformance._support.eventually import PATIENCE, eventually


async def read_all(stream: Stream[str]) -> list[str]:
    """All items of a stream that ends soon."""
    async with asyncio.timeout(PATIENCE):
        return [item async for item in stream]


class TestStream:
    async def test_items_come_while_the_task_runs(self, worker: Worker) -> None:
        goes_on = asyncio.Event()

        @worker.task
        async def chat(prompt: str) -> AsyncIterator[str]:
            yield prompt
            await goes_on.wait()
            yield "end"

        async with worker:
            handle = await chat.send("hi")
            stream = handle.stream(timeout=PATIENCE)
            assert (await anext(stream), stream.attempt) == ("hi", 1)
            assert not (await handle.state()).status.is_final
            goes_on.set()
            assert await read_all(stream) == ["end"]
            assert await handle.result(PATIENCE) == 2
            # Who comes late gets all of them.
            assert await handle.collect(PATIENCE) == ["hi", "end"]
            assert (await handle.state()).items == 2

    async def test_a_plain_generator_runs_in_a_thread(self, worker: Worker) -> None:
        threads: list[bool] = []

        @worker.task
        def count(n: int) -> Iterator[int]:
            for number in range(n):
                threads.append(threading.current_thread() is threading.main_thread())
                yield number

        async with worker:
            handle = await count.send(2500)
            assert await handle.collect(PATIENCE) == [*range(2500)]
        assert not any(threads)

    async def test_it_goes_on_behind_a_cursor(self, worker: Worker) -> None:
        @worker.task
        async def count(n: int) -> AsyncIterator[str]:
            for number in range(n):
                yield str(number)

        async with worker:
            handle = await count.send(5)
            stream = handle.stream(timeout=PATIENCE)
            assert [await anext(stream), await anext(stream)] == ["0", "1"]
            await stream.aclose()
            rest = count.handle(handle.id).stream(after=stream.cursor)
            assert await read_all(rest) == ["2", "3", "4"]
            assert await read_all(handle.stream(after=rest.cursor)) == []

    async def test_an_empty_one_ends(self, worker: Worker) -> None:
        @worker.task
        async def nothing() -> AsyncIterator[str]:
            for never in list[str]():
                yield never

        async with worker:
            handle = await nothing.send()
            assert await handle.collect(PATIENCE) == []
            assert await handle.result() == 0

    async def test_a_retry_begins_anew(self, worker: Worker) -> None:
        @worker.task(max_tries=2, backoff=0)
        async def chat() -> AsyncIterator[str]:
            attempt = ltq.current().attempt
            yield f"{attempt}a"
            yield f"{attempt}b"
            if attempt == 1:
                raise ValueError("once")
            yield "end"

        async with worker:
            handle = await chat.send()
            assert await handle.collect(PATIENCE) == ["2a", "2b", "end"]
            stream = handle.stream()
            assert await read_all(stream) == ["2a", "2b", "end"]
            assert (stream.attempt, stream.missed) == (2, 0)

    async def test_a_failure_comes_behind_the_last_item(self, worker: Worker) -> None:
        @worker.task
        async def chat() -> AsyncIterator[str]:
            yield "a"
            raise ValueError("broken")

        async with worker:
            handle = await chat.send()
            stream = handle.stream(timeout=PATIENCE)
            assert await anext(stream) == "a"
            with pytest.raises(ltq.TaskFailedError, match="ValueError: broken"):
                await anext(stream)
            with pytest.raises(ltq.TaskFailedError):
                await handle.collect(PATIENCE)

    async def test_an_item_that_does_not_fit_fails_the_run(self, worker: Worker) -> None:
        closed = asyncio.Event()

        @worker.task
        async def chat() -> AsyncIterator[int]:
            try:
                yield 1
                yield "two"  # type: ignore[misc]  # it is wrong
            finally:
                closed.set()

        async with worker:
            handle = await chat.send()
            state = await handle.wait(PATIENCE)
        assert (state.status, state.error_type) == (Status.FAILED, "ResultError")
        assert "item:" in (state.error or "")
        assert closed.is_set()

    async def test_the_oldest_go_beyond_max_items(self, worker: Worker) -> None:
        @worker.task(max_items=1000)
        async def count(n: int) -> AsyncIterator[str]:
            for number in range(n):
                yield str(number)

        async with worker:
            handle = await count.with_options(max_items=3).send(10)
            assert await handle.result(PATIENCE) == 10
            stream = handle.stream()
            assert await read_all(stream) == ["7", "8", "9"]
            assert stream.missed == 7

    async def test_a_cancelled_run_closes_its_generator(self, worker: Worker) -> None:
        begun, closed = asyncio.Event(), asyncio.Event()

        @worker.task
        async def chat() -> AsyncIterator[str]:
            try:
                yield "a"
                begun.set()
                await asyncio.Event().wait()
            finally:
                closed.set()

        async with worker:
            handle = await chat.send()
            stream = handle.stream(timeout=PATIENCE)
            assert await anext(stream) == "a"
            await begun.wait()
            await handle.cancel()
            with pytest.raises(ltq.TaskCancelledError):
                await anext(stream)
            async with asyncio.timeout(PATIENCE):
                await closed.wait()

    async def test_a_thread_closes_its_generator_once_the_run_is_over(self, worker: Worker) -> None:
        closed_in: list[threading.Thread] = []

        @worker.task
        def chat() -> Iterator[int]:
            try:
                while True:
                    yield 1
            finally:
                closed_in.append(threading.current_thread())

        async with worker:
            handle = await chat.send()
            stream = handle.stream(timeout=PATIENCE)
            assert await anext(stream) == 1
            await handle.cancel()

            async def is_closed() -> bool:
                return bool(closed_in)

            await eventually(is_closed)
        assert closed_in[0] is not threading.main_thread()

    async def test_a_timeout_ends_it(self, worker: Worker) -> None:
        @worker.task(timeout=0.2)
        async def chat() -> AsyncIterator[str]:
            yield "a"
            await asyncio.Event().wait()

        async with worker:
            handle = await chat.send()
            with pytest.raises(ltq.TaskFailedError, match=r"timeout of 0\.2 s"):
                await handle.collect(PATIENCE)
            assert (await handle.state()).items == 1


class TestStreamMistakes:
    async def test_another_cursor_is_refused_at_once(self, worker: Worker) -> None:
        @worker.task
        async def chat() -> AsyncIterator[str]:
            yield "a"

        async with worker:
            handle, other = await chat.send(), await chat.send()
            stream = other.stream(timeout=PATIENCE)
            assert await read_all(stream) == ["a"]
            for cursor in (stream.cursor, "x", "", "1-1-00000000", 5):
                with pytest.raises(ltq.ConfigurationError, match=r"after=.* is not allowed"):
                    handle.stream(after=cursor)  # type: ignore[arg-type]  # it is wrong

    async def test_one_behind_the_end_is_refused(self, worker: Worker, broker: Broker) -> None:
        @worker.task
        async def chat(n: int) -> AsyncIterator[str]:
            for number in range(n):
                yield str(number)

        async with worker:
            handle = await chat.with_options(id="again", result_ttl=0.2).send(3)
            stream = handle.stream(timeout=PATIENCE)
            await read_all(stream)

            async def is_gone() -> bool:
                return await broker.items(handle.queue, "again") is None

            await eventually(is_gone)
            shorter = await chat.with_options(id="again").send(1)
            with pytest.raises(ltq.ConfigurationError, match=r"after='1-3-.*' is not allowed"):
                await read_all(shorter.stream(after=stream.cursor, timeout=PATIENCE))

    async def test_a_second_reader_needs_a_stream_of_its_own(self, worker: Worker) -> None:
        @worker.task
        async def chat() -> AsyncIterator[str]:
            yield "a"
            await asyncio.sleep(60)  # the task's own time

        async with worker:
            handle = await chat.send()
            stream = handle.stream(timeout=PATIENCE)
            assert await anext(stream) == "a"
            waiting = asyncio.create_task(read_all(stream))
            await asyncio.sleep(0)  # it waits
            with pytest.raises(ltq.ConfigurationError, match="needs a stream of its own"):
                await anext(stream)
            with pytest.raises(ltq.ConfigurationError, match="in another event loop"):
                await asyncio.to_thread(asyncio.run, _next_of(stream))
            assert await anext(handle.stream(timeout=PATIENCE)) == "a"
            await stream.aclose()
            assert await waiting == []  # it is over for who waits, too
            await handle.cancel()

    async def test_an_unknown_task_has_none(self, worker: Worker) -> None:
        @worker.task
        async def chat() -> AsyncIterator[str]:
            yield "a"

        handle: StreamHandle[str] = chat.handle("unknown")
        with pytest.raises(ltq.TaskNotFoundError):
            await handle.collect(PATIENCE)

    async def test_the_wait_ends_at_its_timeout(self, worker: Worker) -> None:
        @worker.task
        async def chat() -> AsyncIterator[str]:
            yield "a"

        handle = await chat.send()
        with pytest.raises(ltq.ResultTimeoutError):
            await handle.collect(0.05)


async def _next_of(stream: ltq.Stream[str]) -> str:
    return await anext(stream)
