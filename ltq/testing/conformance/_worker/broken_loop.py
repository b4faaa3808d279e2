"""What becomes of tasks when the event loop of their worker breaks.

A SystemExit or a KeyboardInterrupt of a child task or a callback leaves the event loop.
"""

import asyncio
import gc
import sys
import threading
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any

import pytest

import ltq
from ltq import Status, Worker
from ltq.broker import Broker
from ltq.testing.conformance._support.eventually import PATIENCE


async def leave() -> None:
    sys.exit(0)


async def interrupt() -> None:
    raise KeyboardInterrupt


async def gather() -> None:
    await asyncio.gather(leave(), asyncio.Event().wait())


async def group() -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(interrupt())
        await asyncio.Event().wait()


async def child() -> None:
    await asyncio.create_task(leave())


async def forgotten() -> None:
    kept = asyncio.create_task(interrupt())
    await asyncio.Event().wait()
    del kept


async def callback() -> None:
    asyncio.get_running_loop().call_soon(sys.exit, 3)
    await asyncio.Event().wait()


async def cancel_everything() -> None:
    for task in asyncio.all_tasks():
        task.cancel()
    await asyncio.Event().wait()


async def stop() -> None:
    asyncio.get_running_loop().stop()
    await asyncio.Event().wait()


async def anonymous_child() -> None:
    kept = asyncio.get_running_loop().create_task(leave(), context=Context())
    await asyncio.Event().wait()
    del kept


async def thread() -> None:
    loop = asyncio.get_running_loop()
    threading.Thread(target=loop.call_soon_threadsafe, args=(sys.exit,)).start()
    await asyncio.Event().wait()


# A connection that is being opened when the loop breaks is left to the garbage collection.
@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
class TestBrokenLoop:
    async def break_loop(
        self, broker: Broker, break_it: Callable[[], Awaitable[None]], *, max_tries: int = 1
    ) -> list[ltq.Handle[None]]:
        """Run a worker until its event loop breaks; return handles of the culprit and another."""
        worker = Worker("shop", broker=broker, concurrency=2)
        begun = threading.Event()

        @worker.task(max_tries=max_tries, backoff=30.0)
        async def fail() -> None:
            await asyncio.to_thread(begun.wait, PATIENCE)
            await break_it()

        @worker.task
        async def neighbour() -> None:
            begun.set()
            await asyncio.Event().wait()

        handles = [await fail.send(), await neighbour.send()]

        async def main() -> None:
            try:
                async with asyncio.timeout(3 * PATIENCE):  # nobody could end its thread
                    await worker.run()
            finally:
                await worker.aclose()

        await self.run_broken(main())
        return handles

    async def run_broken(self, main: Any) -> None:
        with pytest.raises(
            (SystemExit, KeyboardInterrupt, RuntimeError, asyncio.CancelledError)
        ) as caught:
            await asyncio.to_thread(asyncio.run, main)
        if isinstance(caught.value, RuntimeError):
            assert "stopped" in str(caught.value)
        del caught
        gc.collect()

    async def deaths(self, handle: ltq.Handle[None], broker: Broker) -> tuple[int, int]:
        """How many deaths and tries are counted for a task that was given back."""
        await broker.sweep([handle.queue])  # its lease has ended
        consumer = broker.consumer([handle.queue], lease=15.0)
        try:
            (delivery,) = (await consumer.claim(1)).deliveries
        finally:
            await consumer.aclose()
        return delivery.deaths, delivery.tries

    @pytest.mark.parametrize("break_it", [gather, group, child, forgotten, callback])
    async def test_the_culprit_fails_and_the_others_count_a_death(
        self, broker: Broker, break_it: Callable[[], Awaitable[None]]
    ) -> None:
        culprit, neighbour = await self.break_loop(broker, break_it)
        state = await culprit.state()
        assert (state.status, state.dequeue_count) == (Status.FAILED, 1)
        assert (state.error or "").startswith(("SystemExit", "KeyboardInterrupt"))
        assert await self.deaths(neighbour, broker) == (1, 0)

    async def test_a_task_that_cancels_all_of_its_worker_fails(self, broker: Broker) -> None:
        culprit, neighbour = await self.break_loop(broker, cancel_everything)
        state = await culprit.state()
        assert (state.status, state.dequeue_count) == (Status.FAILED, 1)
        assert "cancelled the asyncio tasks of its worker" in (state.error or "")
        assert await self.deaths(neighbour, broker) == (1, 0)

    @pytest.mark.parametrize("break_it", [stop, anonymous_child, thread])
    async def test_if_nothing_tells_of_the_culprit_all_count_a_death(
        self, broker: Broker, break_it: Callable[[], Awaitable[None]]
    ) -> None:
        culprit, neighbour = await self.break_loop(broker, break_it)
        assert await self.deaths(culprit, broker) == (1, 0)
        assert await self.deaths(neighbour, broker) == (1, 0)

    async def test_the_culprit_has_its_tries(self, broker: Broker) -> None:
        culprit, _ = await self.break_loop(broker, child, max_tries=2)
        state = await culprit.state()
        assert (state.status, state.error) == (Status.DELAYED, "SystemExit: 0")

    async def test_a_program_that_leaves_beside_its_worker_costs_no_death(
        self, broker: Broker
    ) -> None:
        worker = Worker("shop", broker=broker, concurrency=1)
        begun = threading.Event()

        @worker.task
        async def work() -> None:
            begun.set()
            await asyncio.Event().wait()

        handle = await work.send()

        async def main() -> None:
            running = asyncio.create_task(worker.run())
            await asyncio.to_thread(begun.wait, PATIENCE)
            assert not running.done()
            sys.exit(0)

        await self.run_broken(main())
        assert (await handle.state()).status is Status.PENDING
        assert await self.deaths(handle, broker) == (0, 0)
