"""Connections to a real server: URLs, restarts, deadlines."""

import asyncio
import time
from pathlib import Path

import pytest
import redis.asyncio

import ltq
from devtools.servers import RedisServer
from ltq import Status, Worker
from ltq.broker import Broker
from ltq.brokers.redis import RedisBroker
from ltq.errors import BrokerError
from ltq.message import Envelope, Finish, Lease
from ltq.names import new_id
from tests.eventually import eventually


def envelope() -> Envelope:
    return Envelope(id=new_id(), queue="mail:send", task_name="mail:send", body=b"[[],{}]")


class TestUrls:
    async def test_a_unix_socket_works(self, redis_executable: str, tmp_path: Path) -> None:
        socket = tmp_path / "redis.sock"
        with RedisServer(redis_executable, "--unixsocket", str(socket)):
            async with Broker.from_url(f"unix://{socket}") as broker:
                await broker.publish([envelope()])
                (stats,) = await broker.stats(["mail:send"])
        assert stats.pending == 1

    @pytest.mark.parametrize(
        "url",
        [
            "redis://localhost?foo=bar",
            "redis://localhost/abc",
            "redis://localhost?protocol=3",
            "redis://localhost?decode_responses=1",
        ],
    )
    def test_what_redis_py_does_not_take_is_told_at_once(self, url: str) -> None:
        with pytest.raises(ltq.ConfigurationError, match="cannot be read"):
            Broker.from_url(url)


class TestOwnClient:
    async def test_its_timeouts_do_not_cut_off_what_waits_for_longer(self, redis_url: str) -> None:
        """Calls have deadlines of their own, and a consumer waits for seconds."""

        def connect() -> redis.asyncio.Redis:
            return redis.asyncio.Redis.from_url(redis_url, protocol=2, socket_timeout=0.02)

        broker = RedisBroker(redis_url, connect=connect)
        async with broker, broker.consumer(["mail:send"]) as consumer:
            assert not await consumer.wait(0.2)


class TestWakeUps:
    async def test_those_of_a_consumer_that_ends_go_to_another(self, redis_url: str) -> None:
        async with RedisBroker(redis_url) as broker:
            async with broker.consumer(["mail:send"]) as first:
                waiting = asyncio.create_task(first.wait(10.0))
                with redis.Redis.from_url(redis_url) as raw:
                    await eventually(lambda: blocked(raw) == 1)
                await broker.publish([envelope()])
                assert await waiting  # it has taken the marker, and claims nothing
            async with broker.consumer(["mail:send"]) as second:
                async with asyncio.timeout(5):
                    assert await second.wait(None)


def blocked(raw: "redis.Redis") -> int:
    """How many clients block."""
    return int(raw.info("clients")["blocked_clients"])


class TestMisread:
    async def test_a_reply_that_cannot_be_read_is_not_waited_for(
        self, redis_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def answer(*_: object) -> list[bytes]:
            return [b"what?"]

        async with RedisBroker(redis_url) as broker:
            monkeypatch.setattr("ltq.brokers.redis._server.link.Link._exchange", answer)
            with pytest.raises(BrokerError, match="cannot read") as raised:
                await broker.finish([Finish(Lease("a", "mail:send", 1), Status.COMPLETED)])
            assert raised.value.is_refusal


class TestRestart:
    async def test_idle_connections_do_not_fail_the_next_call(self, redis_executable: str) -> None:
        with RedisServer(redis_executable) as server:
            async with Broker.from_url(server.url) as broker:
                await asyncio.gather(*(broker.queues() for _ in range(16)))
                server.stop()
                server.start()
                start = time.monotonic()
                await broker.publish([envelope()])
                assert time.monotonic() - start < 2

    async def test_an_emptied_server_shows_the_namespace_again(self, redis_url: str) -> None:
        client = redis.asyncio.Redis.from_url(redis_url, protocol=2)
        async with Broker.from_url(redis_url) as broker:
            await broker.publish([envelope()])
            await client.flushall()
            await broker.publish([envelope()])
            assert await broker.queues() == ["mail:send"]
        await client.aclose()


class TestDeadline:
    @pytest.mark.slow
    async def test_it_holds_for_all_that_wait_behind_one_call(self, unused_tcp_port: int) -> None:
        async with Broker.from_url(f"redis://127.0.0.1:{unused_tcp_port}") as broker:
            start = time.monotonic()
            sends = (broker.publish([envelope()]) for _ in range(2000))
            errors = await asyncio.gather(*sends, return_exceptions=True)
            took = time.monotonic() - start
        assert {type(error).__mro__[-4] for error in errors} == {ltq.LtqError}
        assert took < 8

    @pytest.mark.slow
    async def test_a_worker_can_be_stopped_while_redis_is_away(self, redis_executable: str) -> None:
        server = RedisServer(redis_executable)
        server.start()
        worker = Worker("mail", broker_url=server.url, shutdown_timeout=0.5)
        go_on = asyncio.Event()

        @worker.task
        async def send() -> None:
            await go_on.wait()

        handle = await send.send()
        running = asyncio.create_task(worker.run())

        async def works() -> bool:
            return (await handle.state()).status is Status.WORKING

        await eventually(works)
        server.kill()
        go_on.set()
        worker.stop()
        await asyncio.wait_for(running, 15)
        await worker.aclose()


class TestOutage:
    @pytest.mark.slow
    async def test_own_leases_are_not_taken_for_a_dead_workers(self, redis_executable: str) -> None:
        """An outage longer than the lease; whatever ended meanwhile is written, and runs once."""
        arguments = ("--appendonly", "yes", "--appendfsync", "always")
        with RedisServer(redis_executable, *arguments) as server:
            worker = Worker("mail", broker_url=server.url, lease=1.0)
            go_on, began = asyncio.Event(), asyncio.Event()

            @worker.task
            async def send() -> int:
                began.set()
                await go_on.wait()
                return ltq.current().attempt

            async with worker:
                handle = await send.send()
                await asyncio.wait_for(began.wait(), 5)
                server.kill()
                go_on.set()
                await asyncio.sleep(2.0)  # the task's own time: the outage
                server.start()
                state = await handle.wait(timeout=15)
            assert (state.result, state.dequeue_count, state.requeue_count) == (1, 1, 0)
