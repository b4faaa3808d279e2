"""Plain functions in threads: their results, their context, and those that are left behind."""

import asyncio
import inspect
import threading
from collections.abc import Coroutine, Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from ltq._worker.threads import NoThreadError, ThreadCalls
from tests.eventually import eventually

REQUEST: ContextVar[str] = ContextVar("request", default="none")


@pytest.fixture
def threads() -> Iterator[ThreadCalls]:
    threads = ThreadCalls(1, "test-threads")
    yield threads
    threads.close()


class TestCall:
    async def test_it_returns_what_the_function_returns(self, threads: ThreadCalls) -> None:
        assert await threads.call(divmod, (7, 2), {}) == (3, 1)
        assert await threads.call(sorted, ([1, 2],), {"reverse": True}) == [2, 1]

    async def test_there_are_as_many_threads_as_calls_were_made_at_once(self) -> None:
        threads = ThreadCalls(99, "test-threads")
        alone = {await threads.call(threading.get_ident, (), {}) for _ in range(40)}
        barrier = threading.Barrier(3)
        together = [threads.call(barrier.wait, (10,), {}) for _ in range(3)]
        assert sorted(await asyncio.gather(*together)) == [0, 1, 2]
        again = {await threads.call(threading.get_ident, (), {}) for _ in range(40)}
        # A thread may not be free yet when the caller has its result: then there is one more.
        assert len(alone) <= 8
        assert len(alone | again) <= 16
        threads.close()

    async def test_the_function_sees_the_context_of_its_caller(self, threads: ThreadCalls) -> None:
        REQUEST.set("mine")
        assert await threads.call(REQUEST.get, (), {}) == "mine"

    async def test_a_coroutine_that_comes_too_late_is_closed(self, threads: ThreadCalls) -> None:
        begun, released = threading.Event(), threading.Event()
        made: list[Coroutine[Any, Any, None]] = []

        async def body() -> None: ...

        def late() -> Coroutine[Any, Any, None]:
            begun.set()
            released.wait(10)
            made.append(body())
            return made[0]

        async def is_closed() -> bool:
            return [*map(inspect.getcoroutinestate, made)] == [inspect.CORO_CLOSED]

        call = asyncio.create_task(threads.call(late, (), {}))
        await asyncio.to_thread(begun.wait, 10)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        released.set()
        await eventually(is_closed)

    @pytest.mark.parametrize("error", [StopIteration(), GeneratorExit(), asyncio.CancelledError()])
    async def test_an_error_that_a_future_cannot_hold_becomes_another(
        self, threads: ThreadCalls, error: BaseException
    ) -> None:
        def fail() -> None:
            raise error

        with pytest.raises(RuntimeError, match=type(error).__name__):
            await threads.call(fail, (), {})


class TestNoThread:
    async def test_a_call_without_a_thread_is_not_made_later(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        threads, made, end = ThreadCalls(5, "test-threads"), list[int](), threading.Event()
        first = asyncio.create_task(threads.call(end.wait, (10,), {}))
        await asyncio.sleep(0)
        start = threading.Thread.start

        def refuse(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(NoThreadError, match="can't start new thread"):
            await threads.call(made.append, (1,), {})
        assert [threads.was_refused(), threads.was_refused()] == [True, False]
        assert threads.most == 1
        monkeypatch.setattr(threading.Thread, "start", start)
        end.set()
        assert await first is True
        await threads.call(made.append, (2,), {})
        assert made == [2]
        threads.close()

    async def test_as_many_calls_as_may_be_made_have_threads_afterwards(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        threads, start = ThreadCalls(5, "test-threads"), threading.Thread.start

        def refuse(thread: threading.Thread) -> None:
            raise MemoryError

        monkeypatch.setattr(threading.Thread, "start", refuse)
        for _ in range(3):
            with pytest.raises(NoThreadError, match="MemoryError"):
                await threads.call(print, (), {})
        monkeypatch.setattr(threading.Thread, "start", start)
        barrier = threading.Barrier(5)
        calls = [threads.call(barrier.wait, (10,), {}) for _ in range(5)]
        assert sorted(await asyncio.gather(*calls)) == [0, 1, 2, 3, 4]
        threads.close()

    async def test_after_the_close_there_is_none(self) -> None:
        threads = ThreadCalls(1, "test-threads")
        threads.close()
        for _ in range(2):
            with pytest.raises(NoThreadError):
                await threads.call(print, (), {})


class TestLeftBehind:
    async def test_a_thread_that_goes_on_is_told_once(self, threads: ThreadCalls) -> None:
        begun, end = threading.Event(), threading.Event()

        def hang() -> None:
            begun.set()
            end.wait(10)

        async def call() -> list[bool]:
            try:
                await threads.call(hang, (), {})
            except asyncio.CancelledError:
                return [threads.left_behind() is not None for _ in range(2)]
            return []

        calling = asyncio.create_task(call())
        await asyncio.to_thread(begun.wait, 10)
        calling.cancel()
        assert await calling == [True, False]
        end.set()

    async def test_one_that_had_not_begun_is_not(self, threads: ThreadCalls) -> None:
        begun, end = threading.Event(), threading.Event()

        def hang() -> None:
            begun.set()
            end.wait(10)

        first = asyncio.create_task(threads.call(hang, (), {}))  # takes the only thread
        await asyncio.to_thread(begun.wait, 10)

        async def call() -> bool:
            try:
                await threads.call(hang, (), {})
            except asyncio.CancelledError:
                return threads.left_behind() is not None
            return True

        calling = asyncio.create_task(call())
        await asyncio.sleep(0)
        calling.cancel()
        assert await calling is False
        end.set()
        await first
