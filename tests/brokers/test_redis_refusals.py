"""What a server or a proxy refuses: what passes is waited for, what does not is done without."""

import asyncio
from collections.abc import Iterator, Sequence

import pytest
import redis

import ltq
from devtools.proxy import Proxy
from devtools.servers import RedisServer
from ltq import Status
from ltq.brokers._rules.constants import CALL_BYTES
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._operations.sender import Sender
from ltq.brokers.redis._server.keys import ltq_keys as keys
from ltq.brokers.redis._server.link import Link
from ltq.brokers.redis._server.refusals import refusal
from ltq.errors import BrokerError
from ltq.message import Envelope, Published
from ltq.names import new_id
from tests.cli.processes import run_ltq
from tests.conformance.factories import QUEUE, publish
from tests.eventually import eventually

pytestmark = pytest.mark.slow

PASSING = [
    b"-MOVED 4008 127.0.0.1:7001\r\n",
    b"-ASK 4008 127.0.0.1:7001\r\n",
    b"-CLUSTERDOWN The cluster is down\r\n",
    b"-READONLY You can't write against a read only replica.\r\n",
    b"-ERR Error running script: MOVED 4008 127.0.0.1:7001\r\n",
]


def test_a_server_that_wants_all_keys_declared_is_named_with_what_to_do() -> None:
    error = redis.ResponseError(
        "Error running script (call to 5c4d): @user_script:2: script tried accessing undeclared "
        "key, key: ltq:{mail}:seq"
    )
    told = str(refusal(error, "h:1"))
    assert told.startswith("Redis at h:1 refused the call: Error running script")
    assert "allow-undeclared-keys" in told


def envelope(body: bytes = b"[[],{}]") -> Envelope:
    return Envelope(id=new_id(), queue="mail:send", task_name="mail:send", body=body)


@pytest.fixture
def server(redis_executable: str) -> Iterator[RedisServer]:
    with RedisServer(redis_executable) as server:
        yield server


def user(server: RedisServer, rights: str) -> str:
    """The URL for a user with these rights, beside those to all commands and keys."""
    with redis.Redis.from_url(server.url) as admin:
        rule = f"on >password ~* +@all resetchannels {rights}"
        admin.execute_command("ACL", "SETUSER", "app", *rule.split())
    return server.url.replace("//", "//app:password@")


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The broker's warnings."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelname == "WARNING" and record.name == "ltq.broker"
    ]


class TestPassing:
    @pytest.mark.parametrize("answer", PASSING)
    async def test_an_outcome_is_kept_and_written_later(
        self, server: RedisServer, answer: bytes
    ) -> None:
        runs = 0
        async with Proxy(server.port) as proxy:
            worker = ltq.Worker("mail", broker_url=proxy.url)

            @worker.task
            async def send() -> int:
                nonlocal runs
                runs += 1
                proxy.answer = answer
                asyncio.get_running_loop().call_later(0.3, setattr, proxy, "answer", b"")
                return runs

            async with worker:
                handle = await send.send()
                assert await handle.result(timeout=15) == 1
        assert runs == 1

    async def test_a_send_is_tried_until_its_deadline(
        self, server: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answer = b"-ASK 4008 127.0.0.1:7001\r\n"
        async with Proxy(server.port) as proxy, RedisBroker(proxy.url) as broker:
            proxy.answer = answer
            asyncio.get_running_loop().call_later(0.2, setattr, proxy, "answer", b"")
            assert await broker.publish([envelope()]) == [Published.CREATED]
            proxy.answer = answer
            monkeypatch.setattr(Link.evaluate, "__kwdefaults__", {"patience": 0.3})
            with pytest.raises(
                BrokerError, match=r"slot 4008 is on its way to 127\.0\.0\.1:7001"
            ) as raised:
                await broker.publish([envelope()])
        assert not raised.value.is_refusal

    async def test_a_node_of_a_cluster_is_told_as_one_at_once(self, server: RedisServer) -> None:
        async with Proxy(server.port) as proxy, RedisBroker(proxy.url) as broker:
            proxy.answer = b"-MOVED 4008 127.0.0.1:7001\r\n"
            meant = rf"node of a Redis Cluster: use redis\+cluster://127\.0\.0\.1:{proxy.port}$"
            async with asyncio.timeout(1):
                with pytest.raises(BrokerError, match=meant) as raised:
                    await broker.publish([envelope()])
        assert (raised.value.is_refusal, raised.value.is_away) == (False, False)


class TestChannels:
    """Users who lack the right to some channels, or to the commands about them."""

    @pytest.mark.parametrize(
        ("rights", "warnings"),
        [
            ("", 1),
            ("&ltq:*", 1),
            ("&__keyspace@*", 1),
            ("&* -subscribe", 1),
            ("&* -publish", 0),
            ("-config", 1),
            ("&* -config", 1),
        ],
    )
    async def test_cancel_and_watch_work_without(
        self, server: RedisServer, rights: str, warnings: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        worker = ltq.Worker("mail", broker_url=user(server, rights), lease=0.9)

        @worker.task
        async def hold() -> None:
            await eventually(lambda: False, 30.0)

        @worker.task
        async def quick() -> int:
            return 1

        async with worker:
            assert await (await quick.send()).result(timeout=5) == 1
            handle = await hold.send()
            async for state in handle.watch():
                if state.status is Status.WORKING:
                    assert await handle.cancel()
            assert (await handle.state()).status is Status.CANCELLED
            await eventually(lambda: not sum(one.running for one in worker.health()), 5.0)
            await eventually(lambda: len(told(caplog)) >= warnings, 5.0)
        assert len(told(caplog)) == warnings, told(caplog)

    async def test_one_warning_names_the_channels(
        self, server: RedisServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        worker = ltq.Worker("mail", broker_url=user(server, ""))

        @worker.task
        async def send() -> None: ...

        async with worker:
            await eventually(lambda: "channels" in caplog.text, 5.0)
        assert "&*" in caplog.text

    async def test_required_notifications_are_refused_clearly(self, server: RedisServer) -> None:
        url = user(server, "") + "?notifications=require"
        worker = ltq.Worker("mail", broker_url=url)

        @worker.task
        async def send() -> None: ...

        handle = await send.send()
        with pytest.raises(BrokerError, match="notifications=require"):
            await handle.result(timeout=5)
        await worker.aclose()

    @pytest.mark.parametrize(
        ("rights", "missing"),
        [
            ("", ["&ltq:*", "&__keyspace@*"]),
            ("&ltq:*", ["&__keyspace@*"]),
            ("&__keyspace@*", ["&ltq:*"]),
            ("&* -subscribe", ["+subscribe"]),
        ],
    )
    async def test_the_doctor_says_which(
        self, server: RedisServer, rights: str, missing: list[str]
    ) -> None:
        done = await run_ltq("doctor", "--broker-url", user(server, rights))
        (line,) = [line for line in done.out.splitlines() if " rights:" in line]
        assert line.startswith("warning "), line
        for part in missing:
            assert part in done.out
        assert "+publish" not in done.out


class TestCommands:
    """Users who may not use a command."""

    @pytest.mark.parametrize("command", ["hset", "zadd", "lpop", "zrem", "hdel", "del", "lpush"])
    async def test_a_worker_does_not_start_where_tasks_would_be_lost_halfway(
        self, server: RedisServer, command: str
    ) -> None:
        async with RedisBroker(server.url) as broker:
            sent = envelope()
            await broker.publish([sent])
            url = user(server, f"&* -{command}")
            worker = ltq.Worker("mail", broker_url=url)
            worker.task(name="send")(_nothing)
            with pytest.raises(BrokerError, match=command):
                await worker.run(burst=True)
            await worker.aclose()
            (state,) = await broker.states("mail:send", [sent.id])
            (stats,) = await broker.stats(["mail:send"])
        assert state is not None
        assert (state.status, stats.pending) == (Status.PENDING, 1)

    @pytest.mark.parametrize("command", ["scan", "config", "info", "copy", "rename", "publish"])
    async def test_what_is_not_needed_on_the_way_of_a_task_may_be_missing(
        self, server: RedisServer, command: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        worker = ltq.Worker("mail", broker_url=user(server, f"&* -{command}"))
        send = worker.task(name="send")(_nothing)
        async with worker:
            await (await send.send()).result(timeout=5)
        assert not [one for one in caplog.records if one.levelname == "ERROR"]

    async def test_a_server_that_takes_no_writes_now_is_not_mistaken(
        self, server: RedisServer
    ) -> None:
        async with RedisBroker(server.url) as broker:
            with redis.Redis.from_url(server.url) as admin:
                admin.replicaof("127.0.0.1", 1)
                assert await broker.hazards() == []
                admin.replicaof("NO", "ONE")

    async def test_without_the_right_to_the_keys_a_send_says_so(self, server: RedisServer) -> None:
        url = user(server, "resetkeys ~app:*")
        async with RedisBroker(url) as broker:
            with pytest.raises(BrokerError, match=r"access .*\bkeys?\b"):  # as versions say it
                await broker.publish([envelope()])


async def _nothing() -> None: ...


class TestTooLarge:
    """What the server can never take: more than one argument, or than one call, may have."""

    LIMITS = ("proto-max-bulk-len", "client-query-buffer-limit")

    @pytest.fixture(params=LIMITS)
    def url(self, server: RedisServer, request: pytest.FixtureRequest) -> str:
        with redis.Redis.from_url(server.url) as admin:
            admin.config_set(request.param, 1 << 20)
        return server.url

    async def test_an_outcome_fails_and_holds_up_no_other(
        self, url: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        worker = ltq.Worker("mail", broker_url=url, max_payload=8 << 20)
        both = asyncio.Barrier(4)

        @worker.task
        async def huge(size: int) -> str:
            await both.wait()
            return "x" * size

        @worker.task
        async def small(number: int) -> int:
            await both.wait()
            return number

        async with worker:
            large = await huge.send(6 << 20)
            handles = [await small.send(number) for number in range(3)]
            assert await ltq.gather(*handles) == (0, 1, 2)
            state = await large.wait(timeout=20)
            letter = await worker.broker.dead_letter(huge.queue, large.id)
        assert (state.status, state.dequeue_count) == (Status.FAILED, 1)
        assert "cannot be written" in (state.error or "")
        assert letter.body is not None
        assert "it counts as failed" in caplog.text

    async def test_a_send_is_refused_clearly_and_alone(self, url: str) -> None:
        async with RedisBroker(url) as broker:
            sends = [broker.publish([envelope(b"x" * size)]) for size in (1, 6 << 20, 2, 3)]
            first, large, *rest = await asyncio.gather(*sends, return_exceptions=True)
        assert [first, *rest] == [[Published.CREATED]] * 3
        assert isinstance(large, BrokerError)
        assert large.is_refusal

    async def test_what_was_sent_before_a_refusal_is_not_sent_again(
        self, server: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with redis.Redis.from_url(server.url) as admin:
            admin.config_set("proto-max-bulk-len", 1 << 20)
        bodies: list[bytes] = []
        send = Sender.send

        async def counted(
            sender: Sender, envelopes: Sequence[Envelope], began: float = 0.0
        ) -> list[Published]:
            answers = await send(sender, envelopes, began)
            bodies.extend(envelope.body[:1] for envelope in envelopes)
            return answers

        monkeypatch.setattr(Sender, "send", counted)
        sizes = {b"a": 1, b"b": CALL_BYTES, b"c": 6 << 20, b"d": 1}
        async with RedisBroker(server.url) as broker:
            sends = [broker.publish([envelope(one * size)]) for one, size in sizes.items()]
            answers = await asyncio.gather(*sends, return_exceptions=True)
        assert [isinstance(answer, BrokerError) for answer in answers] == [
            False,
            False,
            True,
            False,
        ]
        assert sorted(bodies) == [b"a", b"b", b"d"]


class TestRefusedIsNotAnotherType:
    """What the server refuses for other reasons says nothing of what a key holds."""

    async def test_the_list_of_namespaces_is_kept(self, server: RedisServer) -> None:
        with redis.Redis.from_url(server.url, decode_responses=True) as admin:
            admin.sadd(keys.namespaces, "other")
            async with RedisBroker(user(server, "allchannels -sadd")) as broker:
                with pytest.raises(BrokerError, match="refused"):
                    await publish(broker)
            assert admin.smembers(keys.namespaces) == {"other"}

    async def test_so_it_is_while_the_memory_is_full(self, server: RedisServer) -> None:
        with redis.Redis.from_url(server.url, decode_responses=True) as admin:
            admin.sadd(keys.namespaces, "other")
            admin.config_set("maxmemory", "1")
            async with RedisBroker(server.url) as broker:
                with pytest.raises(BrokerError):
                    await publish(broker)
            assert admin.smembers(keys.namespaces) == {"other"}

    async def test_a_body_that_may_not_be_read_is_an_error(self, server: RedisServer) -> None:
        async with RedisBroker(server.url) as broker:
            envelope = await publish(broker)
            assert await broker.body(QUEUE, envelope.id) == envelope.body
        async with RedisBroker(user(server, "allchannels -hmget")) as broker:
            with pytest.raises(BrokerError, match="refused"):
                await broker.body(QUEUE, envelope.id)
