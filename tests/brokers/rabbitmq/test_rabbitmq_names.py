"""Names of workers and queues of every kind go through RabbitMQ, but for the one that it has."""

import pytest

import ltq
from ltq import ConfigurationError
from ltq.broker import Broker
from ltq.brokers.rabbitmq import RabbitBroker
from ltq.brokers.rabbitmq._server.names import LONGEST_PREFIX, Names
from ltq.message import Envelope, Published, new_id
from tests.brokers.rabbitmq.conftest import Outside
from tests.cli.calls import call_ltq
from tests.eventually import eventually


def envelope(queue: str) -> Envelope:
    return Envelope(id=new_id(), queue=queue, task_name=queue, body=b"[[],{}]", has_new_id=True)


@pytest.mark.parametrize("worker", ["w" * 100, "-", ".", "a.b", "Events", "events", "_" * 200])
async def test_each_allowed_name_goes_through(
    broker: RabbitBroker, outside: Outside, worker: str
) -> None:
    sent = envelope(worker)
    assert await broker.publish([sent]) == [Published.CREATED]
    assert await outside.count(worker) == 1
    async with broker.consumer([worker]) as consumer:
        (delivery,) = await broker.claim(consumer)
        assert delivery.lease.id == sent.id
        await eventually(outside.has(0, worker))


def test_the_longest_has_room_beside_the_longest_prefix() -> None:
    assert len(Names("p" * LONGEST_PREFIX).queue("w" * 200)) == 255


class TestDead:
    """`ltq.dead` is the queue of the dead messages: a worker that read it would bury them again."""

    @pytest.mark.parametrize("queue", ["dead", "dead:letters"])
    async def test_no_worker_has_its_name(self, broker: RabbitBroker, queue: str) -> None:
        with pytest.raises(ConfigurationError, match="the queue of dead messages"):
            await broker.publish([envelope(queue)])
        with pytest.raises(ConfigurationError, match="the queue of dead messages"):
            broker.consumer([queue])

    async def test_that_is_told_where_it_is_run(self, rabbitmq_url: str) -> None:
        url = f"{rabbitmq_url}&state=memory://{new_id()}"
        result = await call_ltq("bridge", "dead", "--broker-url", url)
        assert result.code != 0
        assert "give the worker another name" in result.err
        worker = ltq.Worker("dead", url)

        @worker.task
        async def send() -> None:
            pass

        with pytest.raises(ConfigurationError, match="the queue of dead messages"):
            await worker.run(burst=True)

    async def test_doctor_goes_past_one_of_the_store(
        self, rabbitmq_url: str, store: Broker, broker: RabbitBroker
    ) -> None:
        await store.publish([envelope("dead")])
        assert any(one.text.endswith("takes tasks") for one in await broker.examine())
