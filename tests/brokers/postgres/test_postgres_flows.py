"""Workflows in PostgreSQL."""

from typing import Any

import pytest

from ltq.broker import Broker
from ltq.broker.flows import HELD, Arrival
from ltq.brokers.postgres._places.step import Step
from tests.conformance.factories import QUEUE, publish

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
