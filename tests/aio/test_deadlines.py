"""Deadlines of many short waits, kept by one timer."""

import asyncio
import gc
import weakref
from contextvars import ContextVar
from typing import Any

import pytest

from ltq._aio.deadlines import Deadlines


async def never() -> None:
    await asyncio.get_running_loop().create_future()


async def turn() -> None:
    """Let everybody else go on once."""
    turned = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(turned.set_result, None)
    await turned


@pytest.fixture
async def deadlines() -> Deadlines:
    return Deadlines()


async def test_what_takes_too_long_ends(deadlines: Deadlines) -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()
    with pytest.raises(TimeoutError), deadlines.within(0.02):
        await never()
    assert 0.02 <= loop.time() - start < 5
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_shorter_one_ends_before_a_longer_one_that_began_earlier(
    deadlines: Deadlines,
) -> None:
    ended: list[str] = []

    async def wait(name: str, seconds: float) -> None:
        with pytest.raises(TimeoutError), deadlines.within(seconds):
            await never()
        ended.append(name)

    await asyncio.gather(wait("long", 0.5), wait("short", 0.01), wait("longer", 0.55))
    assert ended[0] == "short"
    assert {*ended[1:]} == {"long", "longer"}  # a loop that was blocked ends both at once


async def test_one_within_another_ends_only_itself(deadlines: Deadlines) -> None:
    with deadlines.within(30):
        with pytest.raises(TimeoutError), deadlines.within(0.01):
            await never()
        await turn()


async def test_the_outer_one_ends_the_inner_wait(deadlines: Deadlines) -> None:
    with pytest.raises(TimeoutError), deadlines.within(0.01), deadlines.within(30):
        await never()


async def test_a_cancellation_from_outside_stays_one(deadlines: Deadlines) -> None:
    async def wait() -> None:
        with deadlines.within(30):
            await never()

    task = asyncio.create_task(wait())
    await turn()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_both_at_once_are_a_cancellation(deadlines: Deadlines) -> None:
    deadline = deadlines.within(30)

    async def wait() -> None:
        with deadline:
            await never()

    task = asyncio.create_task(wait())
    await turn()
    deadline.expire()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_ends_in_time_is_left_alone(deadlines: Deadlines) -> None:
    with deadlines.within(0.01):
        await turn()
    loop = asyncio.get_running_loop()
    gone = loop.create_future()
    loop.call_later(0.03, gone.set_result, None)
    await gone


async def test_an_error_passes_through(deadlines: Deadlines) -> None:
    with pytest.raises(ValueError, match="its own"), deadlines.within(30):
        raise ValueError("its own")


async def test_many_need_one_timer(deadlines: Deadlines, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    timers: list[float] = []
    call_at = loop.call_at

    def counted(when: float, *rest: Any, **more: Any) -> asyncio.TimerHandle:
        timers.append(when)
        return call_at(when, *rest, **more)

    monkeypatch.setattr(loop, "call_at", counted)
    for _ in range(100):
        with deadlines.within(30):
            pass
    deadlines.close()
    assert len(timers) == 1


async def test_closed_in_between_they_still_hold(deadlines: Deadlines) -> None:
    with deadlines.within(30):
        pass
    deadlines.close()
    with pytest.raises(TimeoutError), deadlines.within(0.01):
        await never()


async def test_the_context_of_a_caller_is_not_kept(deadlines: Deadlines) -> None:
    class Large:
        pass

    large: ContextVar[Large] = ContextVar("large")

    async def call() -> "weakref.ref[Large]":
        large.set(Large())
        with deadlines.within(30):
            await turn()
        return weakref.ref(large.get())

    gone = await asyncio.create_task(call())
    await turn()  # until then the event loop itself holds the task
    gc.collect()
    assert gone() is None
    deadlines.close()


def test_they_need_a_task() -> None:
    async def use() -> None:
        loop = asyncio.get_running_loop()
        outcome = loop.create_future()

        def call() -> None:
            with pytest.raises(RuntimeError, match="needs an asyncio task"), Deadlines().within(1):
                pass
            outcome.set_result(None)

        loop.call_soon(call)
        await outcome

    asyncio.run(use())
