"""Host names are looked up without the event loop's threads."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from redis.asyncio import Redis

import ltq
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._connect.connections import TcpConnection
from ltq.brokers.redis._connect.resolver import addresses_of
from ltq.errors import BrokerError
from tests.eventually import eventually


@pytest.fixture
async def busy_threads() -> AsyncIterator[None]:
    """All threads of the loop's default pool are in use."""
    go_on = threading.Event()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(2))
    waiting = [loop.run_in_executor(None, go_on.wait, 30) for _ in range(4)]
    yield
    go_on.set()
    await asyncio.gather(*waiting)


def test_a_client_of_ones_own_looks_names_up_in_the_same_way() -> None:
    async def connection_class() -> type:
        broker = RedisBroker("redis://h", connect=lambda: Redis.from_url("redis://h", protocol=2))
        return type(broker._here().links.any.new_connection())

    assert asyncio.run(connection_class()) is TcpConnection


class TestAddresses:
    @pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
    async def test_a_numeric_one_is_not_looked_up(
        self, address: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delattr(socket, "getaddrinfo")
        assert await addresses_of(address, 6379) == [address]

    async def test_all_addresses_of_a_name_are_found(self) -> None:
        assert "127.0.0.1" in await addresses_of("localhost", 6379)

    async def test_a_name_that_is_not_there_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object, **__: object) -> None:
            raise socket.gaierror(-2, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", fail)
        with pytest.raises(OSError, match="not known"):
            await addresses_of("nowhere.invalid", 6379)

    async def test_those_who_ask_at_once_share_a_lookup_and_one_may_give_up(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        go_on, asked = threading.Event(), list[str]()

        def slow(host: str, *_: object, **__: object) -> list[Any]:
            asked.append(host)
            go_on.wait(10)
            return [(2, 1, 6, "", ("10.0.0.1", 1)), (2, 1, 6, "", ("10.0.0.2", 1))]

        monkeypatch.setattr(socket, "getaddrinfo", slow)
        tasks = [asyncio.create_task(addresses_of("slow", 1)) for _ in range(5)]
        await eventually(lambda: asked)
        tasks[0].cancel()
        go_on.set()
        assert await asyncio.gather(*tasks[1:]) == [["10.0.0.1", "10.0.0.2"]] * 4
        assert asked == ["slow"]
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]


@pytest.mark.usefixtures("busy_threads")
class TestBusyThreads:
    async def test_a_producer_connects(self, redis_url: str) -> None:
        async with RedisBroker(redis_url.replace("127.0.0.1", "localhost")) as broker:
            async with asyncio.timeout(3):
                await broker.queues()

    async def test_a_worker_connects_again(self, redis_url: str) -> None:
        worker = ltq.Worker("mail", broker_url=redis_url.replace("127.0.0.1", "localhost"))

        @worker.task
        async def quick(number: int) -> int:
            return number

        async with worker:
            assert await (await quick.send(1)).result(timeout=5) == 1
            with redis.Redis.from_url(redis_url) as raw:
                raw.client_kill_filter(_type="normal", skipme=True)
                raw.client_kill_filter(_type="pubsub", skipme=True)
            assert await (await quick.send(2)).result(timeout=5) == 2


async def test_a_lookup_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: go_on.wait(20) and [])
    began = time.monotonic()
    async with RedisBroker("redis://hangs.invalid:6379?socket_connect_timeout=0.1") as broker:
        with pytest.raises(BrokerError):
            await broker._here().links.any.call("PING", patience=0.5)
    assert time.monotonic() - began < 3
    go_on.set()
