"""Credentials that code says: asked at each connect, and replaced before they are over."""

import asyncio
import time
from collections.abc import Iterator

import pytest
import redis

from devtools.redis_sets.cluster import ClusterSet
from devtools.redis_sets.node import Access
from devtools.servers import RedisServer
from ltq import ConfigurationError
from ltq.brokers.redis import RedisBroker
from ltq.errors import BrokerError
from tests.conformance.factories import make_envelope
from tests.elapse import elapse
from tests.eventually import eventually


@pytest.fixture
def locked(redis_executable: str) -> Iterator[RedisServer]:
    """A server with a password."""
    with RedisServer(redis_executable, "--requirepass", "first") as server:
        yield server


def admin(server: RedisServer, password: str) -> redis.Redis:
    return redis.Redis.from_url(server.url, password=password)


async def test_a_plain_function_says_them(locked: RedisServer) -> None:
    async with RedisBroker(locked.url, credentials=lambda: (None, "first")) as broker:
        await broker.ping()


async def test_a_coroutine_function_says_them_with_a_user(locked: RedisServer) -> None:
    async def say() -> tuple[str | None, str]:
        return "default", "first"

    async with RedisBroker(locked.url, credentials=say) as broker:
        await broker.ping()


async def test_they_are_asked_for_at_each_connect(locked: RedisServer) -> None:
    said = ["first"]
    async with RedisBroker(locked.url, credentials=lambda: (None, said[-1])) as broker:
        await broker.ping()
        with admin(locked, "first") as client:
            client.config_set("requirepass", "second")
            said.append("second")
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await broker.publish([make_envelope()])


@pytest.mark.slow
async def test_nodes_of_a_cluster_do_not_wait_for_them(redis_executable: str) -> None:
    """They get their time, and the node that is asked has its own."""

    async def say() -> tuple[str | None, str]:
        await elapse(1.1, "a service makes a token")
        return None, "first"

    access = Access(password="first")
    with ClusterSet(redis_executable, masters=1, replicas=0, access=access) as cluster:
        url = cluster.url.replace(":first@", "")
        async with RedisBroker(url, credentials=say) as broker:
            await broker.publish([make_envelope()])


async def test_a_wrong_one_is_told_at_once(locked: RedisServer) -> None:
    async with RedisBroker(locked.url, credentials=lambda: ("ann", "wrong")) as broker:
        began = time.monotonic()
        with pytest.raises(BrokerError, match="refused the user or password") as refused:
            await broker.ping()
        assert time.monotonic() - began < 2
        assert "wrong" not in str(refused.value).replace("wrong number", "")


async def test_an_error_of_theirs_is_an_outage(locked: RedisServer) -> None:
    """It is asked again: the service that issues tokens may be away for a moment."""
    calls: list[int] = []

    def say() -> tuple[str | None, str]:
        calls.append(1)
        if len(calls) < 3:
            raise RuntimeError("no token today")
        return None, "first"

    async with RedisBroker(locked.url, credentials=say) as broker:
        await broker.ping()
    assert len(calls) >= 3


@pytest.mark.slow
async def test_one_that_lasts_is_one_clear_error(locked: RedisServer) -> None:
    """Without the text of theirs, which may hold a token: that is only in the cause."""

    def say() -> tuple[str | None, str]:
        raise RuntimeError("no token for secret-key")

    async with RedisBroker(locked.url, credentials=say) as broker:
        with pytest.raises(
            BrokerError, match=r"could not get the credentials: RuntimeError$"
        ) as told:
            await broker.ping()
    assert told.value.__cause__ is not None
    assert isinstance(told.value.__cause__.__cause__, RuntimeError)


async def never() -> tuple[str | None, str]:
    await asyncio.Event().wait()
    return None, "first"


@pytest.mark.slow
async def test_a_coroutine_that_hangs_is_named_and_not_the_server(
    redis_executable: str, locked: RedisServer
) -> None:
    access = Access(password="first")
    with ClusterSet(redis_executable, masters=1, replicas=0, access=access) as cluster:
        for url in (locked.url, cluster.url.replace(":first@", "")):
            async with RedisBroker(url, credentials=never) as broker:
                with pytest.raises(BrokerError, match="could not get the credentials: no answer"):
                    await broker.ping()


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "first",
        ("a", "b", -1),
        ("a",),
        (1, "b"),
        ("a", b"b"),
        ("a", "\ud800"),
        ("\udfff", "b", 9),
    ],
)
async def test_something_else_is_refused_without_its_value(
    locked: RedisServer, answer: object
) -> None:
    say: object = lambda: answer  # noqa: E731  it has no type that is right
    async with RedisBroker(locked.url, credentials=say) as broker:  # type: ignore[arg-type]  # wrong
        with pytest.raises(BrokerError, match=r"that is not \(user or None, password\)") as refused:
            await broker.ping()
    assert "first" not in str(refused.value)


async def test_connections_are_replaced_before_they_are_over(locked: RedisServer) -> None:
    """Those for calls, and the one on which tasks are watched."""
    asked: list[float] = []

    def say() -> tuple[str | None, str, float]:
        asked.append(time.monotonic())
        return None, "first", 0.5

    async with RedisBroker(locked.url, credentials=say) as broker:
        envelope = make_envelope()
        await broker.publish([envelope])
        feed = broker.feed(envelope.queue, envelope.id)
        with admin(locked, "first") as client:
            await eventually(
                lambda: client.pubsub_channels("__keyspace*"), description="it is watched"
            )
            known = {one["id"] for one in client.client_list(_type="pubsub")}
            await elapse(0.6, "the credentials are over")
            await broker.publish([make_envelope()])
            await eventually(
                lambda: {one["id"] for one in client.client_list(_type="pubsub")} - known,
                description="another connection is subscribed",
            )
        feed.close()
    assert len(asked) >= 4


def test_beside_a_password_they_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="use one of them") as refused:
        RedisBroker("redis://ann:secret@localhost", credentials=lambda: (None, "x"))
    assert "secret" not in str(refused.value)


def test_what_cannot_be_called_is_refused() -> None:
    wrong: object = ("ann", "secret")
    with pytest.raises(
        ConfigurationError, match=r"credentials=.*tuple.* is not allowed"
    ) as refused:
        RedisBroker("redis://localhost", credentials=wrong)  # type: ignore[arg-type]  # it is wrong
    assert "secret" not in str(refused.value)
