"""Results that arrive in the step of their outcomes, while several workers record theirs."""

import asyncio
from collections import Counter

import psycopg

from ltq.broker import Broker, ConsumerConfig
from ltq.broker.flows import HELD, Arrival, ArrivalCount, Arrived, Ending
from ltq.message import ELEMENT, Finish, Lease, Receipt, Waiter
from ltq.state import Status
from tests.conformance.factories import QUEUE, make_envelope, publish

CTX = b'{"ltq.flow":{"queue":"mail:send","end":"x"}}'
MAPS, EACH, CALLS = 3, 60, 6
"""How many maps there are, with how many elements, and how many calls are under way."""

_DEADLOCKS = "SELECT sum(deadlocks)::bigint FROM pg_stat_database"


async def begin(broker: Broker) -> tuple[list[Waiter], list[list[Finish]]]:
    """Maps whose elements run, and the outcomes of the elements of each."""
    held = [await publish(broker, eta=HELD, ctx=CTX, body=b"recipe") for _ in range(MAPS)]
    waiters = [Waiter(one.id, ELEMENT, EACH) for one in held]
    ids = [f"{one.id}.{number}" for one in held for number in range(EACH)]
    await broker.publish([make_envelope(id=one, ctx=CTX) for one in ids])
    config = ConsumerConfig(name="worker", lanes=(QUEUE,))
    async with broker.open_consumer(config) as consumer:
        leases: dict[str, Lease] = {}
        while len(leases) < len(ids):
            claim = await consumer.claim(len(ids) - len(leases))
            leases |= {one.lease.id: one.lease for one in claim.deliveries}
    return waiters, [
        [
            Finish(leases[f"{one.id}.{number}"], Status.COMPLETED, b"1", flow=CTX, waiter=one)
            for number in range(EACH)
        ]
        for one in waiters
    ]


async def test_calls_that_reach_several_maps_wait_for_each_other_in_turn(
    postgres_url: str, postgres_admin: psycopg.Connection
) -> None:
    (before,) = postgres_admin.execute(_DEADLOCKS).fetchall()
    async with Broker.from_url(postgres_url) as broker:
        waiters, outcomes = await begin(broker)
        calls: list[list[Finish]] = []
        for number in range(EACH // 2):
            some = [finish for own in outcomes for finish in own[2 * number : 2 * number + 2]]
            calls.append(some if number % 2 else some[::-1])
        slots = asyncio.Semaphore(CALLS)

        async def write(some: list[Finish]) -> list[Receipt]:
            async with slots:
                return await broker.finish(some)

        receipts = [one for some in await asyncio.gather(*map(write, calls)) for one in some]
        assert Counter(receipts) == {Receipt.ARRIVED: MAPS * (EACH - 1), Receipt.OK: MAPS}
        left = await broker.endings(QUEUE)
        assert len({one.id.rpartition(".")[0] for one in left}) == len(left) == MAPS
        for waiter in waiters:
            task = await broker.held(QUEUE, waiter.id, range(EACH))
            assert task is not None
            assert task.count == ArrivalCount(EACH, EACH, 0)
            assert len(task.slots) == EACH
    (after,) = postgres_admin.execute(_DEADLOCKS).fetchall()
    assert after == before


async def test_whoever_carries_on_meanwhile_counts_nothing_twice(postgres_url: str) -> None:
    """As one does that has found an ending which is carried on already."""
    async with Broker.from_url(postgres_url) as broker:
        (waiter, *_), (outcomes, *_) = await begin(broker)

        async def carry(finish: Finish) -> list[Arrived]:
            number = int(finish.lease.id.rpartition(".")[2])
            key = Ending.of(finish).key
            return await broker.arrive(QUEUE, [Arrival(waiter.id, number, EACH, b"1", ending=key)])

        work = [call for one in outcomes for call in (carry(one), broker.finish([one]), carry(one))]
        await asyncio.gather(*work)
        task = await broker.held(QUEUE, waiter.id, range(EACH))
        assert task is not None
        assert task.count == ArrivalCount(EACH, EACH, 0)


async def test_a_map_that_is_cancelled_meanwhile_loses_no_ending(postgres_url: str) -> None:
    """Each result has arrived before, or leaves an ending that says where it belongs."""
    async with Broker.from_url(postgres_url) as broker:
        (waiter, *_), (outcomes, *_) = await begin(broker)
        writes = [broker.finish([one]) for one in outcomes]
        writes.insert(EACH // 2, broker.cancel_each(QUEUE, [waiter.id], 60.0))  # type: ignore[arg-type]
        receipts = await asyncio.gather(*writes)
        task = await broker.held(QUEUE, waiter.id, range(EACH))
        assert task is not None
        assert task.status is Status.CANCELLED
        count = 0 if task.count is None else task.count.values
        assert receipts.count([Receipt.ARRIVED]) == len(task.slots) == count
        endings = {one.id for one in await broker.endings(QUEUE)} - {waiter.id}
        assert len(endings) == EACH - count
