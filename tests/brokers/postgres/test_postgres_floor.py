"""Claims start at a floor, below which nothing waits. Nothing is ever skipped for it."""

from collections.abc import AsyncIterator, Sequence

import psycopg
import pytest
from msgspec import structs

from ltq.broker import Consumer
from ltq.brokers.postgres import PostgresBroker
from ltq.message import Envelope, Finish, Requeue
from ltq.names import new_id
from ltq.options import Priority
from ltq.state import Status

pytestmark = pytest.mark.slow

MANY = 1200
"""More than the distance from which a floor is raised."""


@pytest.fixture
async def broker(postgres_url: str) -> AsyncIterator[PostgresBroker]:
    async with PostgresBroker(postgres_url) as broker:
        yield broker


@pytest.fixture
async def consumer(broker: PostgresBroker) -> AsyncIterator[Consumer]:
    async with broker.consumer(["shop"]) as consumer:
        yield consumer


class Floor:
    """The floor of tasks with normal priority."""

    def __init__(self, url: str, connection: psycopg.Connection) -> None:
        self._schema = url.partition("schema=")[2]
        self._connection = connection

    def now(self) -> int:
        query = f"SELECT floors[2] FROM {self._schema}.lanes WHERE name = 'shop'"
        row = self._connection.execute(query.encode()).fetchone()
        assert row is not None
        return int(row[0])

    def moments(self) -> tuple[float, float]:
        """From which on leases and delayed tasks are looked for."""
        query = f"SELECT leases, delayed FROM {self._schema}.moments"
        row = self._connection.execute(query.encode()).fetchone()
        assert row is not None
        return float(row[0]), float(row[1])

    def may_rise(self) -> None:
        """Let the next claim raise both, without a pause after the last time."""
        self._connection.execute(f"UPDATE {self._schema}.lanes SET floors_at = 0".encode())
        self._connection.execute(f"UPDATE {self._schema}.moments SET mark = mark - 1".encode())

    def raise_late(self) -> None:
        """What a slow claim does at its end that began before the last quicker one."""
        raising = "raise_moments('shop', mark - 0.001, true)"
        self._connection.execute(
            f"SELECT {self._schema}.{raising} FROM {self._schema}.moments".encode()
        )

    def put_clock_back(self) -> None:
        """As if all that is remembered were of an hour later."""
        later = "SET leases = leases + 3600, delayed = delayed + 3600, mark = mark + 3600"
        self._connection.execute(f"UPDATE {self._schema}.moments {later}".encode())


@pytest.fixture
def floor(postgres_url: str, postgres_admin: psycopg.Connection) -> Floor:
    return Floor(postgres_url, postgres_admin)


def tasks(count: int, priority: Priority = Priority.NORMAL) -> list[Envelope]:
    return [
        Envelope(id=new_id(), queue="shop", task_name="shop:buy", body=b"", priority=priority)
        for _ in range(count)
    ]


async def run(broker: PostgresBroker, consumer: Consumer, floor: Floor) -> list[str]:
    """Run all that waits, and let the floor rise as often as it can."""
    done: list[str] = []
    while deliveries := (await consumer.claim(500)).deliveries:
        floor.may_rise()
        done += [one.lease.id for one in deliveries]
        await broker.finish([Finish(one.lease, Status.COMPLETED, b"1") for one in deliveries])
    return done


async def send_and_run(broker: PostgresBroker, consumer: Consumer, floor: Floor) -> None:
    sent = tasks(MANY)
    await broker.publish(sent)
    assert sorted(await run(broker, consumer, floor)) == sorted(one.id for one in sent)


def ids(envelopes: Sequence[Envelope]) -> list[str]:
    return [one.id for one in envelopes]


async def test_it_rises_behind_what_was_claimed(
    broker: PostgresBroker, consumer: Consumer, floor: Floor
) -> None:
    for _ in range(4):
        await send_and_run(broker, consumer, floor)
    assert floor.now() > MANY


async def test_a_task_of_a_transaction_that_was_open_meanwhile_is_found(
    broker: PostgresBroker, consumer: Consumer, floor: Floor, postgres_server: str
) -> None:
    await send_and_run(broker, consumer, floor)
    late = tasks(2)
    async with await psycopg.AsyncConnection.connect(postgres_server) as connection:
        await broker.enlist(connection).publish(late)
        for _ in range(4):
            await send_and_run(broker, consumer, floor)
        assert floor.now() <= MANY + 1
        await connection.commit()
    assert await run(broker, consumer, floor) == ids(late)
    for _ in range(3):
        await send_and_run(broker, consumer, floor)
    assert floor.now() > 4 * MANY


async def test_it_stays_below_what_still_waits(
    broker: PostgresBroker, consumer: Consumer, floor: Floor
) -> None:
    low = tasks(3, Priority.LOW)
    await broker.publish(low)
    for _ in range(3):
        await broker.publish(tasks(MANY))
        for _ in range(MANY // 100):
            floor.may_rise()
            claim = await consumer.claim(100)
            await broker.finish([Finish(one.lease, Status.COMPLETED) for one in claim.deliveries])
    assert await run(broker, consumer, floor) == ids(low)


async def test_what_is_put_back_at_the_front_or_behind_is_found(
    broker: PostgresBroker, consumer: Consumer, floor: Floor
) -> None:
    early = tasks(2)
    await broker.publish(early)
    first, second = (await consumer.claim(2)).deliveries
    for _ in range(4):
        await send_and_run(broker, consumer, floor)
    await broker.publish(others := tasks(1))
    await broker.finish([Requeue(first.lease, front=True), Requeue(second.lease)])
    assert await run(broker, consumer, floor) == [early[0].id, *ids(others), early[1].id]


async def test_what_another_claim_holds_comes_back_if_that_is_undone(
    broker: PostgresBroker, consumer: Consumer, floor: Floor, postgres_url: str
) -> None:
    await send_and_run(broker, consumer, floor)
    await broker.publish(held := tasks(1))
    server, _, schema = postgres_url.partition("?schema=")
    async with await psycopg.AsyncConnection.connect(server) as connection:
        await connection.execute(
            f"UPDATE {schema}.tasks SET status = 2 WHERE id = %s".encode(), [held[0].id]
        )
        for _ in range(3):
            await send_and_run(broker, consumer, floor)
        await connection.rollback()
    assert await run(broker, consumer, floor) == ids(held)


async def test_a_delayed_task_of_a_transaction_that_was_open_meanwhile_comes(
    broker: PostgresBroker, consumer: Consumer, floor: Floor, postgres_server: str
) -> None:
    await send_and_run(broker, consumer, floor)
    (late,) = (structs.replace(one, delay=0.01) for one in tasks(1))
    async with await psycopg.AsyncConnection.connect(postgres_server) as connection:
        await broker.enlist(connection).publish([late])
        for _ in range(4):
            await send_and_run(broker, consumer, floor)
        await connection.commit()
    assert await run(broker, consumer, floor) == [late.id]


async def test_moments_rise_behind_what_has_ended(
    broker: PostgresBroker, consumer: Consumer, floor: Floor
) -> None:
    begun = await broker.time()
    for _ in range(4):
        await send_and_run(broker, consumer, floor)
    leases, delayed = floor.moments()
    assert begun - 1 < leases == delayed < await broker.time()


async def test_moments_stay_where_they_are_when_a_claim_ends_that_began_before_their_mark(
    broker: PostgresBroker, consumer: Consumer, floor: Floor
) -> None:
    """Else each claim looks at all leases that have ended since a snapshot elsewhere was taken."""
    for _ in range(4):
        await send_and_run(broker, consumer, floor)
    before = floor.moments()
    floor.raise_late()
    assert floor.moments() == before


async def test_leases_that_end_are_found_behind_others(
    broker: PostgresBroker, consumer: Consumer, floor: Floor
) -> None:
    await broker.publish(tasks(1))
    async with broker.consumer(["shop"], lease=0.01) as dead:
        (lost,) = (await dead.claim(1)).deliveries
    found: list[str] = []
    for _ in range(3):
        await broker.publish(tasks(1))
        async with broker.consumer(["shop"], lease=60) as other:
            found = [one.lease.id for one in (await other.claim(5)).deliveries]
        floor.may_rise()
        if lost.lease.id in found:
            break
    assert lost.lease.id in found


async def test_a_clock_that_is_put_back_loses_nothing(
    broker: PostgresBroker, consumer: Consumer, floor: Floor
) -> None:
    for _ in range(4):
        await send_and_run(broker, consumer, floor)
    floor.put_clock_back()
    (late,) = (structs.replace(one, delay=0.01) for one in tasks(1))
    await broker.publish([late])
    found: list[str] = []
    for _ in range(4):
        await consumer.wait(1)
        if found := await run(broker, consumer, floor):
            break
    assert found == [late.id]
    await send_and_run(broker, consumer, floor)
    leases, delayed = floor.moments()
    assert max(leases, delayed) < await broker.time()
