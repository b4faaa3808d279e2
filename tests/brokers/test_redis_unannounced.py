"""Notifications that stop although the connection holds: found out soon, and said once."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
import redis

import ltq
from devtools.proxy import Proxy
from devtools.servers import RedisServer
from ltq.brokers.redis import RedisBroker, _watch_hub
from ltq.brokers.redis._server.notifications import are_on
from ltq.errors import BrokerError
from ltq.message import Envelope, Finish, Lease
from ltq.names import new_id
from tests.eventually import eventually

pytestmark = pytest.mark.slow

QUEUE = "mail:send"
OPTION = "notify-keyspace-events"

SOON = 6.5
"""Seconds in which even the result comes that shows that notifications have stopped."""

AT_ONCE = 1.3
"""Seconds in which later results come: a poll sees them within a second."""


@pytest.fixture
def server(redis_executable: str) -> Iterator[RedisServer]:
    with RedisServer(redis_executable) as server:
        yield server


@pytest.fixture
def admin(server: RedisServer) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        yield client


@pytest.fixture(autouse=True)
def warnings(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What was warned of."""
    caplog.set_level(logging.WARNING, "ltq.broker")
    return lambda: [one.getMessage() for one in caplog.records if one.name == "ltq.broker"]


class Watched:
    """A broker that waits for tasks, which another one ends."""

    def __init__(self, watcher: RedisBroker, other: RedisBroker) -> None:
        self.watcher = watcher
        self._other = other

    async def late(self) -> float:
        """Seconds by which the end of a task is seen late."""
        envelope = Envelope(id=new_id(), queue=QUEUE, task_name=QUEUE, body=b"")
        await self._other.publish([envelope])
        async with self._other.consumer([QUEUE]) as consumer:
            (delivery,) = (await consumer.claim(1)).deliveries
            waiting = asyncio.create_task(self.watcher.wait(QUEUE, envelope.id, timeout=20))
            await eventually(self.has_begun)
            return await self._end(delivery.lease, waiting)

    async def _end(self, lease: Lease, waiting: "asyncio.Task[ltq.TaskState[bytes]]") -> float:
        await self._other.finish([Finish(lease, ltq.Status.COMPLETED)])
        began = time.monotonic()
        await waiting
        return time.monotonic() - began

    def has_begun(self) -> bool:
        """Whether the watcher waits, and has seen the task."""
        feeds = self.watcher._here().hubs.of("mail")._follower._all_feeds()
        return bool(feeds) and all(feed.started for feed in feeds)


@asynccontextmanager
async def watched(url: str, other: str) -> AsyncIterator[Watched]:
    async with RedisBroker(url) as watcher, RedisBroker(other) as ending:
        ending._here().links.any.tells_in = ""  # only notifications tell of the end
        both = Watched(watcher, ending)
        await both.late()  # connects
        assert await both.late() < 0.5
        yield both


@pytest.mark.parametrize("flags", ["", "Ex", "KEl", "Kh"])
async def test_flags_that_somebody_changed_are_switched_on_again(
    server: RedisServer,
    admin: "redis.Redis",
    warnings: Callable[[], list[str]],
    flags: str,
) -> None:
    async with watched(server.url, server.url) as both:
        admin.config_set(OPTION, flags)
        kept = flags_of(admin)
        assert await both.late() < SOON
        await eventually(lambda: {*"Kghx", *kept} <= {*flags_of(admin)})
        assert await both.late() < 0.5
        assert len(warnings()) == 1
        assert repr(kept) in warnings()[0]
        admin.config_set(OPTION, flags)
        assert await both.late() < SOON
        await eventually(lambda: {*"Kghx"} <= {*flags_of(admin)})
        assert len(warnings()) == 1


async def test_where_config_is_refused_meanwhile_it_polls(
    server: RedisServer, admin: "redis.Redis", warnings: Callable[[], list[str]]
) -> None:
    admin.execute_command("ACL", "SETUSER", "web", "on", ">secret", "~*", "&*", "+@all")
    url = server.url.replace("redis://", "redis://web:secret@")
    async with watched(url, server.url) as both:
        admin.execute_command("ACL", "SETUSER", "web", "-config")
        admin.config_set(OPTION, "Ex")
        assert await both.late() < SOON
        await eventually(lambda: len(warnings()) == 1)
        assert "watching polls" in warnings()[0]
        assert [await both.late() < AT_ONCE for _ in range(3)] == [True] * 3
        assert len(warnings()) == 1


async def test_a_proxy_that_swallows_messages_is_polled_through(
    server: RedisServer, warnings: Callable[[], list[str]]
) -> None:
    async with Proxy(server.port) as proxy, watched(proxy.url, server.url) as both:
        proxy.is_mute = True
        assert await both.late() < SOON
        await eventually(lambda: len(warnings()) == 1)
        assert "holds them back" in warnings()[0]
        assert [await both.late() < AT_ONCE for _ in range(3)] == [True] * 3
        assert len(warnings()) == 1


async def test_it_asks_again_for_notifications_while_it_polls(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_watch_hub, "RECHECK", 0.2)
    async with Proxy(server.port) as proxy, watched(proxy.url, server.url) as both:
        proxy.is_mute = True
        assert await both.late() < SOON
        follower = both.watcher._here().hubs.of("mail")._follower
        await eventually(lambda: not follower._is_notified)
        proxy.is_mute = False
        await eventually(lambda: follower._is_notified)


async def test_those_that_are_required_and_stop_are_an_error(
    server: RedisServer, admin: "redis.Redis"
) -> None:
    admin.config_set(OPTION, "Kghx")
    async with watched(f"{server.url}?notifications=require", server.url) as both:
        admin.config_set(OPTION, "Ex")
        await both.late()
        await eventually(
            lambda: both.watcher._here().hubs.of("mail")._follower._refusal is not None
        )
        with pytest.raises(BrokerError, match="notifications=require"):
            await both.watcher.wait(QUEUE, new_id())


@pytest.mark.parametrize("rule", [("resetchannels",), ("-subscribe",)])
async def test_channels_that_are_revoked_are_polled(
    server: RedisServer, admin: "redis.Redis", rule: tuple[str, ...]
) -> None:
    admin.execute_command("ACL", "SETUSER", "web", "on", ">secret", "~*", "&*", "+@all")
    url = server.url.replace("redis://", "redis://web:secret@")
    async with watched(url, server.url) as both:
        admin.execute_command("ACL", "SETUSER", "web", *rule)
        assert await both.late() < SOON
        assert [await both.late() < AT_ONCE for _ in range(3)] == [True] * 3


async def test_connections_that_are_killed_again_and_again_delay_nothing(
    server: RedisServer, admin: "redis.Redis", warnings: Callable[[], list[str]]
) -> None:
    async with watched(server.url, server.url) as both:
        for _ in range(5):
            admin.client_kill_filter(_type="pubsub")
            assert await both.late() < AT_ONCE
        assert warnings() == []


async def test_a_change_that_nobody_waits_for_is_not_missed(server: RedisServer) -> None:
    """Who waits for the end is not told of a start, and a re-read finds it all the same."""
    async with watched(server.url, server.url) as both:
        hub = both.watcher._here().hubs.of("mail")
        envelope = Envelope(id=new_id(), queue=QUEUE, task_name=QUEUE, body=b"")
        await both.watcher.publish([envelope])
        waiting = asyncio.create_task(both.watcher.wait(QUEUE, envelope.id, timeout=20))
        await eventually(both.has_begun)
        async with both.watcher.consumer([QUEUE]) as consumer:
            (delivery,) = (await consumer.claim(1)).deliveries
            (feed,) = hub._follower._all_feeds()
            await eventually(lambda: feed._last and feed._last.status is ltq.Status.WORKING)
            assert not hub._doubt.is_set()
            await both.watcher.release(delivery.lease)
        await waiting


async def test_flags_that_somebody_changes_while_they_are_tried(
    server: RedisServer, admin: "redis.Redis"
) -> None:
    tried: list[str] = []
    told: list[str] = []

    async def probe() -> bool:
        if not tried:
            admin.config_set(OPTION, "")
        tried.append(flags_of(admin))
        return {*"Kghx"} <= {*tried[-1]}

    async with RedisBroker(server.url) as broker:
        await broker.stats(["mail:send"])
        link = broker._here().links.of("mail")
        assert await are_on(link, "auto", probe)
        assert await are_on(link, "auto", probe, is_doubted=True, on_changed=told.append)
    assert len(tried) == 2
    assert told == [""]


def flags_of(admin: "redis.Redis") -> str:
    return str(admin.config_get(OPTION)[OPTION])
