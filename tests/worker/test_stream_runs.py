"""Runs of generators: what is written when, what holds them up, and who reads."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

import ltq
from ltq import testing
from ltq._worker.streaming.writer import ItemWriter
from ltq.brokers.memory import MemoryBroker
from ltq.errors import BrokerError, RunOverError
from ltq.message import Lease
from ltq.streams._cursor import Reached, read_cursor, write_cursor
from tests.eventually import eventually
from tests.worker.doubles import make_lease, turns

PATIENCE = 5.0


class Store:
    """Takes items when it is told to."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, list[bytes]]] = []
        self.answers: asyncio.Queue[bool | Exception] = asyncio.Queue()

    async def append(self, lease: Lease, first: int, items: Sequence[bytes], most: int) -> bool:
        self.calls.append((first, [*items]))
        answer = await self.answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer


class RefusedError(BrokerError):
    is_refusal = True


def make_writer(store: Any, lost: list[Lease] | None = None) -> ItemWriter:
    told: list[Lease] = [] if lost is None else lost
    return ItemWriter(store, make_lease(), 10, told.append)


class TestWriter:
    async def test_what_comes_during_a_call_goes_together(self) -> None:
        store = Store()
        writer = make_writer(store)
        for item in (b"0", b"1", b"2"):
            await writer.add(item)
        assert store.calls == [(0, [b"0"])]
        store.answers.put_nowait(True)
        await turns()
        assert store.calls[1:] == [(1, [b"1", b"2"])]
        store.answers.put_nowait(True)
        await writer.flush()
        assert writer.count == 3

    async def test_a_generator_is_held_up(self) -> None:
        store = Store()
        writer = make_writer(store)

        async def yield_many() -> None:
            for _ in range(1500):
                await writer.add(b"1")

        yielding = asyncio.create_task(yield_many())
        await turns(10)
        assert writer.count == 1000
        for _ in range(1500):
            store.answers.put_nowait(True)
        await asyncio.wait_for(yielding, PATIENCE)
        await writer.flush()
        assert sum(len(items) for _, items in store.calls) == 1500

    async def test_a_thread_is_held_up_too(self) -> None:
        store = Store()
        writer = make_writer(store)

        def put_many() -> None:
            for _ in range(1500):
                writer.put(b"1")

        thread = threading.Thread(target=put_many)
        thread.start()
        await eventually(lambda: writer.count == 1000)
        assert thread.is_alive()
        for _ in range(1500):
            store.answers.put_nowait(True)
        await asyncio.to_thread(thread.join, PATIENCE)
        await writer.flush()
        assert [first for first, _ in store.calls] == sorted({first for first, _ in store.calls})
        assert sum(len(items) for _, items in store.calls) == 1500

    async def test_large_items_are_few_at_a_time(self) -> None:
        store = Store()
        writer = make_writer(store)
        await writer.add(bytes(1 << 20))
        adding = asyncio.create_task(writer.add(b"1"))
        await turns(5)
        assert not adding.done()
        store.answers.put_nowait(True)
        await asyncio.wait_for(adding, PATIENCE)
        writer.stop()

    async def test_items_wait_while_the_broker_is_away(self) -> None:
        store = Store()
        writer = make_writer(store)
        await writer.add(b"0")
        store.answers.put_nowait(BrokerError("away"))
        await writer.add(b"1")
        for _ in range(2):
            store.answers.put_nowait(True)
        await asyncio.wait_for(writer.flush(), PATIENCE)
        # The call may have been carried out: it is repeated as it was.
        assert store.calls == [(0, [b"0"]), (0, [b"0"]), (1, [b"1"])]

    async def test_a_broker_that_refuses_items_fails_the_run(self) -> None:
        store = Store()
        writer = make_writer(store)
        await writer.add(b"0")
        for _ in range(3):
            store.answers.put_nowait(RefusedError("full"))
        with pytest.raises(RefusedError):
            await asyncio.wait_for(writer.flush(), PATIENCE)
        with pytest.raises(RefusedError):
            await writer.add(b"1")

    async def test_a_lost_lease_ends_the_run(self) -> None:
        store, lost = Store(), list[Lease]()
        writer = make_writer(store, lost)
        await writer.add(b"0")
        store.answers.put_nowait(False)
        with pytest.raises(RunOverError):
            await asyncio.wait_for(writer.flush(), PATIENCE)
        assert lost == [make_lease()]

    async def test_a_thread_learns_that_the_run_is_over(self) -> None:
        writer = make_writer(Store())
        writer.stop()
        with pytest.raises(RunOverError):
            await asyncio.to_thread(writer.put, b"1")


class TestItems:
    async def test_one_that_is_too_large_fails_the_run(self) -> None:
        worker = ltq.Worker("small", broker=MemoryBroker("memory://small"), max_payload=100)

        @worker.task
        async def chat() -> AsyncIterator[str]:
            yield "a" * 98
            yield "a" * 99

        with testing.use(worker) as box:
            handle = await chat.send()
            await box.drain()
            state = await handle.state()
            assert await handle.present_items() == ["a" * 98]
        assert state.error == (
            "ResultError: small:chat: its item takes 101 bytes, but max_payload is 100"
        )

    async def test_middleware_sees_the_end_of_the_generator(self) -> None:
        seen: list[str] = []

        class Watching(ltq.Middleware):
            @asynccontextmanager
            async def __call__(self, message: Any, task: Any) -> AsyncIterator[None]:
                seen.append("before")
                yield
                seen.append("after")

        broker = MemoryBroker("memory://watched")
        worker = ltq.Worker("watched", broker=broker, middlewares=[Watching()])

        @worker.task
        async def chat() -> AsyncIterator[str]:
            seen.append("begun")
            yield "a"
            seen.append("ended")

        async with testing.use(worker) as box:
            await chat.send()
            await box.drain(check=True)
        assert seen == ["before", "begun", "ended", "after"]

    async def test_items_of_another_serializer_are_read(self) -> None:
        worker = ltq.Worker("packed", broker=MemoryBroker("memory://packed"), serializer="msgpack")

        @worker.task
        async def chat() -> AsyncIterator[bytes]:
            yield b"\x00\xff"

        async with testing.use(worker) as box:
            handle = await chat.send()
            await box.drain(check=True)
            await testing.assert_streamed(handle, [b"\x00\xff"])
            found = await box.broker.items(handle.queue, handle.id)
            assert found is not None
            (item,) = found.items
            assert item.startswith(b"\0msgpack\0")

    def test_another_annotation_is_refused(self) -> None:
        worker = ltq.Worker("wrong", broker=MemoryBroker("memory://wrong"))

        async def chat() -> str:  # type: ignore[misc]
            yield "a"

        with pytest.raises(ltq.ConfigurationError, match=r"`str` is not what a generator gives"):
            worker.task(chat)

    async def test_the_function_can_be_run_here(self) -> None:
        worker = ltq.Worker("here", broker=MemoryBroker("memory://here"))

        @worker.task
        async def chat(count: int) -> AsyncIterator[int]:
            for number in range(count):
                yield number

        @worker.task
        def plain(count: int) -> Iterator[int]:
            yield from range(count)

        for task in (chat, plain):
            assert [item async for item in task.items(3)] == [0, 1, 2]
            assert await task(3) == 3


class TestReaders:
    async def test_they_share_a_read(self) -> None:
        broker = MemoryBroker("memory://shared")
        worker = ltq.Worker("shared", broker=broker)
        read, reads = broker.items, 0

        async def counted(*args: Any, **kwargs: Any) -> Any:
            nonlocal reads
            reads += 1
            return await read(*args, **kwargs)

        broker.items = counted  # type: ignore[method-assign]

        @worker.task
        async def chat() -> AsyncIterator[str]:
            for word in ("a", "b", "c"):
                yield word

        async with worker:
            handle = await chat.send()
            await handle.result(PATIENCE)
            found = await asyncio.gather(*(handle.collect(PATIENCE) for _ in range(100)))
        assert found == [["a", "b", "c"]] * 100
        assert reads == 1

    async def test_who_leaves_stops_following(self) -> None:
        broker = MemoryBroker("memory://left")
        worker = ltq.Worker("left", broker=broker)
        follow, feeds = broker.feed, list[Any]()

        def counted(*args: Any) -> Any:
            feeds.append(follow(*args))
            return feeds[-1]

        broker.feed = counted  # type: ignore[assignment,method-assign]

        @worker.task
        async def chat() -> AsyncIterator[str]:
            yield "a"
            await asyncio.Event().wait()

        async with worker:
            handle = await chat.send()
            async for _ in handle.stream(timeout=PATIENCE):
                break
            reading = asyncio.create_task(handle.collect(PATIENCE))
            await turns(20)
            reading.cancel()
            await asyncio.wait([reading])
            await turns()
            assert [feed._closed for feed in feeds] == [True, True]
            await handle.cancel()

    async def test_one_that_was_cancelled_may_go_on(self) -> None:
        worker = ltq.Worker("going", broker=MemoryBroker("memory://going"))
        goes_on = asyncio.Event()

        @worker.task
        async def chat() -> AsyncIterator[str]:
            yield "a"
            await goes_on.wait()
            yield "b"

        async with worker:
            stream = (await chat.send()).stream(timeout=PATIENCE)
            assert await anext(stream) == "a"
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await anext(stream)
            goes_on.set()
            assert [item async for item in stream] == ["b"]
            with pytest.raises(StopAsyncIteration):
                await anext(stream)

    def test_without_an_event_loop(self) -> None:
        worker = ltq.Worker("synchronous", broker_url="memory://synchronous")

        @worker.task
        async def chat() -> AsyncIterator[str]:
            for word in ("a", "b", "c"):
                yield word

        async def run() -> None:
            async with worker:
                await asyncio.to_thread(check)

        def check() -> None:
            handle = chat.send_sync()
            stream = handle.stream(timeout=PATIENCE)
            assert next(stream) == "a"
            rest = handle.stream(after=stream.cursor)
            stream.close()
            assert (list(rest), rest.attempt, rest.missed) == (["b", "c"], 1, 0)
            assert (handle.collect(PATIENCE), handle.result()) == (["a", "b", "c"], 3)
            assert next(rest, None) is None

        asyncio.run(run())
        ltq.close_sync()


class TestTakeovers:
    @pytest.mark.parametrize("has_yielded", [False, True])
    async def test_one_between_the_state_and_the_items_is_seen(self, has_yielded: bool) -> None:
        broker = MemoryBroker("memory://between")
        worker = ltq.Worker("between", broker=broker)

        @worker.task
        async def chat() -> AsyncIterator[int]:
            yield 1

        async with broker.consumer([chat.queue]) as consumer:
            handle = await chat.send()
            (delivery,) = await broker.claim(consumer, 1)
            await broker.append(delivery.lease, 0, [b"1"], 10)
            stream = handle.stream(timeout=PATIENCE)
            assert (await anext(stream), stream.attempt) == (1, 1)
            read, taken = broker.items, list[Lease]()

            async def overtaken(*args: Any, **kwargs: Any) -> Any:
                """The first read comes when another worker has the task already."""
                if not taken:
                    await broker.requeue(delivery.lease)
                    taken.append((await broker.claim(consumer, 1))[0].lease)
                    if has_yielded:
                        await broker.append(taken[0], 0, [b"3", b"4"], 10)
                return await read(*args, **kwargs)

            broker.items = overtaken  # type: ignore[method-assign]
            await broker.append(delivery.lease, 1, [b"2"], 10)
            reading = asyncio.ensure_future(anext(stream))
            await turns(20)
            if not has_yielded:
                await broker.append(taken[0], 0, [b"3", b"4"], 10)
            assert await asyncio.wait_for(reading, PATIENCE) == 3
            assert (stream.attempt, stream.missed) == (2, 0)
            await broker.release(taken[0])
            assert [item async for item in stream] == [4]
        await broker.aclose()


class TestHandles:
    async def test_a_rerun_is_another_stream(self) -> None:
        worker = ltq.Worker("again", broker=MemoryBroker("memory://again"))

        @worker.task(keep_body=True)
        async def chat(word: str) -> AsyncIterator[str]:
            yield word

        async with worker:
            first = await chat.send("a")
            assert await first.collect(PATIENCE) == ["a"]
            second = await first.rerun()
            assert second.id != first.id
            assert await second.collect(PATIENCE) == ["a"]
            third = await asyncio.to_thread(chat.handle_sync(first.id).rerun)
            assert await asyncio.to_thread(third.collect, PATIENCE) == ["a"]
        ltq.close_sync()

    async def test_what_is_no_text_has_none(self) -> None:
        worker = ltq.Worker("texts", broker=MemoryBroker("memory://texts"))

        @worker.task
        async def chat() -> AsyncIterator[str]:
            yield "a"

        with pytest.raises(ltq.ConfigurationError, match="id=5 is not allowed"):
            chat.handle(5)  # type: ignore[arg-type]
        with pytest.raises(ltq.TaskNotFoundError):
            await chat.handle("unknown").present_items()

    def test_a_thread_that_outlives_the_event_loop_is_told(self) -> None:
        async def make() -> ItemWriter:
            return make_writer(Store())

        writer = asyncio.run(make())
        with pytest.raises(RunOverError):
            writer.put(b"1")

    async def test_a_task_that_goes_while_it_is_read_is_not_found(self) -> None:
        broker = MemoryBroker("memory://gone")
        worker = ltq.Worker("gone", broker=broker)

        @worker.task
        async def chat() -> AsyncIterator[str]:
            yield "a"

        async def gone(*args: Any, **kwargs: Any) -> None:
            return None

        async with worker:
            handle = await chat.send()
            await handle.result(PATIENCE)
            broker.items = gone  # type: ignore[method-assign]
            with pytest.raises(ltq.TaskNotFoundError):
                await handle.collect(PATIENCE)


class TestCursor:
    def test_it_is_read_as_it_was_written(self) -> None:
        cursor = write_cursor(Reached(3, 14), "some id")
        assert read_cursor(cursor, "some id") == Reached(3, 14)
        assert read_cursor(None, "some id") == Reached(0, 0)

    @pytest.mark.parametrize("wrong", ["", "3-14", "3-14-zzzzzzzz", "4-14-{}", b"x", 5, True])
    def test_any_other_is_refused_by_its_value(self, wrong: Any) -> None:
        if isinstance(wrong, str):
            wrong = wrong.format(write_cursor(Reached(3, 14), "some id").rpartition("-")[2])
        with pytest.raises(ltq.ConfigurationError, match=r"after=.* is not allowed: the `cursor`"):
            read_cursor(wrong, "some id")


class TestAssertStreamed:
    async def test_it_tells_the_first_that_differs(self) -> None:
        worker = ltq.Worker("told", broker=MemoryBroker("memory://told"))

        @worker.task
        async def chat() -> AsyncIterator[str]:
            yield "a"
            yield "b"

        async with testing.use(worker) as box:
            handle = await chat.send()
            await box.drain(check=True)
            await testing.assert_streamed(handle, ["a", "b"])
            for items, text in (
                (["a", "c"], r"2 items, 2 were expected: item 1 is 'b', not 'c'"),
                (["a"], r"2 items, 1 were expected: item 1 is 'b', not nothing"),
                (["a", "b", "c"], r"2 items, 3 were expected: item 2 is nothing, not 'c'"),
            ):
                with pytest.raises(AssertionError, match=text):
                    await testing.assert_streamed(handle, items)
