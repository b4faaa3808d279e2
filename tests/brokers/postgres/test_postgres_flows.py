"""Workflows in PostgreSQL."""

import re
from typing import Any

import psycopg
import pytest

from ltq.broker import Broker
from ltq.broker.flows import HELD, Arrival
from ltq.brokers.postgres._places.step import Step
from ltq.brokers.postgres._server.link import Link
from tests.conformance.factories import QUEUE, publish

MANY = 3000
CTX = b'{"ltq.flow":{"queue":"mail:send","end":"x"}}'


async def test_a_tree_is_cancelled_in_a_few_statements(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []
    write = Step.write

    def counted(self: Step, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        statements.append(statement)
        return write(self, statement, *values)

    async with Broker.from_url(postgres_url) as broker:
        held = {"eta": HELD, "ctx": CTX, "body": b"recipe"}
        ids = [(await publish(broker, **held)).id for _ in range(30)]
        await broker.arrive(QUEUE, [Arrival(one, 0, 2, b"1") for one in ids])
        monkeypatch.setattr(Step, "write", counted)
        assert await broker.cancel_each(QUEUE, ids, 60.0) == 30
        assert len(statements) < 20
        assert len(await broker.endings(QUEUE)) == 30
        for one in ids:
            task = await broker.held(QUEUE, one, [0])
            assert task is not None
            assert task.slots == {0: b"=1"}
        assert await broker.restart(QUEUE, ids, held=True) == 30
        assert len(await broker.endings(QUEUE)) == 30
        await broker.carried(QUEUE, [one.key for one in await broker.endings(QUEUE)])
        assert await broker.endings(QUEUE) == []


async def test_slots_are_read_without_a_look_at_all_others(
    postgres_url: str, postgres_admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A map of many elements waits with many slots, of which each call reads a few."""
    asked: list[tuple[str, tuple[Any, ...]]] = []
    write, query = Step.write, Link.query

    def noted(self: Step, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        asked.append((self.schema.sql(statement), values))
        return write(self, statement, *values)

    async def noted_query(self: Link, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        asked.append((self.settings.schema.sql(statement), values))
        return await query(self, statement, *values)

    async with Broker.from_url(postgres_url) as broker:
        task = await publish(broker, eta=HELD, ctx=CTX, body=b"recipe")
        some = [Arrival(task.id, slot, MANY + 1, b"1") for slot in range(MANY)]
        await broker.arrive(QUEUE, some)
        monkeypatch.setattr(Step, "write", noted)
        monkeypatch.setattr(Link, "query", noted_query)
        held = await broker.held(QUEUE, task.id, range(100))
        assert held is not None
        assert len(held.slots) == 100
        await broker.arrive(QUEUE, some[:100])
    postgres_admin.execute(f"ANALYZE {postgres_url.rpartition('=')[2]}.kept".encode())
    reads = [(text, values) for text, values in asked if [*map(str, range(100))] in values]
    assert len(reads) == 2
    for text, values in reads:
        rows = postgres_admin.execute(f"EXPLAIN (ANALYZE, TIMING OFF) {text}".encode(), values)
        plan = "\n".join(line for (line,) in rows.fetchall())
        assert re.findall(r"Removed by \w+: \d{2,}", plan) == [], plan
