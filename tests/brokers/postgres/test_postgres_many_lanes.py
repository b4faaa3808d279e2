"""A claim from many lanes looks at few of them."""

from collections.abc import AsyncIterator

import psycopg
import pytest

from ltq.brokers._rules.constants import LANES_AT_ONCE
from ltq.brokers.postgres import PostgresBroker
from ltq.message import Envelope
from ltq.names import new_id
from ltq.options import Priority

pytestmark = pytest.mark.slow

MANY = 300
QUEUES = [f"shop:q{number}" for number in range(MANY)]


@pytest.fixture
async def broker(postgres_url: str) -> AsyncIterator[PostgresBroker]:
    async with PostgresBroker(postgres_url) as broker:
        yield broker


async def fill(broker: PostgresBroker, queues: list[str], each: int) -> None:
    await broker.publish([task(queue) for queue in queues for _ in range(each)])


def task(queue: str, priority: Priority = Priority.NORMAL) -> Envelope:
    return Envelope(id=new_id(), queue=queue, task_name=queue, body=b"", priority=priority)


class Looks:
    """How often claims look for tasks, on a connection of its own."""

    def __init__(self, url: str, connection: psycopg.Connection) -> None:
        self._schema = url.partition("schema=")[2]
        self._connection = connection

    def of_claim(self, queues: list[str], most: int, given: int) -> int:
        """Looks at the index of tasks in a claim that gives so many; it is undone."""
        arguments = (
            "ARRAY['shop'], %s::text[], NULL, 'w', 60, %s, '{}', '{}', '{}', '{}', true, false"
        )
        statement = f"SELECT count(id) FROM {self._schema}.claim({arguments})"
        with self._connection.transaction(force_rollback=True):
            before = self._looks()
            row = self._connection.execute(statement.encode(), (queues, most)).fetchone()
            assert row == (given,)
            return self._looks() - before

    def _looks(self) -> int:
        table = f"'{self._schema}.tasks'::regclass"
        query = f"SELECT sum(idx_scan) FROM pg_stat_xact_user_tables WHERE relid = {table}"
        row = self._connection.execute(query.encode()).fetchone()
        return 0 if row is None or row[0] is None else int(row[0])


@pytest.fixture
def looks(postgres_url: str, postgres_admin: psycopg.Connection) -> Looks:
    return Looks(postgres_url, postgres_admin)


async def test_it_looks_as_often_beside_many_lanes_as_beside_few(
    broker: PostgresBroker, looks: Looks
) -> None:
    await fill(broker, QUEUES, 10)
    few = looks.of_claim(QUEUES[: LANES_AT_ONCE + 2], 40, 40)
    assert looks.of_claim(QUEUES, 40, 40) < 1.2 * few


async def test_where_most_lanes_are_empty_it_looks_once_at_each(
    broker: PostgresBroker, looks: Looks
) -> None:
    await fill(broker, QUEUES, 1)
    async with broker.consumer(QUEUES) as consumer:
        assert len((await consumer.claim(2 * MANY)).deliveries) == MANY
    await fill(broker, QUEUES[-1:], 20)
    assert looks.of_claim(QUEUES, 10, 10) < 3 * MANY


async def test_each_of_them_has_its_turn(broker: PostgresBroker) -> None:
    await fill(broker, QUEUES, 10)
    served: set[str] = set()
    async with broker.consumer(QUEUES) as consumer:
        for _ in range(150):
            claim = await consumer.claim(LANES_AT_ONCE)
            served |= {one.lease.queue for one in claim.deliveries}
    assert len(served) == MANY


async def test_a_task_of_another_priority_is_found_in_any_of_them(
    broker: PostgresBroker,
) -> None:
    await fill(broker, QUEUES, 10)
    high, low = task(QUEUES[-1], Priority.HIGH), task(QUEUES[0], Priority.LOW)
    await broker.publish([low, high])
    async with broker.consumer(QUEUES) as consumer:
        first, second, *_ = (await consumer.claim(10)).deliveries
        assert (first.lease.id, second.lease.id == low.id) == (high.id, False)
        given = [high.id]
        while claimed := (await consumer.claim(1000)).deliveries:
            given += [one.lease.id for one in claimed]
    assert given[-1] == low.id
