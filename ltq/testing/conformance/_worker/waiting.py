"""Tasks that wait for other tasks of their worker until no room is left."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import ltq
from ltq import Handle, Worker
from ltq.broker import Broker
from ltq.testing.conformance._support.eventually import PATIENCE, eventually

TEXT = "slots are taken by tasks that wait"


async def by_result(handle: Handle[int]) -> None:
    await handle.result()


async def by_wait(handle: Handle[int]) -> None:
    await handle.wait(timeout=PATIENCE)


async def by_watch(handle: Handle[int]) -> None:
    async for _ in handle.watch():
        pass


async def by_gather(handle: Handle[int]) -> None:
    await ltq.gather(handle)


async def by_as_completed(handle: Handle[int]) -> None:
    async for _ in ltq.as_completed([handle]):
        pass


async def in_a_child(handle: Handle[int]) -> None:
    await asyncio.create_task(by_result(handle))


WAYS = [by_result, by_wait, by_watch, by_gather, by_as_completed, in_a_child]
Way = Callable[[Handle[int]], Coroutine[Any, Any, None]]


class TestNoRoomLeft:
    @pytest.fixture(autouse=True)
    def looks_soon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ltq._worker.upkeep.waiting.LOOK_AFTER", 0.02)

    def make_worker(self, broker: Broker, concurrency: int) -> Worker:
        return Worker("shop", broker=broker, concurrency=concurrency, shutdown_timeout=0)

    @pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
    async def test_it_is_told_once_with_names(
        self, broker: Broker, way: Way, caplog: pytest.LogCaptureFixture
    ) -> None:
        worker = self.make_worker(broker, 2)

        @worker.task
        async def child() -> int:
            return 1

        @worker.task(priority="high")
        async def parent() -> None:
            await way(await child.send())

        await parent.send_many([parent.message() for _ in range(4)])
        async with worker:
            await eventually(lambda: TEXT in caplog.text)
        assert caplog.text.count(TEXT) == 1
        assert "shop: all 2 slots" in caplog.text
        assert "(shop:parent for shop:child)" in caplog.text
        assert "If no other worker serves these" in caplog.text

    async def test_threads_that_wait_take_slots_too(
        self, broker: Broker, caplog: pytest.LogCaptureFixture
    ) -> None:
        worker = self.make_worker(broker, 1)

        @worker.task
        async def child() -> int:
            return 1

        @worker.task
        def parent() -> None:
            handle = child.send_sync()
            while not ltq.current().is_over:
                try:
                    handle.result(timeout=0.5)
                except ltq.ResultTimeoutError:
                    continue

        await parent.send()
        async with worker:
            await eventually(lambda: TEXT in caplog.text)
        assert "(shop:parent for shop:child)" in caplog.text

    async def test_a_chain_of_waits_is_told(
        self, broker: Broker, caplog: pytest.LogCaptureFixture
    ) -> None:
        worker = self.make_worker(broker, 3)

        @worker.task
        async def countdown(number: int) -> int:
            return await (await countdown.send(number - 1)).result() if number else 0

        await countdown.send(3)
        async with worker:
            await eventually(lambda: TEXT in caplog.text)
        assert "(shop:countdown for shop:countdown)" in caplog.text

    async def test_with_room_left_nothing_is_told(
        self, broker: Broker, caplog: pytest.LogCaptureFixture
    ) -> None:
        worker = self.make_worker(broker, 2)

        @worker.task
        async def child() -> int:
            await asyncio.sleep(0.1)  # the task's own time
            return 1

        @worker.task
        async def parent() -> int:
            return await (await child.send()).result()

        handle = await parent.send()
        async with worker:
            assert await handle.result(timeout=PATIENCE) == 1
        assert TEXT not in caplog.text

    @pytest.mark.parametrize("is_same", [True, False])
    async def test_what_another_worker_runs_is_not_told(
        self,
        broker: Broker,
        is_same: bool,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        # Long enough for a claim on any store, and over while the task runs.
        monkeypatch.setattr("ltq._worker.upkeep.waiting.LOOK_AFTER", 0.3)
        worker = self.make_worker(broker, 1)
        other = self.make_worker(broker, 1) if is_same else Worker("other", broker=broker)

        @other.task
        async def child() -> int:
            await asyncio.sleep(0.5)  # the task's own time
            return 1

        if is_same:
            worker.task(name="child")(child.fn)

        @worker.task
        async def parent() -> int:
            return await (await child.send()).result()

        handle = await parent.send()
        async with other, worker:
            assert await handle.result(timeout=PATIENCE) == 1
        assert TEXT not in caplog.text
