"""Workers and brokers that nobody holds any more leave nothing behind, though nobody closed them.

So it is in a notebook, and on a page whose script is run again and again.
"""

import asyncio
import gc
import os
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Self

import pytest
import redis
import uvloop

import ltq
from ltq import Worker
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._consumer.wake_ups import BLOCK
from tests.eventually import eventually

LONGEST = BLOCK + 4.0
"""Seconds until a blocking pop that nobody waits for has ended."""

pytestmark = pytest.mark.slow

LONG = 3600.0
LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


async def send(url: str) -> None:
    await jobs(url)(1)


async def give_up(url: str) -> None:
    handle = await jobs(url)(1)
    with suppress(ltq.ResultTimeoutError):
        await handle.result(timeout=0.02)


async def be_cancelled(url: str) -> None:
    handle = await jobs(url)(1)
    with suppress(TimeoutError):
        async with asyncio.timeout(0.02):
            await handle.result()


async def watch(url: str) -> None:
    async for _ in (await jobs(url)(1)).watch():
        break


async def gather(url: str) -> None:
    send = jobs(url)
    with suppress(ltq.ResultTimeoutError):
        await ltq.gather(*[await send(number) for number in range(3)], timeout=0.02)


async def leave_as_completed(url: str) -> None:
    send = jobs(url)
    for coming in ltq.as_completed([await send(1), await send(2)]):
        with suppress(TimeoutError):
            await asyncio.wait_for(coming, 0.02)
        break


async def run_a_burst(url: str) -> None:
    worker = Worker("dropped", broker_url=url)

    @worker.task
    async def job(number: int) -> int:
        return number

    handle = await job.send(1)
    await worker.run(burst=True)
    assert await handle.result() == 1


async def run_a_worker(url: str) -> None:
    worker = Worker("dropped", broker_url=url)

    @worker.task
    async def job(number: int) -> int:
        return number

    async with worker:
        assert await (await job.send(1)).result() == 1


async def use_a_broker(url: str) -> None:
    broker = RedisBroker(url)
    await broker.ping()
    assert await broker.queues() is not None


async def drop_a_broker_with_its_consumer(url: str) -> None:
    consumer = RedisBroker(url).consumer(["dropped:job"], revoked=print)
    await consumer.wait(0.02)


async def call_an_empty_port(url: str) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(0.1):
            await RedisBroker("redis://127.0.0.1:1").ping()


async def send_from_a_thread(url: str) -> None:
    def send() -> None:
        worker = Worker("dropped", broker_url=url)

        @worker.task
        async def job(number: int) -> int:
            return number

        with suppress(ltq.ResultTimeoutError):
            job.send_sync(1).result(timeout=0.02)

    await asyncio.to_thread(send)


def jobs(url: str) -> Callable[[int], Awaitable[ltq.Handle[int]]]:
    """How to send a task of a new worker. No worker runs it."""
    worker = Worker("dropped", broker_url=url)

    @worker.task
    async def job(number: int) -> int:
        return number

    return job.with_options(delay=LONG).send


KINDS = [
    send,
    give_up,
    be_cancelled,
    watch,
    gather,
    leave_as_completed,
    run_a_burst,
    run_a_worker,
    use_a_broker,
    drop_a_broker_with_its_consumer,
    call_an_empty_port,
    send_from_a_thread,
]
each_kind = pytest.mark.parametrize("use", KINDS, ids=lambda use: use.__name__)


class Left:
    """What is open: connections at the server, files and LTQ's threads of this process."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url)
        self._client.ping()
        self._before = self._now()

    def _now(self) -> tuple[int, int, int]:
        ours = [thread for thread in threading.enumerate() if thread.name.startswith("ltq")]
        return len(self._client.client_list()), len(os.listdir("/proc/self/fd")), len(ours)

    def is_nothing(self) -> bool:
        if any(now > before for now, before in zip(self._now(), self._before, strict=True)):
            gc.collect()
            return False
        return True

    def wait_for_nothing(self) -> None:
        """Wait until nothing is left, without an event loop, which has files of its own."""
        deadline = time.monotonic() + LONGEST
        while not self.is_nothing():
            assert time.monotonic() < deadline, (self._now(), self._before)

    def is_disconnected(self) -> bool:
        if self._now()[0] > self._before[0]:
            gc.collect()
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._client.close()


@each_kind
async def test_they_close_themselves(redis_url: str, use: Callable[[str], Awaitable[None]]) -> None:
    await asyncio.to_thread(ltq.close_sync)
    before = asyncio.all_tasks()
    with Left(redis_url) as left:
        for _ in range(3):
            await use(redis_url)
        await asyncio.to_thread(gc.collect)  # in any thread
        await eventually(left.is_disconnected, LONGEST)
        await eventually(lambda: asyncio.all_tasks() == before)
        await asyncio.to_thread(ltq.close_sync)  # else its thread stays, without connections
        await eventually(left.is_nothing)


@each_kind
@pytest.mark.parametrize("new_loop", LOOPS, ids=["asyncio", "uvloop"])
def test_they_leave_nothing_in_a_loop_that_has_ended(
    redis_url: str,
    use: Callable[[str], Coroutine[Any, Any, None]],
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    ltq.close_sync()
    with asyncio.Runner(loop_factory=new_loop) as first:  # uvloop opens files that it keeps
        first.run(asyncio.sleep(0))
    with Left(redis_url) as left:
        for _ in range(2):
            with asyncio.Runner(loop_factory=new_loop) as runner:
                runner.run(use(redis_url))
        ltq.close_sync()
        gc.collect()
        left.wait_for_nothing()


@pytest.mark.parametrize("use", [send, give_up], ids=lambda use: use.__name__)
def test_they_leave_nothing_in_a_loop_that_was_only_closed(
    redis_url: str, use: Callable[[str], Coroutine[Any, Any, None]]
) -> None:
    with Left(redis_url) as left:
        for _ in range(2):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(use(redis_url))
            loop.close()
            del loop
        gc.collect()
        left.wait_for_nothing()


def test_one_worker_may_be_used_in_one_loop_after_another(redis_url: str) -> None:
    worker = Worker("dropped", broker_url=redis_url)

    @worker.task
    async def job(number: int) -> int:
        return number

    async def use_it(number: int) -> None:
        handle = await job.send(number)
        await worker.run(burst=True)
        assert await handle.result(LONG) == number

    with Left(redis_url) as left:
        for number in range(5):
            asyncio.run(use_it(number))
        left.wait_for_nothing()
