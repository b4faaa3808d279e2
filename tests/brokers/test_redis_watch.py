"""Watching many tasks on real servers, friendly and not."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import redis.asyncio

import ltq
from devtools.servers import RedisServer
from ltq import Status, Worker
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._scripts.calls import StateCall
from ltq.brokers.redis._server.link import Link
from tests.conformance.factories import QUEUE, claim_one, publish
from tests.eventually import eventually

MANY = 5000


@pytest.fixture
def stock_server(redis_executable: str) -> Iterator[RedisServer]:
    """A server with its defaults: no notifications, CONFIG allowed."""
    with RedisServer(redis_executable) as server:
        yield server


GUARDED = ("--requirepass", "secret", "--rename-command", "CONFIG", "")
"""Asks for a password and refuses CONFIG, as rented servers do."""


def with_password(server: RedisServer) -> str:
    return server.url.replace("redis://", "redis://:secret@")


async def pubsub_connections(url: str) -> int:
    client = redis.asyncio.Redis.from_url(url, protocol=2)
    try:
        clients = await client.client_list(_type="pubsub")
    finally:
        await client.aclose()
    return len(clients)


async def send_and_watch(url: str, many: int) -> int:
    """Send quick tasks and watch them all at once; the most Pub/Sub connections there were."""
    worker = Worker("quick", broker_url=url)

    @worker.task
    async def double(number: int) -> int:
        return 2 * number

    async with worker:
        handles = await double.send_many([double.message(number) for number in range(many)])

        async def last_state(handle: ltq.Handle[int]) -> int | None:
            results = [state.result async for state in handle.watch(timeout=40)]
            return results[-1]

        watches = [asyncio.create_task(last_state(handle)) for handle in handles]
        await eventually(lambda: any(watch.done() for watch in watches), timeout=30)
        plain = url.partition("?")[0]
        connections = await pubsub_connections(plain)
        assert await asyncio.gather(*watches) == [2 * number for number in range(many)]
        assert await asyncio.gather(*(handle.result(timeout=20) for handle in handles)) == [
            2 * number for number in range(many)
        ]
        return max(connections, await pubsub_connections(plain))


@pytest.mark.slow
class TestManyWatches:
    async def test_on_a_stock_server_none_is_lost(self, stock_server: RedisServer) -> None:
        assert await send_and_watch(stock_server.url, MANY) <= 2

    async def test_without_config_they_are_polled_with_one_warning(
        self, redis_executable: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.WARNING, "ltq.broker")
        with RedisServer(redis_executable, *GUARDED) as server:
            assert await send_and_watch(with_password(server), MANY) <= 2
        warnings = [one.getMessage() for one in caplog.records if one.name == "ltq.broker"]
        assert len(warnings) == 1
        assert "polls instead" in warnings[0]
        assert "secret" not in caplog.text

    async def test_notifications_that_are_on_are_used_without_config(
        self, redis_executable: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        notifying = (*GUARDED, "--notify-keyspace-events", "Kghx")
        caplog.set_level(logging.WARNING, "ltq")
        with RedisServer(redis_executable, *notifying) as server:
            await send_and_watch(with_password(server), 50)
        assert not caplog.records


class TestSettings:
    async def test_missing_flags_are_added_to_those_that_are_there(
        self, stock_server: RedisServer
    ) -> None:
        client = redis.asyncio.Redis.from_url(stock_server.url, protocol=2, decode_responses=True)
        await client.config_set("notify-keyspace-events", "El")
        await send_and_watch(stock_server.url, 1)
        flags = (await client.config_get("notify-keyspace-events"))["notify-keyspace-events"]
        assert set("KElghx") <= set(flags or "")
        await client.aclose()

    async def test_require_raises_where_they_are_off(self, stock_server: RedisServer) -> None:
        worker = Worker("quick", broker_url=f"{stock_server.url}?notifications=require")

        @worker.task
        async def wait() -> None:
            return None

        handle = await wait.send()
        watched = anext(aiter(handle.watch(timeout=5)))
        for told in (handle.result(timeout=5), handle.wait(timeout=5), watched):
            with pytest.raises(ltq.BrokerError, match=r"lacks 'Kghx'.*notifications=require"):
                await told
        with pytest.raises(ltq.BrokerError, match="notifications=require"):
            await worker.run(burst=True)
        await worker.aclose()

    async def test_poll_leaves_the_server_as_it_is(self, stock_server: RedisServer) -> None:
        await send_and_watch(f"{stock_server.url}?notifications=poll", 50)
        client = redis.asyncio.Redis.from_url(stock_server.url, protocol=2, decode_responses=True)
        flags = await client.config_get("notify-keyspace-events")
        await client.aclose()
        assert flags["notify-keyspace-events"] == ""


class TestFaults:
    async def test_a_cut_connection_loses_no_final_state(self, stock_server: RedisServer) -> None:
        worker = Worker("quick", broker_url=stock_server.url)
        go_on = asyncio.Event()

        @worker.task
        async def wait(number: int) -> int:
            await go_on.wait()
            return number

        client = redis.asyncio.Redis.from_url(stock_server.url, protocol=2)
        async with worker:
            handles = await wait.send_many([wait.message(number) for number in range(20)])
            results = asyncio.gather(*(handle.result(timeout=20) for handle in handles))
            await eventually(lambda: pubsub_connections(stock_server.url))
            for _ in range(5):
                await client.client_kill_filter(_type="pubsub")
            go_on.set()
            await client.client_kill_filter(_type="pubsub")
            assert await results == list(range(20))
        await client.aclose()

    async def test_nothing_is_left_behind(self, stock_server: RedisServer) -> None:
        worker = Worker("quick", broker_url=stock_server.url)

        @worker.task
        async def never() -> None:
            return None

        client = redis.asyncio.Redis.from_url(stock_server.url, protocol=2)
        handles = await never.send_many([never.message() for _ in range(50)])
        watches = [asyncio.create_task(handle.result()) for handle in handles]

        async def channels() -> int:
            return len(await client.pubsub_channels())

        async def are_there() -> bool:
            return await channels() == 50

        async def are_gone() -> bool:
            return await channels() == 0

        await eventually(are_there)
        for watch in watches:
            watch.cancel()
        await asyncio.gather(*watches, return_exceptions=True)
        await eventually(are_gone)
        await worker.aclose()
        await client.aclose()


class TestFeed:
    async def test_one_opened_during_a_read_gets_no_older_state(
        self, redis_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        has_read, goes_on = asyncio.Event(), asyncio.Event()
        evaluate = Link.evaluate

        async def evaluate_slowly(link: Link, call: Any, **options: Any) -> Any:
            reply = await evaluate(link, call, **options)
            if isinstance(call, StateCall):
                has_read.set()
                await goes_on.wait()
            return reply

        monkeypatch.setattr(Link, "evaluate", evaluate_slowly)
        async with RedisBroker(f"{redis_url}?notifications=poll") as broker:
            envelope = await publish(broker)
            first = broker.feed(QUEUE, envelope.id)
            await has_read.wait()
            async with broker.consumer([QUEUE]) as consumer:
                await claim_one(broker, consumer)
            second = broker.feed(QUEUE, envelope.id)
            goes_on.set()
            states = [await feed.get(5.0) for feed in (first, second)]
            first.close()
            second.close()
        assert [state and state.status for state in states] == [Status.PENDING, Status.WORKING]
