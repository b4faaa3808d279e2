"""Sentinels that do not agree who the master is: what most say counts, and what one announces."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import hiredis
import pytest
import redis

from devtools.servers import RedisServer
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._server.call import pack
from tests.conformance.factories import make_envelope
from tests.eventually import eventually

pytestmark = pytest.mark.slow


@dataclass
class Voter:
    """What a sentinel says of one master, as the test wants it."""

    master: int
    """The port of the master."""
    refuses: bool = False
    """Whether nobody may listen to it."""
    listeners: list[asyncio.StreamWriter] = field(default_factory=list)
    asked_to_listen: int = 0

    def says(self, *message: str) -> None:
        """Tell all that listen to it."""
        for writer in self.listeners:
            writer.write(pack(("message", *message)))

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        commands = hiredis.Reader(encoding="utf-8")
        while data := await reader.read(65536):
            commands.feed(data)
            while (words := commands.gets()) is not False:
                self._do(words, writer)
        writer.close()

    def _do(self, words: list[str], writer: asyncio.StreamWriter) -> None:
        match words[0].upper():
            case "SENTINEL":
                writer.write(pack(("127.0.0.1", str(self.master))))
            case "SUBSCRIBE":
                self.asked_to_listen += 1
                if self.refuses:
                    writer.write(b"-NOPERM no channels for you\r\n")
                    return
                self.listeners.append(writer)
                for number, channel in enumerate(words[1:], 1):
                    head = f"*3\r\n$9\r\nsubscribe\r\n${len(channel)}\r\n{channel}\r\n"
                    writer.write(f"{head}:{number}\r\n".encode())
            case _:
                writer.write(b"+OK\r\n")


@asynccontextmanager
async def served(voters: list[Voter]) -> AsyncIterator[str]:
    """The URL of a broker that asks them."""
    async with AsyncExitStack() as stack:
        ports = []
        for voter in voters:
            server = await asyncio.start_server(voter.answer, "127.0.0.1", 0)
            stack.callback(server.close)
            ports.append(server.sockets[0].getsockname()[1])
        yield f"redis+sentinel://{','.join(f'127.0.0.1:{port}' for port in ports)}/mymaster"


@pytest.fixture(scope="module")
def old(redis_executable: str) -> Iterator[RedisServer]:
    with RedisServer(redis_executable) as server:
        yield server


@pytest.fixture(scope="module")
def new(redis_executable: str) -> Iterator[RedisServer]:
    with RedisServer(redis_executable) as server:
        yield server


async def reaches(url_of: RedisServer, broker: RedisBroker) -> bool:
    """Whether what is sent arrives at this server."""
    envelope = make_envelope()
    await broker.publish([envelope])
    with redis_of(url_of) as client:
        return bool(client.exists(f"ltq:{{mail}}:task:{envelope.id}"))


def redis_of(server: RedisServer) -> redis.Redis:
    return redis.Redis.from_url(server.url)


async def test_one_that_is_late_does_not_lead_back(old: RedisServer, new: RedisServer) -> None:
    voters = [Voter(old.port), Voter(new.port), Voter(new.port)]
    async with served(voters) as url, RedisBroker(url) as broker:
        assert await reaches(new, broker)
        with redis_of(new) as client:
            client.client_kill_filter(_type="normal", skipme=True)
        assert await reaches(new, broker)


async def test_a_promotion_is_believed_before_most_know_it(
    old: RedisServer, new: RedisServer
) -> None:
    voters = [Voter(old.port) for _ in range(3)]
    async with served(voters) as url, RedisBroker(url) as broker:
        assert await reaches(old, broker)
        await eventually(lambda: voters[0].listeners, 5.0, "the broker listens")
        address = f"127.0.0.1 {new.port}"
        told = f"slave 127.0.0.1:{new.port} {address} @ mymaster 127.0.0.1 {old.port}"
        voters[0].says("+promoted-slave", told.replace("mymaster", "other"))
        voters[0].says("+promoted-slave", told)
        await eventually(lambda: reaches(new, broker), 5.0, "sends go to the new master")
        voters[1].says("+switch-master", f"mymaster 127.0.0.1 {old.port} {address}")
        for _ in range(20):
            assert await reaches(new, broker)


async def test_who_may_not_listen_does_not_ask_again(old: RedisServer) -> None:
    voter = Voter(old.port, refuses=True)
    async with served([voter]) as url, RedisBroker(url) as broker:
        for _ in range(3):
            assert await reaches(old, broker)
            with redis_of(old) as client:
                client.client_kill_filter(_type="normal", skipme=True)
            await eventually(lambda: voter.asked_to_listen, 5.0, "the broker wants to listen")
    assert voter.asked_to_listen == 1
