"""Plain functions in threads: their results, their context, and those that are left behind."""

import asyncio
import inspect
import threading
from collections.abc import Coroutine, Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from ltq._worker.threads import ThreadCalls
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

    @pytest.mark.parametrize("error", [StopIteration(), asyncio.CancelledError()])
    async def test_an_error_that_a_future_cannot_hold_becomes_another(
        self, threads: ThreadCalls, error: BaseException
    ) -> None:
        def fail() -> None:
            raise error

        with pytest.raises(RuntimeError, match=type(error).__name__):
            await threads.call(fail, (), {})


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
