"""What is deleted or given back in RabbitMQ while workers run."""

import pytest

from ltq.brokers.rabbitmq import RabbitBroker
from ltq.brokers.rabbitmq._server import topology
from ltq.message import Envelope, new_id
from ltq.testing import FlakyBroker
from tests.brokers.rabbitmq.conftest import Outside
from tests.eventually import eventually


def envelope() -> Envelope:
    return Envelope(
        id=new_id(), queue="mail:add", task_name="mail:add", body=b"[[1],{}]", has_new_id=True
    )


class TestExchangeDeleted:
    """The server closes the channel of whoever publishes to what is not there."""

    @pytest.mark.parametrize("suffix", ["", ".dead", ".events"])
    async def test_it_is_made_again_and_nothing_is_lost(
        self, broker: RabbitBroker, store: FlakyBroker, outside: Outside, suffix: str
    ) -> None:
        await broker.publish([envelope()])
        await outside.channel.exchange_delete(f"{outside.prefix}{suffix}")
        sent = [envelope() for _ in range(20)]
        for one in sent:
            await broker.publish([one])
        await outside.put(b"{")  # what is no task needs the exchange of the dead
        async with broker.consumer(["mail:add"]) as consumer:
            claimed = await broker.claim(consumer, 100, timeout=5)
            assert {one.lease.id for one in claimed} >= {one.id for one in sent}

            async def is_buried() -> bool:
                return await outside.look("dead") == (1, 0)

            await eventually(is_buried, timeout=20)


class TestQueueDeleted:
    async def test_a_send_makes_it_again(self, broker: RabbitBroker, outside: Outside) -> None:
        """No worker is there to do it: what no queue gets comes back, and is sent again."""
        await broker.publish([envelope()])
        await outside.delete(f"{outside.prefix}.mail")
        await broker.publish([envelope()])
        await eventually(outside.has(1))


class TestGivenBack:
    async def test_a_message_that_comes_again_is_one_task(
        self, broker: RabbitBroker, outside: Outside
    ) -> None:
        """As after a process that was killed between writing and acknowledging."""
        await broker.publish([envelope()])
        queue = await outside.channel.get_queue(f"{outside.prefix}.mail")
        for _ in range(3):
            message = await queue.get(timeout=5)
            await message.nack(requeue=True)
        async with broker.consumer(["mail:add"]) as consumer:
            assert len(await broker.claim(consumer, 10)) == 1
            await eventually(outside.has(0))
            assert await broker.claim(consumer, 10) == []

    async def test_one_that_kills_whoever_reads_it_goes_to_the_dead(
        self, broker: RabbitBroker, outside: Outside, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(topology, "MOST_DELIVERIES", 2)
        await broker.publish([envelope()])
        queue = await outside.channel.get_queue(f"{outside.prefix}.mail")
        for _ in range(3):
            message = await queue.get(timeout=5)
            await message.nack(requeue=True)

        async def is_dead() -> bool:
            return (await outside.count(), await outside.count("dead")) == (0, 1)

        await eventually(is_dead)
