"""What a caller leaves behind once it has ended: nothing, whatever it called first."""

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import TypeAlias

import pytest

import ltq
from ltq import Task, Worker
from ltq.testing.conformance._support.eventually import eventually

LONG = 3600.0
"""Seconds of a timeout that does not end during a test."""


class Request:
    """What a program keeps in a context variable."""


request: ContextVar[Request] = ContextVar("request")

Echo: TypeAlias = Task[[int], int]


async def send(echo: Echo) -> None:
    await echo.send(1)


async def send_many(echo: Echo) -> None:
    await echo.send_many([echo.message(number) for number in range(3)])


async def send_at_once(echo: Echo) -> None:
    await asyncio.gather(*(echo.send(number) for number in range(5)))


async def get_a_result(echo: Echo) -> None:
    assert await (await echo.send(1)).result(timeout=LONG) == 1


async def give_up(echo: Echo) -> None:
    with suppress(ltq.ResultTimeoutError):
        await (await echo.with_options(delay=LONG).send(1)).result(timeout=0.01)


async def be_cancelled(echo: Echo) -> None:
    handle = await echo.with_options(delay=LONG).send(1)
    with suppress(TimeoutError):
        async with asyncio.timeout(0.01):
            await handle.result(timeout=LONG)


async def watch(echo: Echo) -> None:
    assert [state async for state in (await echo.send(1)).watch(timeout=LONG)]


async def leave_a_watch(echo: Echo) -> None:
    async for _ in (await echo.with_options(delay=LONG).send(1)).watch(timeout=LONG):
        break


async def gather(echo: Echo) -> None:
    assert await ltq.gather(await echo.send(1), await echo.send(2), timeout=LONG) == (1, 2)


async def take_as_completed(echo: Echo) -> None:
    handles = [await echo.send(1), await echo.send(2)]
    assert {await one.result() async for one in ltq.as_completed(handles, timeout=LONG)} == {1, 2}


async def cancel_a_task(echo: Echo) -> None:
    assert await (await echo.with_options(delay=LONG).send(1)).cancel()


async def ask(echo: Echo) -> None:
    with pytest.raises(ltq.TaskNotFoundError):
        await echo.handle("nobody").state()


async def send_in_a_thread(echo: Echo) -> None:
    assert await asyncio.to_thread(lambda: echo.send_sync(1).result(timeout=LONG)) == 1


class TestCallers:
    @pytest.mark.parametrize(
        "call",
        [
            send,
            send_many,
            send_at_once,
            get_a_result,
            give_up,
            be_cancelled,
            watch,
            leave_a_watch,
            gather,
            take_as_completed,
            cancel_a_task,
            ask,
            send_in_a_thread,
        ],
        ids=lambda call: call.__name__,
    )
    async def test_no_context_outlives_its_caller(
        self, worker: Worker, call: Callable[[Echo], Awaitable[None]]
    ) -> None:
        @worker.task
        async def echo(number: int) -> int:
            return number

        requests: list[weakref.ref[Request]] = []

        async def handle() -> None:
            request.set(Request())
            requests.append(weakref.ref(request.get()))
            await call(echo)

        def are_gone() -> bool:
            if any(one() is not None for one in requests):
                gc.collect(1)  # perhaps only an error holds it, and the error itself
            return all(one() is None for one in requests)

        async with worker:
            for _ in range(2):
                await asyncio.create_task(handle())
            await eventually(are_gone)
        await asyncio.to_thread(ltq.close_sync)
