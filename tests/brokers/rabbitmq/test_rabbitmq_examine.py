"""What doctor says about RabbitMQ."""

from ltq.broker import Finding
from ltq.broker.findings import Severity
from ltq.brokers.rabbitmq import RabbitBroker
from ltq.message import Envelope, new_id
from ltq.testing import FlakyBroker
from tests.brokers.rabbitmq.conftest import Outside
from tests.eventually import eventually


async def about(broker: RabbitBroker) -> list[Finding]:
    return [one for one in await broker.examine() if one.name == "rabbitmq"]


class TestFindings:
    async def test_a_server_that_is_well_is_named_with_its_version(
        self, broker: RabbitBroker
    ) -> None:
        (found,) = await about(broker)
        assert found.severity is Severity.OK
        assert found.text.startswith("RabbitMQ 3.")

    async def test_a_queue_that_nobody_reads(self, broker: RabbitBroker) -> None:
        sent = Envelope(id=new_id(), queue="mail:send", task_name="mail:send", body=b"[[],{}]")
        await broker.publish([sent])

        async def is_told() -> bool:
            found = await about(broker)
            return any("1 messages wait in" in one.text for one in found)

        await eventually(is_told)

    async def test_messages_that_could_be_no_task(
        self, broker: RabbitBroker, outside: Outside
    ) -> None:
        async with broker.consumer(["mail:send"]) as consumer:
            await broker.claim(consumer)
            await outside.publish(b"{")

            async def is_told() -> bool:
                return any("could not be read as tasks" in one.text for one in await about(broker))

            await eventually(is_told)

    async def test_one_that_is_away(self, store: FlakyBroker) -> None:
        async with RabbitBroker("amqp://127.0.0.1:1/?state=memory://", store=store) as broker:
            (found,) = await about(broker)
            assert found.severity is Severity.DANGER
            assert "nothing listens there" in found.text
