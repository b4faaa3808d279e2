"""The connection that listens: it stays while results are waited for one after another."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from ltq.brokers.postgres import PostgresBroker
from ltq.brokers.postgres._server import ears
from ltq.testing.conformance._support.eventually import PATIENCE, SOON, eventually
from tests.conformance.factories import QUEUE, publish
from tests.elapse import elapse

pytestmark = pytest.mark.slow


@pytest.fixture
async def broker(postgres_url: str) -> AsyncIterator[PostgresBroker]:
    async with PostgresBroker(postgres_url) as broker:
        yield broker


class Server:
    def __init__(self, admin: "psycopg.Connection[Any]", schema: str) -> None:
        self._admin = admin
        self._awaited = f"{schema}.awaited"
        self._query = f"""
            SELECT pid FROM pg_stat_activity WHERE query = 'LISTEN "ltq:{schema}"'"""

    def awaited(self) -> list[str]:
        """What it knows that somebody waits for."""
        query = f"SELECT topic FROM {self._awaited}"
        return [topic for (topic,) in self._admin.execute(query.encode())]

    def end_listening(self) -> None:
        """End the connections that listen."""
        for pid in self.listening():
            self._admin.execute("SELECT pg_terminate_backend(%s)", [pid])

    def crash(self) -> None:
        """Forget what a crash forgets."""
        self._admin.execute(f"TRUNCATE {self._awaited}".encode())

    def listening(self) -> list[int]:
        """Its processes that serve a connection which listens."""
        return [pid for (pid,) in self._admin.execute(self._query.encode())]


@pytest.fixture
def server(postgres_url: str, postgres_admin: "psycopg.Connection[Any]") -> Server:
    return Server(postgres_admin, postgres_url.rpartition("=")[2])


async def cancel_one(broker: PostgresBroker) -> None:
    """Send a task, and follow it until it is cancelled."""
    task_id = (await publish(broker)).id
    waiting = asyncio.create_task(broker.wait(QUEUE, task_id))
    await eventually(lambda: broker._here().ears.is_hearing)
    await broker.cancel(QUEUE, task_id, 60.0)
    await asyncio.wait_for(waiting, PATIENCE)


async def test_a_cancel_right_after_the_first_claim_is_heard_of(
    broker: PostgresBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = broker._here().link.connections
    connect = connections.open

    async def slow(deadline: float) -> Any:
        await elapse(0.3, "the connection that listens is made")
        return await connect(deadline)

    task_id = (await publish(broker)).id
    heard: asyncio.Queue[str] = asyncio.Queue()
    monkeypatch.setattr(connections, "open", slow)
    async with broker.consumer([QUEUE], revoked=heard.put_nowait) as consumer:
        await consumer.claim(1)
        await broker.cancel(QUEUE, task_id, 60.0)
        assert await asyncio.wait_for(heard.get(), SOON) == task_id


async def test_what_was_said_while_a_server_crashed_is_said_again(
    broker: PostgresBroker, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections of a server that crashes do not all end at once: one may still say something."""
    may_connect, ears_ = asyncio.Event(), broker._here().ears
    await cancel_one(broker)
    connections = broker._here().link.connections
    connect = connections.open

    async def later(deadline: float) -> Any:
        await may_connect.wait()
        return await connect(deadline)

    await broker.queues()  # there is a connection for what is said
    monkeypatch.setattr(connections, "open", later)
    server.end_listening()
    await eventually(lambda: not ears_.is_hearing)
    await ears_.attend(["lane shop"])
    server.crash()
    may_connect.set()
    await eventually(lambda: "lane shop" in server.awaited(), SOON)


async def test_it_stays_from_one_result_to_the_next(broker: PostgresBroker, server: Server) -> None:
    await cancel_one(broker)
    (first,) = server.listening()
    for _ in range(3):
        await cancel_one(broker)
        assert server.listening() == [first]


async def test_it_goes_when_nobody_waits_any_more(
    broker: PostgresBroker, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ears, "_LINGER", 0.05)
    for _ in range(2):
        await cancel_one(broker)
        await eventually(lambda: not server.listening())


async def test_who_waits_again_while_it_goes_is_heard(
    broker: PostgresBroker, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ears, "_LINGER", 0.0)
    for _ in range(10):
        await cancel_one(broker)


async def test_the_server_is_told_again_who_waits_when_it_has_forgotten(
    broker: PostgresBroker, server: Server, postgres_admin: "psycopg.Connection[Any]"
) -> None:
    """A crash cuts the connection that listens, and empties the table that says who waits."""
    schema = broker._here().link.settings.schema.quoted

    def awaited() -> list[str]:
        rows = postgres_admin.execute(f"SELECT topic FROM {schema}.awaited".encode())
        return [topic for (topic,) in rows]

    task_id = (await publish(broker)).id
    waiting = asyncio.create_task(broker.wait(QUEUE, task_id))
    await eventually(lambda: broker._here().ears.is_hearing and awaited())
    (first,) = server.listening()
    postgres_admin.execute(f"TRUNCATE {schema}.awaited".encode())
    postgres_admin.execute("SELECT pg_terminate_backend(%s)", [first])
    await eventually(awaited, ears._SAID_EVERY / 2)
    await broker.cancel(QUEUE, task_id, 60.0)
    await asyncio.wait_for(waiting, PATIENCE)
