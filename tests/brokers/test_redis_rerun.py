"""Tasks are sent once more, and the reply is lost: a repeated call sends none of them again."""

from collections.abc import AsyncIterator

import pytest

from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._scripts import calls
from ltq.message import Failure, Finish
from ltq.names import new_id
from ltq.state import Status
from tests.conformance.factories import QUEUE, claim_one, publish


@pytest.fixture
async def broker(redis_url: str) -> AsyncIterator[RedisBroker]:
    async with RedisBroker(redis_url) as broker:
        yield broker


async def failed(broker: RedisBroker) -> str:
    envelope = await publish(broker)
    async with broker.consumer([QUEUE]) as consumer:
        delivery = await claim_one(broker, consumer)
    failure = Failure("ValueError", "text")
    await broker.finish([Finish(delivery.lease, Status.FAILED, failure=failure, dead=True)])
    return envelope.id


def rerun_call(*ids: str) -> calls.RerunCall:
    pairs = [name for one in ids for name in (one, new_id())]
    return calls.RerunCall(prefix="ltq:{mail}:", queue=QUEUE, tasks=pairs)


@pytest.mark.parametrize("fate", ["cleared", "run"])
async def test_whatever_has_become_of_the_new_ones(broker: RedisBroker, fate: str) -> None:
    call = rerun_call(await failed(broker), await failed(broker))
    link = broker._opening.new_link()
    assert await link.evaluate(call) == ["created", "created"]
    if fate == "cleared":
        assert await broker.clear(QUEUE) == 2
    else:
        async with broker.consumer([QUEUE]) as consumer:
            for delivery in (await consumer.claim(2)).deliveries:
                await broker.finish([Finish(delivery.lease, Status.COMPLETED, result_ttl=0.0)])
    assert await link.evaluate(call.repeated()) == ["created", "created"]
    assert (await broker.stats([QUEUE]))[0].pending == 0
    await link.aclose()


async def test_the_old_ones_may_be_gone_by_then(broker: RedisBroker) -> None:
    old = await failed(broker)
    call = rerun_call(old)
    link = broker._opening.new_link()
    await link.evaluate(call)
    await link.call("DEL", f"ltq:{{mail}}:task:{old}")
    assert await link.evaluate(call.repeated()) == ["created"]
    assert (await broker.stats([QUEUE]))[0].pending == 1
    await link.aclose()


async def test_one_whose_first_attempt_did_not_arrive_sends_them(broker: RedisBroker) -> None:
    call = rerun_call(await failed(broker))
    link = broker._opening.new_link()
    assert await link.evaluate(call.repeated()) == ["created"]
    assert await link.evaluate(call.repeated()) == ["created"]
    assert (await broker.stats([QUEUE]))[0].pending == 1
    await link.aclose()


@pytest.mark.parametrize("keep_body", [None, True])
async def test_an_empty_body_is_none_unless_it_was_kept(
    broker: RedisBroker, keep_body: bool | None
) -> None:
    envelope = await publish(broker, body=b"", keep_body=keep_body)
    async with broker.consumer([QUEUE]) as consumer:
        delivery = await claim_one(broker, consumer)
    await broker.finish([Finish(delivery.lease, Status.COMPLETED, b"1")])
    (task,) = (await broker.tasks(QUEUE, status=Status.COMPLETED)).items
    assert task.body == (b"" if keep_body else None)
    link = broker._opening.new_link()
    answer = await link.evaluate(rerun_call(envelope.id))
    assert answer == ["created" if keep_body else "empty"]
    await link.aclose()
