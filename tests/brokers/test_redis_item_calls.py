"""Items of many streams in few calls of Redis."""

import asyncio
from typing import Any

import pytest

from ltq.broker import Broker
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._scripts.streams import AppendCall, ItemsCall
from ltq.brokers.redis._server.link import Link
from ltq.brokers.redis._server.refusals import RefusedError
from ltq.errors import BrokerError
from ltq.message import Lease
from tests.conformance.factories import QUEUE, publish_many

pytestmark = pytest.mark.slow

COUNT = 40


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The calls that are made for streams. One with the item `bad` is refused."""
    made: list[Any] = []
    evaluate = Link.evaluate

    async def noted(link: Link, call: Any, **options: Any) -> Any:
        if isinstance(call, AppendCall | ItemsCall):
            made.append(call)
            if isinstance(call, AppendCall) and b"bad" in call.streams:
                raise RefusedError("Redis refused the call")
        return await evaluate(link, call, **options)

    monkeypatch.setattr(Link, "evaluate", noted)
    return made


async def claimed(broker: Broker) -> list[Lease]:
    await publish_many(broker, COUNT)
    async with broker.consumer([QUEUE]) as consumer:
        return [one.lease for one in (await consumer.claim(COUNT)).deliveries]


async def test_streams_that_go_on_together_share_calls(redis_url: str, made: list[Any]) -> None:
    async with RedisBroker(redis_url) as broker:
        leases = await claimed(broker)
        adding = (broker.append(lease, 0, [b"1"], 10) for lease in leases)
        assert all(await asyncio.gather(*adding))
        assert len(made) == 2, "the first one goes alone, the others together"
        found = await asyncio.gather(*(broker.items(QUEUE, lease.id) for lease in leases))
        assert [one and one.items for one in found] == [(b"1",)] * COUNT
        assert len(made) == 4


async def test_one_that_is_refused_refuses_no_other(redis_url: str, made: list[Any]) -> None:
    async with RedisBroker(redis_url) as broker:
        leases = await claimed(broker)
        items = [[b"bad"] if i == 7 else [b"good"] for i in range(COUNT)]
        adding = (broker.append(lease, 0, items[i], 10) for i, lease in enumerate(leases))
        answers = await asyncio.gather(*adding, return_exceptions=True)
        assert isinstance(answers.pop(7), BrokerError)
        assert answers == [True] * (COUNT - 1)


async def test_parts_that_are_too_large_for_a_reply_take_several(
    redis_url: str, made: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ltq.brokers.redis._server.reply_limit.CALL_BYTES", 5000)
    async with RedisBroker(redis_url) as broker:
        leases = await claimed(broker)
        for lease in leases:
            assert await broker.append(lease, 0, [b"x" * 1000] * 3, 10)
        made.clear()
        found = await asyncio.gather(*(broker.items(QUEUE, lease.id) for lease in leases))
        assert 10 < len(made) <= COUNT
        for one in found:  # the last one of a reply may have been cut off
            assert one is not None
            assert one.total == 3
            assert len(one.items) in (1, 2, 3)


async def test_many_small_items_take_several_calls(redis_url: str, made: list[Any]) -> None:
    async with RedisBroker(redis_url) as broker:
        leases = await claimed(broker)
        adding = (broker.append(lease, 0, [b"1"] * 1000, 1000) for lease in leases)
        assert all(await asyncio.gather(*adding))
        assert max(len(call.streams) for call in made) < 12_000
        assert len(made) < COUNT
        found = await asyncio.gather(*(broker.items(QUEUE, lease.id) for lease in leases))
        assert [one and one.total for one in found] == [1000] * COUNT
