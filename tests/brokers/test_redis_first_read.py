"""A task that was just sent is read once its notification comes, or a little later."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest

from ltq import Status
from ltq.brokers import _follow
from ltq.brokers.redis import RedisBroker, _watch_hub
from ltq.message import Published
from ltq.state import TaskState
from ltq.testing.conformance._support.eventually import PATIENCE
from tests.brokers.notified import note_reads, trusts_notifications
from tests.conformance.factories import QUEUE, claim_one, publish
from tests.elapse import elapse
from tests.eventually import eventually

LATE = 0.5
"""Seconds that a first read waits here."""

LARGE = b'"' + b"x" * 5000 + b'"'
"""A result that no event brings."""


@pytest.fixture
async def broker(redis_url: str) -> AsyncIterator[RedisBroker]:
    async with RedisBroker(redis_url) as broker:
        await end(broker, (await publish(broker)).id)
        await trusts_notifications(broker)
        yield broker


@pytest.fixture(autouse=True)
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_watch_hub, "_JUST_SENT", 60.0)
    monkeypatch.setattr(_watch_hub, "_FIRST_READ", LATE)
    monkeypatch.setattr(_watch_hub, "_AT_ONCE_FOR", 2)
    for name in ("FIRST_REREAD", "SLOW_REREAD"):  # else what is not read in time is found by these
        monkeypatch.setattr(_follow, name, 60.0)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    return note_reads(monkeypatch)


async def end(broker: RedisBroker, task_id: str, result: bytes = b"1") -> TaskState[bytes]:
    waiting = asyncio.create_task(broker.wait(QUEUE, task_id, timeout=PATIENCE))
    await eventually(lambda: is_subscribed(broker, task_id))
    await finish(broker, result)
    return await waiting


async def finish(broker: RedisBroker, result: bytes = b"1") -> None:
    delivery = await claim_one(broker, broker.consumer([QUEUE]))
    await broker.release(delivery.lease, result=result)


async def is_subscribed(broker: RedisBroker, task_id: str) -> bool:
    channels = await broker._here().links.any.call("PUBSUB", "CHANNELS")
    return any(channel.endswith(task_id.encode()) for channel in channels)


async def test_one_that_ends_soon_is_not_read(broker: RedisBroker, reads: list[str]) -> None:
    task_id = (await publish(broker)).id
    assert (await end(broker, task_id)).status is Status.COMPLETED
    await elapse(2 * LATE, "its first read would come in this time")
    assert reads == []


async def test_one_that_ends_soon_with_a_large_result_is_read_once(
    broker: RedisBroker, reads: list[str]
) -> None:
    task_id = (await publish(broker)).id
    assert (await end(broker, task_id, result=LARGE)).result == LARGE
    await elapse(2 * LATE, "its first read would come in this time")
    assert reads == [task_id]


async def test_one_that_ended_before_it_was_subscribed_to_is_found(broker: RedisBroker) -> None:
    task_id = (await publish(broker)).id
    await finish(broker)
    began = asyncio.get_running_loop().time()
    state = await broker.wait(QUEUE, task_id, timeout=PATIENCE)
    assert state.status is Status.COMPLETED
    assert asyncio.get_running_loop().time() - began < 3 * LATE


async def test_after_one_that_had_ended_the_next_is_read_at_once(
    broker: RedisBroker, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        task_id = (await publish(broker)).id
        await finish(broker)
        state = await broker.wait(QUEUE, task_id, timeout=PATIENCE)
        assert state.status is Status.COMPLETED
        monkeypatch.setattr(_watch_hub, "_FIRST_READ", 60.0)
    reads.clear()
    for reads_at_once in (True, True, False):
        task_id = (await publish(broker)).id
        waiting = asyncio.create_task(broker.wait(QUEUE, task_id, timeout=PATIENCE))
        await eventually(partial(is_subscribed, broker, task_id))
        if reads_at_once:
            await eventually(partial(reads.count, task_id))
        await finish(broker)
        await waiting
        assert (task_id in reads) is reads_at_once


async def test_changes_before_the_end_are_seen_at_once(
    broker: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_watch_hub, "_FIRST_READ", 60.0)
    task_id = (await publish(broker)).id
    async for state in broker.watch(QUEUE, task_id, timeout=PATIENCE):
        assert state.status is Status.PENDING
        break


async def test_one_that_was_there_before_is_read_at_once(
    broker: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_watch_hub, "_FIRST_READ", 60.0)
    monkeypatch.setattr(_watch_hub, "_JUST_SENT", 0.0)
    task_id = (await publish(broker)).id
    await finish(broker)
    assert (await broker.wait(QUEUE, task_id, timeout=PATIENCE)).status is Status.COMPLETED


async def test_a_repeated_send_says_nothing_of_the_task(
    broker: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_watch_hub, "_FIRST_READ", 60.0)
    envelope = await publish(broker)
    await finish(broker)
    await publish(broker)
    assert await broker.publish([envelope]) == [Published.EXISTS]
    assert (await broker.wait(QUEUE, envelope.id, timeout=PATIENCE)).status is Status.COMPLETED


async def test_who_gives_up_reads_nothing_later(broker: RedisBroker, reads: list[str]) -> None:
    task_id = (await publish(broker)).id
    waiting = asyncio.create_task(broker.wait(QUEUE, task_id))
    await eventually(lambda: is_subscribed(broker, task_id))
    waiting.cancel()
    await asyncio.wait([waiting])
    await elapse(2 * LATE, "its first read would come in this time")
    assert reads == []
