"""RabbitMQ and the store killed, frozen and blocked while tasks are sent."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

import ltq
from devtools.rabbitmq import RabbitServer
from devtools.servers import RedisServer
from ltq.brokers.rabbitmq import RabbitBroker
from ltq.message import new_id
from tests.elapse import elapse
from tests.eventually import eventually


@pytest.fixture(scope="module")
def server(rabbitmq_executable: str) -> Iterator[RabbitServer]:
    with RabbitServer(rabbitmq_executable) as server:
        yield server


@pytest.fixture
def url(server: RabbitServer) -> str:
    if not server.is_running:
        server.start()
    return f"{server.url}?prefix=t{new_id()}"


class Load:
    """Sends all the time, and counts what was acknowledged and what has run."""

    def __init__(self, worker: ltq.Worker) -> None:
        self.sent: list[int] = []
        self.failed: list[Exception] = []
        self.slowest = 0.0
        self.runs: Counter[int] = Counter()
        self._is_over = False

        @worker.task
        async def note(number: int) -> None:
            self.runs[number] += 1

        self._task = note

    async def run(self, senders: int = 4) -> None:
        await asyncio.gather(*(self._send(100_000 * number) for number in range(senders)))

    def end(self) -> None:
        self._is_over = True

    async def _send(self, number: int) -> None:
        while not self._is_over:
            number += 1
            began = time.monotonic()
            try:
                await self._task.send(number)
            except ltq.BrokerError as error:
                self.failed.append(error)
            else:
                self.sent.append(number)
            self.slowest = max(self.slowest, time.monotonic() - began)
            await asyncio.sleep(0.002)  # the task's own time

    def is_done(self) -> bool:
        return self.runs.keys() >= {*self.sent}


Under = Callable[[RabbitBroker, Awaitable[None]], Awaitable[Load]]


@pytest_asyncio.fixture(loop_scope="function")
async def under() -> AsyncIterator[Under]:
    """Lets something happen while tasks are sent and run, and waits until all have run."""

    async def happen(broker: RabbitBroker, what: Awaitable[None]) -> Load:
        worker = ltq.Worker("mail", broker=broker)
        load = Load(worker)
        async with worker:
            sending = asyncio.create_task(load.run())
            await eventually(lambda: len(load.runs) > 50)
            await what
            load.end()
            await sending
            await eventually(load.is_done, timeout=30)
        await broker.aclose()
        return load

    yield happen


class TestServerKilled:
    async def test_nothing_that_was_acknowledged_is_lost(
        self,
        server: RabbitServer,
        url: str,
        tmp_path: Path,
        under: Under,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        async def kills() -> None:
            for _ in range(3):
                await asyncio.to_thread(server.kill)
                await elapse(0.3, "sends go on without it")
                await asyncio.to_thread(server.start)
                await elapse(0.7, "and with it again")

        broker = RabbitBroker(f"{url}&state=sqlite:///{tmp_path}/jobs.db")
        load = await under(broker, kills())
        assert not load.failed
        assert set(load.runs.values()) == {1}
        assert load.slowest < 5
        # LTQ tells of outages itself; the library would, with a traceback for each connection.
        told = {one.name for one in caplog.records if one.levelno > logging.DEBUG}
        assert not [name for name in told if name.startswith("aiormq")]

    async def test_a_frozen_one_is_left_alone(
        self, server: RabbitServer, url: str, tmp_path: Path, under: Under
    ) -> None:
        async def freeze() -> None:
            server.freeze()
            await elapse(7, "longer than one call waits for it")
            server.thaw()
            await elapse(1, "and with it again")

        broker = RabbitBroker(f"{url}&state=sqlite:///{tmp_path}/jobs.db&heartbeat=2")
        load = await under(broker, freeze())
        assert not load.failed
        assert set(load.runs.values()) == {1}
        assert load.slowest < 6


class TestBlocked:
    async def test_sends_go_past_a_server_that_is_full(
        self, server: RabbitServer, url: str, tmp_path: Path, under: Under
    ) -> None:
        """With the memory alarm it reads nothing from who publishes. Who consumes goes on."""

        async def alarm() -> None:
            try:
                await asyncio.to_thread(server.control, "set_vm_memory_high_watermark", "0.000001")
                await elapse(5, "longer than a send waits for its confirmation")
            finally:
                await asyncio.to_thread(server.control, "set_vm_memory_high_watermark", "0.4")
            await elapse(0.5, "sends go both ways again")

        broker = RabbitBroker(f"{url}&state=sqlite:///{tmp_path}/jobs.db")
        load = await under(broker, alarm())
        assert not load.failed
        assert set(load.runs.values()) == {1}


class TestStoreKilled:
    async def test_sends_go_on_and_each_runs_once(
        self, url: str, redis_executable: str, tmp_path: Path, under: Under
    ) -> None:
        """Its disk has all: it comes back as it was."""
        durable = ("--appendonly", "yes", "--appendfsync", "always", "--dir", str(tmp_path))
        with RedisServer(redis_executable, *durable) as redis:

            async def kill() -> None:
                await asyncio.to_thread(redis.kill)
                await elapse(8, "RabbitMQ keeps what is sent")
                await asyncio.to_thread(redis.start)
                await elapse(0.5, "both again")

            broker = RabbitBroker(f"{url}&state={redis.url}")
            load = await under(broker, kill())
        assert not load.failed
        assert load.runs.keys() == {*load.sent}
        # What ran when the store was killed may run again: its end was not written. No send does.
        assert sum(count > 1 for count in load.runs.values()) <= 5

    async def test_both_are_killed_in_turn(
        self, server: RabbitServer, url: str, redis_executable: str, tmp_path: Path, under: Under
    ) -> None:
        durable = ("--appendonly", "yes", "--appendfsync", "always", "--dir", str(tmp_path))
        with RedisServer(redis_executable, *durable) as redis:

            async def kill() -> None:
                for one in (redis, server, redis):
                    await asyncio.to_thread(one.kill)
                    await elapse(1, "one stands")
                    await asyncio.to_thread(one.start)
                    await elapse(3, "both are found again")

            broker = RabbitBroker(f"{url}&state={redis.url}")
            load = await under(broker, kill())
        assert not load.failed
        assert load.runs.keys() == {*load.sent}
