"""Connections that make calls: replies nobody asked for, and a redis-py with other names."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from redis.asyncio.connection import AbstractConnection

from ltq.brokers.redis._connect.addresses import Address
from ltq.brokers.redis._connect.connections import take_over
from ltq.brokers.redis._connect.dialer import Dialer
from ltq.brokers.redis._server import link as link_module
from ltq.brokers.redis._server.link import Link
from ltq.brokers.redis._server.url import new_client
from ltq.brokers.redis._server.wire import StreamWire, TransportWire, wire_of
from ltq.errors import BrokerError
from tests.eventually import eventually

GREETING = b"+OK\r\n"


@asynccontextmanager
async def server_that_says(*answers: bytes) -> AsyncIterator[str]:
    """A server that gives these answers to calls that begin with GET, on any connection."""
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(ConnectionError):
            while line := await reader.readline():
                words = []
                for _ in range(int(line[1:])):
                    size = int((await reader.readline())[1:])
                    words.append((await reader.readexactly(size + 2))[:-2])
                writer.write(left.pop(0) if words[0] == b"GET" else GREETING)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def linked(url: str) -> AsyncIterator[Link]:
    link = Link(lambda: new_client(url), "a server", 0.0)
    try:
        yield link
    finally:
        await link.aclose()


class TestWhatWasNotAskedFor:
    async def test_a_second_reply_is_not_that_of_the_next_call(self) -> None:
        async with (
            server_that_says(b"$1\r\na\r\n$5\r\nstray\r\n", b"$1\r\nb\r\n") as url,
            linked(url) as link,
        ):
            assert await link.call("GET", "1") == b"a"
            assert await link.call("GET", "2") == b"b"

    async def test_nor_is_the_beginning_of_one(self) -> None:
        async with (
            server_that_says(b"$1\r\na\r\n$5\r\nst", b"$1\r\nb\r\n") as url,
            linked(url) as link,
        ):
            assert await link.call("GET", "1") == b"a"
            assert await link.call("GET", "2") == b"b"


async def test_one_that_is_closed_is_not_kept_until_it_would_have_retired(redis_url: str) -> None:
    connection = new_client(redis_url).connection_pool.make_connection()
    await connection.connect()
    wire = wire_of(connection)
    wire.retire_after(3600)
    kept = weakref.ref(wire)
    await wire.aclose()
    del wire

    def is_gone() -> bool:
        gc.collect()
        return kept() is None

    await eventually(is_gone)


class TestClosedAtOnce:
    """The server ends a connection after the last word of its greeting.

    asyncio tells of that once only: to whoever has the stream at that moment.
    """

    @pytest.fixture
    def ending(self, monkeypatch: pytest.MonkeyPatch, redis_url: str) -> list[str]:
        """The first connection has ended before it is used; by whom, and how, is noted."""
        ended: list[str] = []
        connect = Dialer.connect

        async def connect_and_end(dialer: Dialer, connection: Any) -> None:
            await connect(dialer, connection)
            if not ended:
                ended.append("by the server")
                reader = connection._reader
                with redis.Redis.from_url(redis_url) as raw:
                    raw.client_kill_filter(_type="normal", skipme=True)
                await eventually(reader.at_eof)

        monkeypatch.setattr(Dialer, "connect", connect_and_end)
        return ended

    async def test_a_call_goes_over_another_one(self, ending: list[str], redis_url: str) -> None:
        async with linked(redis_url) as link, asyncio.timeout(3):
            assert await link.call("PING") == b"PONG"
        assert ending

    async def test_a_blocking_pop_does_not_wait_for_it(
        self, ending: list[str], redis_url: str
    ) -> None:
        async with linked(redis_url) as link, asyncio.timeout(3):
            with pytest.raises(BrokerError, match="closed"):
                await link.block("BZPOPMIN", "ltq:nothing", 8.4, patience=10)
        assert ending


class Renamed:
    """A connection of redis-py whose private parts have other names."""

    HIDDEN = ("_writer",)

    def __init__(self, connection: Any) -> None:
        self._of = connection

    def __getattr__(self, name: str) -> Any:
        if name in self.HIDDEN:
            raise AttributeError(name)
        return getattr(self._of, name)


class RenamedParser(Renamed):
    HIDDEN = ("_parser",)


class TestOtherNames:
    async def test_the_names_of_this_release_are_known(self, redis_url: str) -> None:
        connection = new_client(redis_url).connection_pool.make_connection()
        await connection.connect()
        wire = wire_of(connection)
        assert isinstance(wire, TransportWire)
        assert not connection.is_connected  # redis-py has nothing to touch
        await wire.aclose()

    @pytest.mark.parametrize("kind", [Renamed, RenamedParser])
    async def test_redis_py_reads_and_writes_if_they_are_not(
        self, kind: type[Renamed], redis_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wires = []

        def hidden(connection: Any) -> Any:
            assert take_over(kind(connection)) is None  # type: ignore[arg-type]  # it acts as one
            wires.append(StreamWire(connection))
            return wires[-1]

        monkeypatch.setattr(link_module, "wire_of", hidden)
        async with linked(redis_url) as link:
            assert await link.call("SET", "ltq:wire", "1") == b"OK"
            assert await link.call("GET", "ltq:wire") == b"1"
        assert not wires[0].is_open


class Elsewhere:
    """Looks for a server that is always at the same place, and notes what was said of it."""

    within: float | None = None

    def __init__(self, address: Address) -> None:
        self._address = address
        self.stale: list[Address] = []

    async def address(self) -> Address:
        return self._address

    def mark_stale(self, address: Address, error: Exception | None) -> None:
        self.stale.append(address)

    async def check(self, connection: AbstractConnection) -> None:
        """It is the server."""

    async def aclose(self) -> None:
        """Nothing is open."""

    def abandon(self) -> None:
        """Nothing is open."""


async def test_a_blocking_pop_that_is_late_lets_the_server_be_looked_for(redis_url: str) -> None:
    parts = urlsplit(redis_url)
    address = Address(parts.hostname or "", parts.port or 0)
    whereabouts = Elsewhere(address)
    link = Link(lambda: new_client(redis_url), "a server", 0.0, whereabouts=whereabouts)
    with pytest.raises(BrokerError, match=r"did not reply within 0\.2 s"):
        await link.block("BZPOPMIN", "nothing", 5, patience=0.2)
    assert whereabouts.stale == [address]
    await link.aclose()
