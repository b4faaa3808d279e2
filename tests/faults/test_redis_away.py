"""Redis goes, refuses, or does not answer; afterwards everything really works again, soon."""

import asyncio
import gc
import logging
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import redis
from redis.asyncio import Redis
from redis.asyncio.connection import Connection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

import ltq
from devtools.ledger import Ledger
from devtools.proxy import Proxy
from devtools.servers import RedisServer
from devtools.workers import Fleet, WorkerProcess
from ltq._worker.completer import Completer
from ltq._worker.outcomes import unwritable
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._consumer.consumer import RedisConsumer
from ltq.brokers.redis._server.channels import Channels
from ltq.errors import BrokerError, TaskNotFoundError
from ltq.message import Finish, Lease
from ltq.state import Status
from tests.elapse import elapse
from tests.eventually import eventually
from tests.faults import jobs
from tests.faults.load import Load
from tests.worker.doubles import Leases

AOF = ("--appendonly", "yes", "--appendfsync", "everysec", "--save", "")

SOON = 2.0
"""Seconds after which everything works again."""

PATIENCE = 5.0
"""Seconds a send may take to say that it failed."""


def measured(what: str, value: object) -> None:
    print(f"MEASURED {what}: {value}")  # noqa: T201


async def answers(client: redis.Redis, timeout: float = 10.0) -> None:
    """Wait until the server answers a PING."""

    def pong() -> bool:
        with suppress(redis.RedisError):
            return bool(client.ping())
        return False

    await eventually(pong, timeout, "a PONG")


@asynccontextmanager
async def through_proxy(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Proxy, RedisBroker]]:
    """A proxy, and this process's tasks sent through it."""
    async with Proxy(server.port) as proxy, RedisBroker(proxy.url) as broker:
        monkeypatch.setattr(jobs.worker, "broker", broker)
        yield proxy, broker


class TestRestart:
    @pytest.mark.slow
    async def test_with_its_data_nothing_is_lost(
        self,
        redis_executable: str,
        fleet: Fleet,
        ledger: Ledger,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        with RedisServer(redis_executable, *AOF) as server:
            async with RedisBroker(server.url) as broker:
                monkeypatch.setattr(jobs.worker, "broker", broker)
                worker = await fleet.start(server.url)
                async with Load(ledger) as load:
                    for away in (0.2, 1.0, 2.0):
                        await load.flows()
                        server.kill()
                        await elapse(away, "the server is away")
                        server.start()
                        with redis.Redis.from_url(server.url) as client:
                            await answers(client)
                        took = await load.flows()
                        measured(f"consuming again after {away} s without Redis (s)", took)
                        assert took <= SOON
                    await load.finish()
                    measured("acknowledged sends, all answered", load.sent)
                assert worker.exit_code is None

    @pytest.mark.usefixtures("broker")
    async def test_empty_waiters_are_told_and_work_goes_on(
        self, server: RedisServer, admin: redis.Redis, fleet: Fleet, ledger: Ledger
    ) -> None:
        worker = await fleet.start(server.url)
        held = [await jobs.hold.send("gate") for _ in range(3)]
        await eventually(lambda: len(ledger.events("start")) == 3, 15)
        waiting = [asyncio.create_task(handle.result(30)) for handle in held]
        delayed = await jobs.double.with_options(delay=60).send(1)
        waiting.append(asyncio.create_task(delayed.result(30)))
        await eventually(lambda: not unheard(admin, [*held, delayed]), description="all listen")
        server.kill()
        server.start()
        began = time.monotonic()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        measured("waiters told after an empty restart (s)", time.monotonic() - began)
        assert {type(result) for result in results} == {TaskNotFoundError}
        ledger.open("gate")
        again = await jobs.double.send(4)
        assert await again.result(5) == 8
        assert worker.exit_code is None

    async def test_empty_tools_find_new_tasks(
        self, server: RedisServer, broker: RedisBroker
    ) -> None:
        await jobs.double.send(1)
        assert await broker.queues() == ["faults:double"]
        server.kill()
        server.start()
        handle = await jobs.double.send(2)
        assert await broker.queues() == ["faults:double"]
        assert await broker.find(handle.id) is not None


@pytest.mark.usefixtures("broker")
class TestScripts:
    async def test_flushed_under_load(
        self, server: RedisServer, admin: redis.Redis, fleet: Fleet, ledger: Ledger
    ) -> None:
        await fleet.start(server.url)
        async with Load(ledger) as load:
            for _ in range(40):
                admin.script_flush()
                await load.flows()
            await load.finish()
            assert load.refused == []


Fault = Callable[[redis.Redis], AbstractAsyncContextManager[None]]

LASTS = 2.5
"""Seconds of most faults."""


@asynccontextmanager
async def readonly(admin: redis.Redis) -> AsyncIterator[None]:
    admin.replicaof("127.0.0.1", 1)
    yield
    admin.replicaof("NO", "ONE")


@asynccontextmanager
async def busy(admin: redis.Redis) -> AsyncIterator[None]:
    admin.config_set("lua-time-limit", 100)  # since 7.0 an alias of busy-reply-threshold
    slow = (
        "redis.call('SET', 'slow', 1) local function now() local t = redis.call('TIME') "
        "return t[1] + t[2] / 1e6 end local start = now() "
        f"while now() - start < {LASTS} do end"
    )
    script = asyncio.create_task(asyncio.to_thread(admin.eval, slow, 0))
    yield
    await script


@asynccontextmanager
async def misconf(admin: redis.Redis) -> AsyncIterator[None]:
    directory = str(admin.config_get("dir")["dir"])
    admin.config_set("save", "3600 1")
    shutil.rmtree(directory)
    admin.bgsave()

    def failed() -> bool:
        return bool(admin.info("persistence")["rdb_last_bgsave_status"] == "err")

    await eventually(failed)
    try:
        yield
    finally:
        admin.config_set("stop-writes-on-bgsave-error", "no")
        admin.config_set("save", "")  # else it does not shut down


@asynccontextmanager
async def maxclients(admin: redis.Redis) -> AsyncIterator[None]:
    admin.config_set("maxclients", 1)
    admin.client_kill_filter(_type="normal", skipme=True)
    admin.client_kill_filter(_type="pubsub", skipme=True)
    yield
    admin.config_set("maxclients", 1000)


@asynccontextmanager
async def paused(admin: redis.Redis) -> AsyncIterator[None]:
    admin.client_pause(int(LASTS * 1000), all=True)
    yield


@asynccontextmanager
async def slow_writes(admin: redis.Redis) -> AsyncIterator[None]:
    admin.client_pause(int(LASTS * 1000), all=False)
    yield


@asynccontextmanager
async def all_killed(admin: redis.Redis) -> AsyncIterator[None]:
    for _ in range(int(LASTS / 0.1)):
        admin.client_kill_filter(_type="normal", skipme=True)
        admin.client_kill_filter(_type="pubsub", skipme=True)
        await elapse(0.1, "connections are cut ten times a second")
    yield


FAULTS = [readonly, busy, misconf, maxclients, paused, slow_writes, all_killed]


@pytest.mark.usefixtures("broker")
class TestRefusals:
    @pytest.mark.slow
    @pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
    async def test_afterwards_it_consumes_again(
        self,
        fault: Fault,
        server: RedisServer,
        admin: redis.Redis,
        fleet: Fleet,
        ledger: Ledger,
    ) -> None:
        worker = await fleet.start(server.url)
        async with Load(ledger) as load:
            async with fault(admin):
                await elapse(LASTS, "the fault lasts")
            await answers(admin)
            took = await load.flows()
            measured(f"consuming again after {fault.__name__} (s)", took)
            assert took <= SOON
            await load.finish()
        assert worker.exit_code is None
        assert [seconds for seconds, _ in load.refused if seconds > PATIENCE] == []

    @pytest.mark.parametrize("fault", [readonly, misconf], ids=lambda fault: fault.__name__)
    async def test_what_ends_meanwhile_is_written_afterwards(
        self,
        fault: Fault,
        server: RedisServer,
        admin: redis.Redis,
        fleet: Fleet,
        ledger: Ledger,
    ) -> None:
        async with Proxy(server.port) as proxy:
            worker = await fleet.start(proxy.url)
            handles = [await jobs.hold.send("gate") for _ in range(10)]
            await eventually(lambda: len(ledger.events("start")) == 10, 15)
            async with fault(admin):
                ledger.open("gate")
                await eventually(lambda: proxy.commands["finish"] >= 3, 10, "tries to write")
            assert {await handle.result(10) for handle in handles} == {worker.pid}
            assert {(await handle.state()).dequeue_count for handle in handles} == {1}
        assert worker.lines("cannot be written") == worker.lines("was refused") == []

    @pytest.mark.slow
    async def test_loading(
        self,
        redis_executable: str,
        fleet: Fleet,
        ledger: Ledger,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        # While it loads, a server says so only once in 2 MB.
        with RedisServer(redis_executable, *AOF, "--key-load-delay", "300") as server:
            async with RedisBroker(server.url) as broker:
                monkeypatch.setattr(jobs.worker, "broker", broker)
                await fleet.start(server.url)
                async with Load(ledger) as load:
                    with redis.Redis.from_url(server.url) as client:
                        with client.pipeline(transaction=False) as pipeline:
                            for number in range(8000):
                                pipeline.set(f"filler:{number}", "x" * 2000)
                            pipeline.execute()
                        client.bgrewriteaof()
                        server.kill()
                        starting = asyncio.create_task(asyncio.to_thread(server.start))
                        began = time.monotonic()
                        await answers(client)
                        measured("LOADING lasted (s)", time.monotonic() - began)
                        took = await load.flows()
                        measured("consuming again after LOADING (s)", took)
                        await starting
                    assert took <= SOON
                    await load.finish()

    @pytest.mark.parametrize("fault", [readonly, misconf], ids=lambda fault: fault.__name__)
    async def test_an_idle_worker_does_not_hammer_a_server_that_refuses(
        self,
        fault: Fault,
        server: RedisServer,
        admin: redis.Redis,
        fleet: Fleet,
        ledger: Ledger,
    ) -> None:
        await fleet.start(server.url)
        handle = await jobs.double.send(1)
        assert await handle.result(15) == 2
        async with fault(admin):
            admin.client_kill_filter(_type="normal", skipme=True)  # so that it asks again
            await elapse(0.5, "whoever asks at once has asked")
            before = commands(admin)
            await elapse(2.0, "its rate is measured")
            rate = (commands(admin) - before) / 2.0
        measured(f"commands/s of an idle worker during {fault.__name__}", rate)
        assert rate <= 10

    @pytest.mark.slow
    async def test_without_memory_work_ends_and_sends_fail_clearly(
        self, server: RedisServer, admin: redis.Redis, fleet: Fleet, ledger: Ledger
    ) -> None:
        worker = await fleet.start(server.url, lease=1.5)
        held = [await jobs.hold.send("gate") for _ in range(20)]
        await eventually(lambda: len(ledger.events("start")) == 20, 15)
        waiting = [await jobs.double.send(n) for n in range(5)]
        results = [asyncio.create_task(handle.result(15)) for handle in held]
        admin.config_set("maxmemory", 1)
        began = time.monotonic()
        with pytest.raises(BrokerError, match="maxmemory"):
            await jobs.double.send(1)
        assert time.monotonic() - began < 1.0
        late = asyncio.create_task(waiting[0].result(15))
        await elapse(2.5, "all leases end, unless they are renewed")
        ledger.open("gate")
        assert {await result for result in results} == {worker.pid}
        assert await late == 0
        assert {(await handle.state()).dequeue_count for handle in held} == {1}
        admin.config_set("maxmemory", 0)
        again = await jobs.double.send(3)
        assert await again.result(SOON) == 6

    async def test_without_memory_what_waits_is_claimed_and_done(
        self, server: RedisServer, admin: redis.Redis, fleet: Fleet
    ) -> None:
        handles = [await jobs.double.send(n) for n in range(30)]
        delayed = [await jobs.double.with_options(delay=0.1).send(n) for n in range(5)]
        admin.config_set("maxmemory", 1)
        await fleet.start(server.url)
        assert [await handle.result(15) for handle in handles] == [2 * n for n in range(30)]
        assert [await handle.result(5) for handle in delayed] == [2 * n for n in range(5)]


def unheard(admin: Any, handles: Iterable[ltq.Handle[int]]) -> list[str]:
    """The tasks that nobody listens to."""
    channels = " ".join(channel.decode() for channel in admin.pubsub_channels())
    return [handle.id for handle in handles if handle.id not in channels]


def commands(admin: Any) -> int:
    """How many claims and waits the server has seen."""
    stats = admin.info("commandstats")
    names = ("cmdstat_evalsha", "cmdstat_eval", "cmdstat_bzpopmin")
    seen = [stats.get(name, {}) for name in names]
    return sum(one.get("calls", 0) + one.get("rejected_calls", 0) for one in seen)


class TestBlackHole:
    @pytest.mark.slow
    async def test_it_is_noticed_and_survived(
        self,
        server: RedisServer,
        fleet: Fleet,
        ledger: Ledger,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        async with through_proxy(server, monkeypatch) as (proxy, _):
            worker = await fleet.start(proxy.url)
            async with Load(ledger) as load:
                proxy.mode = "hole"
                await elapse(12, "the hole lasts longer than any deadline")
                proxy.mode = "pass"
                took = await load.flows()
                measured("consuming again after a black hole of 12 s (s)", took)
                assert took <= SOON
                await load.finish()
            assert worker.exit_code is None
            assert len(load.refused) >= 2
            measured("sends failed after (s)", max(seconds for seconds, _ in load.refused))
            assert max(seconds for seconds, _ in load.refused) <= PATIENCE

    @pytest.mark.slow
    async def test_sends_that_wait_for_others_fail_in_time_too(
        self, server: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with through_proxy(server, monkeypatch) as (proxy, _):
            await jobs.double.send(0)
            proxy.mode = "hole"
            first = asyncio.create_task(timed_send())
            await elapse(0.2, "the first send is under way")
            second = asyncio.create_task(timed_send())
            took = await asyncio.gather(first, second)
            proxy.mode = "pass"
            measured("two sends one after the other failed after (s)", took)
            assert max(took) <= PATIENCE

    @pytest.mark.slow
    async def test_dead_connections_are_replaced(
        self, server: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A firewall forgot them all; the server can be reached."""
        async with through_proxy(server, monkeypatch) as (proxy, broker):
            await asyncio.gather(*(broker.ping() for _ in range(16)))
            assert len(proxy.accepted) == 16
            proxy.freeze_all()
            began = time.monotonic()
            failed = 0
            while time.monotonic() - began < 10:
                try:
                    await jobs.double.send(1)
                    break
                except BrokerError:
                    failed += 1
            took = time.monotonic() - began
            measured("16 dead connections: sends failed, seconds until one works", (failed, took))
            assert took <= 10

    async def test_a_dead_pubsub_connection_is_replaced(
        self, server: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ltq.brokers.redis._server.channels.LOOK_EVERY", 0.2)
        heard: list[bytes] = []
        confirmed: list[str] = []
        async with Proxy(server.port) as proxy, RedisBroker(proxy.url) as broker:
            link = broker._opening.new_link()
            channels = Channels(
                link,
                on_subscribed=confirmed.append,
                on_message=lambda channel, text: heard.append(text),
                on_refused=lambda *_: None,
                on_connected=_nothing,
                on_lost=lambda: None,
            )
            channels.add("news")
            await eventually(lambda: confirmed == ["news"])
            tries = proxy.commands["PING"] + 3
            await eventually(lambda: proxy.commands["PING"] >= tries, 5, "it is tried out")
            assert confirmed == ["news"]
            proxy.freeze_all()
            await eventually(lambda: confirmed == ["news", "news"], timeout=5)
            with redis.Redis.from_url(server.url) as client:
                client.publish("news", "again")
            await eventually(lambda: heard == [b"again"])
            await channels.aclose()
            await link.aclose()

    async def test_a_pubsub_connection_without_channels_stays(
        self, server: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The answer to a PING is another one there."""
        monkeypatch.setattr("ltq.brokers.redis._server.channels.LOOK_EVERY", 0.2)
        confirmed: list[str] = []
        async with Proxy(server.port) as proxy, RedisBroker(proxy.url) as broker:
            link = broker._opening.new_link()
            channels = Channels(
                link,
                on_refused=lambda *_: None,
                on_subscribed=confirmed.append,
                on_message=lambda *_: None,
                on_connected=_nothing,
                on_lost=lambda: confirmed.append("lost"),
            )
            channels.add("news")
            await eventually(lambda: confirmed == ["news"])
            channels.drop("news")
            tries = proxy.commands["PING"] + 4
            await eventually(lambda: proxy.commands["PING"] >= tries, 5, "it answers")
            channels.add("news")
            await eventually(lambda: confirmed == ["news", "news"])
            assert len(proxy.accepted) == 1
            await channels.aclose()
            await link.aclose()


async def timed_send() -> float:
    """How long a send takes that fails."""
    began = time.monotonic()
    with pytest.raises(BrokerError):
        await jobs.double.send(1)
    return time.monotonic() - began


class TestConnections:
    async def test_replies_cut_in_the_middle(
        self,
        server: RedisServer,
        fleet: Fleet,
        ledger: Ledger,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        async with through_proxy(server, monkeypatch) as (proxy, _):
            await fleet.start(proxy.url)
            async with Load(ledger) as load:
                for script in ("send", "claim", "finish", "states", "BZPOPMIN", "SUBSCRIBE"):
                    for keep in (1, 3, 10, 50):
                        cut = proxy.dropped
                        proxy.drop(script, keep=keep)
                        with suppress(AssertionError):  # a loaded worker rarely blocks
                            await eventually(partial(_more, proxy, cut), 0.5)
                await load.finish()
            measured("replies cut", proxy.dropped)
            assert proxy.dropped >= 15
            assert load.refused == []

    async def test_under_uvloop_a_reset_connection_is_replaced(self, server: RedisServer) -> None:
        """What `ltq run` runs on; it ends the worker's process when a claim meets it."""
        uvloop = pytest.importorskip("uvloop")

        async def ping_after_reset() -> None:
            async with Proxy(server.port) as proxy, RedisBroker(proxy.url) as broker:
                await broker.ping()
                proxy.reset_all()
                await elapse(0.1, "the reset arrives")
                await broker.ping()

        await asyncio.to_thread(uvloop.run, ping_after_reset())

    async def test_a_blocking_pop_that_fails_unexpectedly_ends_the_wait(
        self, server: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with RedisBroker(server.url) as broker, broker.consumer(["faults:double"]) as one:
            assert isinstance(one, RedisConsumer)
            monkeypatch.setattr(one._groups[0].link, "block", _fails)
            waiting = asyncio.create_task(one.wait(None))
            done, _ = await asyncio.wait([waiting], timeout=1.0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            gc.collect()  # its error is told here, not while pytest parses (python/cpython#106905)
            assert done

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    async def test_an_outcome_is_kept_whatever_writing_it_raises(
        self, server: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with RedisBroker(server.url) as broker:
            leases = Leases()
            completer = Completer(broker, leases, substitute=unwritable)
            tried = asyncio.Event()

            async def fail(*_: object) -> None:
                tried.set()
                raise RuntimeError("the handler is closed")

            with monkeypatch.context() as patch:
                patch.setattr(broker, "finish", fail)
                completer.submit(Finish(Lease("id", "faults:double", 1), Status.COMPLETED))
                await asyncio.wait_for(tried.wait(), 5)
            await completer.drain(1.0)
            gc.collect()  # as above
            assert len(leases.released) == 1

    async def test_a_lost_pubsub_connection_is_not_opened_by_a_write(
        self, server: RedisServer
    ) -> None:
        async with RedisBroker(server.url) as broker:
            link = broker._opening.new_link()
            lost = link.new_connection()
            await lost.connect()
            channels = Channels(
                link,
                on_subscribed=lambda _: None,
                on_message=lambda *_: None,
                on_refused=lambda *_: None,
                on_connected=_nothing,
                on_lost=lambda: None,
            )
            channels._added["late"] = None
            channels._connection = lost
            await lost.disconnect(nowait=True)
            await channels._write()
            reopened = lost.is_connected
            await lost.disconnect()
            await link.aclose()
        assert not reopened

    @pytest.mark.slow
    async def test_pubsub_killed_again_and_again(
        self, server: RedisServer, admin: redis.Redis, broker: RedisBroker, fleet: Fleet
    ) -> None:
        await fleet.start(server.url)
        first = await jobs.double.send(0)
        assert await first.result(15) == 0
        killing = asyncio.create_task(_kill_pubsub(admin))
        try:
            spans = []
            for _ in range(4):
                messages = [jobs.last.message(0.5) for _ in range(200)]
                began = time.monotonic()
                handles = await jobs.last.send_many(messages)
                await asyncio.gather(*(handle.result(20) for handle in handles))
                spans.append(time.monotonic() - began)
            measured("200 results of 1 s of work, Pub/Sub killed every 100 ms (s)", spans)
            assert max(spans) <= 1.0 + SOON
        finally:
            killing.cancel()
            await asyncio.gather(killing, return_exceptions=True)
        await eventually(lambda: len(admin.client_list(_type="pubsub")) <= 2)
        again = await jobs.double.send(1)
        assert await again.result(SOON) == 2


async def _nothing() -> None:
    """What follows a connection, where nothing has to."""


async def _fails(*_: object, **__: object) -> None:
    raise RuntimeError("the handler is closed")


def _more(proxy: Proxy, dropped: int) -> bool:
    return proxy.dropped > dropped


async def _kill_pubsub(admin: redis.Redis) -> None:
    while True:
        admin.client_kill_filter(_type="pubsub")
        await elapse(0.1, "the connection is cut ten times a second")


class TestPassword:
    async def test_wrong_at_the_start(self, redis_executable: str, fleet: Fleet) -> None:
        with RedisServer(redis_executable, "--requirepass", "right") as server:
            for url in (server.url.replace("//", "//:wrong@"), server.url):
                worker = await fleet.start(url)
                assert await worker.end(10) not in (0, None)
                assert "refused the user or password" in worker.log()
                assert "Traceback" not in worker.log()
                assert "wrong@" not in worker.log()

    @pytest.mark.slow
    async def test_rotated_later(self, guarded: "Guarded", ledger: Ledger) -> None:
        worker = guarded.worker
        async with guarded.rotated():
            began = time.monotonic()
            with pytest.raises(BrokerError, match="refused the user or password"):
                await jobs.double.send(2)
            assert time.monotonic() - began < 1.0
            await worker.logged("refused the user or password")
            await elapse(3.0, "it goes on trying, and does not end")
            assert worker.exit_code is None
        began = time.monotonic()
        handle = await jobs.double.send(3)
        assert await handle.result(10) == 6
        assert await guarded.held.result(10) == worker.pid
        measured("all works after a wrong password (s)", time.monotonic() - began)

    @pytest.mark.slow
    async def test_rotated_later_is_told_once_a_second(self, guarded: "Guarded") -> None:
        async with guarded.rotated():
            seconds = 6.0
            await elapse(seconds, "its lines in that time are counted")
            lines = len(guarded.worker.lines("WARNING"))
        measured(f"log lines in {seconds} s with a wrong password", lines)
        assert lines <= seconds + 1

    @pytest.mark.slow
    async def test_kept_outcomes_are_written_soon(self, guarded: "Guarded") -> None:
        async with guarded.rotated():
            await guarded.worker.logged("outcomes wait")
            await elapse(5.0, "whoever pauses longer after each failure pauses long by now")
        began = time.monotonic()
        handle = await jobs.double.send(3)
        assert await handle.result(15) == 6
        took = time.monotonic() - began
        measured("results come after Redis is back (s)", took)
        assert took <= SOON


@dataclass
class Guarded:
    """A server with a password, and a worker that holds a task."""

    admin: redis.Redis
    ledger: Ledger
    worker: WorkerProcess
    held: ltq.Handle[int]

    @asynccontextmanager
    async def rotated(self) -> AsyncIterator[None]:
        """The password is another; all connections are cut, and the held task ends."""
        self.admin.config_set("requirepass", "other")
        for kind in ("normal", "pubsub"):
            self.admin.client_kill_filter(_type=kind, skipme=True)
        self.ledger.open("gate")
        yield
        self.admin.config_set("requirepass", "right")


@pytest.fixture
async def guarded(
    redis_executable: str, fleet: Fleet, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Guarded]:
    with RedisServer(redis_executable, "--requirepass", "right") as server:
        url = server.url.replace("//", "//:right@")
        async with RedisBroker(url) as broker:
            monkeypatch.setattr(jobs.worker, "broker", broker)
            worker = await fleet.start(url)
            held = await jobs.hold.send("gate")
            await eventually(lambda: held.id in ledger.ids("start"), 15)
            with redis.Redis.from_url(url) as admin:
                yield Guarded(admin, ledger, worker, held)


class TestOutage:
    @pytest.mark.slow
    async def test_a_worker_whose_connections_are_reset_tries_moderately(
        self, server: RedisServer, fleet: Fleet, ledger: Ledger, broker: RedisBroker
    ) -> None:
        async with Proxy(server.port) as proxy:
            worker = await fleet.start(proxy.url, lease=3.0)
            handles = [await jobs.hold.send(gate) for gate in ("one", "two")]
            await eventually(lambda: len(ledger.events("start")) == 2, 15)
            lines, tried = len(worker.lines()), len(proxy.accepted)
            proxy.mode = "reset"
            proxy.reset_all()
            ledger.open("one")  # an outcome waits, and a lease is to be renewed
            await elapse(OUTAGE, "attempts and lines in that time are counted")
            moments = proxy.accepted[tried:]
            logged = (len(worker.lines()) - lines) / OUTAGE
            proxy.mode = "pass"
            ledger.open("two")
            for handle in handles:
                assert (await handle.wait(8)).status is Status.COMPLETED
        check_moderate("reset", moments, logged)

    @pytest.mark.slow
    async def test_a_worker_that_is_refused_tries_moderately(
        self, server: RedisServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "ltq")
        moments: list[float] = []
        broker = RedisBroker(server.url, connect=lambda: counting_client(server.port, moments))
        worker = ltq.Worker("local", broker=broker, lease=3.0, shutdown_timeout=0)
        one, two = asyncio.Event(), asyncio.Event()

        @worker.task
        async def first() -> None:
            await one.wait()

        @worker.task
        async def second() -> None:
            await two.wait()

        async with worker:
            handles = [await first.send(), await second.send()]
            for handle in handles:
                await eventually(partial(_is_working, handle))
            server.kill()
            moments.clear()
            caplog.clear()
            one.set()  # an outcome waits, and a lease is to be renewed
            await elapse(OUTAGE, "attempts and lines in that time are counted")
            tried, logged = list(moments), len(caplog.records) / OUTAGE
            server.start()
            two.set()
        check_moderate("refused", tried, logged)

    async def test_without_patience_a_worker_cannot_start_without(
        self, server: RedisServer, fleet: Fleet
    ) -> None:
        server.kill()
        worker = await fleet.start(server.url, "--wait-for-broker", "0")
        assert await worker.end(10) not in (0, None)
        assert "Traceback" not in worker.log()

    @pytest.mark.usefixtures("broker")
    async def test_a_worker_that_was_started_before_the_server_waits_for_it(
        self, server: RedisServer, fleet: Fleet
    ) -> None:
        server.kill()
        worker = await fleet.start(server.url)
        await worker.logged("waiting up to 30 s for the broker")
        server.start()
        handle = await jobs.double.send(21)
        assert await handle.result(timeout=10) == 42
        assert worker.log().count("waiting up to") == 1


OUTAGE = 6.0


def check_moderate(how: str, moments: list[float], logged: float) -> None:
    attempts = len(moments) / OUTAGE
    worst = max(sum(t <= other < t + 1 for other in moments) for t in moments)
    measured(f"connection attempts/s of a worker, {how}", (attempts, f"worst second {worst}"))
    measured(f"log lines/s of a worker, {how}", logged)
    assert attempts <= 5
    assert logged <= 1


async def _is_working(handle: ltq.Handle[None]) -> bool:
    return (await handle.state()).status is Status.WORKING


def counting_client(port: int, moments: list[float]) -> Redis:
    """What `RedisBroker` makes itself, noting each attempt to connect."""

    class Counted(Connection):
        async def _connect(self) -> None:
            moments.append(time.monotonic())
            await super()._connect()  # type: ignore[no-untyped-call]

    pool = ConnectionPool(
        connection_class=Counted,
        host="127.0.0.1",
        port=port,
        protocol=2,
        socket_timeout=None,
        socket_connect_timeout=3.0,
        retry=Retry(NoBackoff(), 0),
    )
    return Redis(connection_pool=pool)
