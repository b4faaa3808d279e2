"""A broker that nobody closes."""

import asyncio
import gc

import pytest

from ltq.broker import ConsumerConfig
from ltq.brokers.rabbitmq import RabbitBroker
from ltq.brokers.rabbitmq._server.link import Link
from ltq.message import Envelope, new_id
from tests.eventually import eventually


def envelope() -> Envelope:
    return Envelope(id=new_id(), queue="mail:add", task_name="mail:add", body=b"[[],{}]")


async def used(url: str) -> tuple[RabbitBroker, list[asyncio.BaseTransport]]:
    """A broker that has sent and read, and its two connections."""
    broker = RabbitBroker(f"{url}&state=memory://{new_id()}")
    await broker.publish([envelope()])
    session = broker._here()
    (pump,) = session.pumps(ConsumerConfig(lanes=("mail:add",)))
    await pump.link.channel()
    links: tuple[Link, ...] = (session.publisher.link, pump.link)
    opened = [link._open for link in links if link._open is not None]
    return broker, [one._writer.transport for one in opened]


class TestDropped:
    async def test_its_connections_are_closed(
        self, rabbitmq_url: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        broker, transports = await used(rabbitmq_url)
        assert len(transports) == 2
        del broker

        def are_closed() -> bool:
            gc.collect()
            return all(one.is_closing() for one in transports)

        await eventually(are_closed)
        assert "never retrieved" not in caplog.text

    def test_so_are_those_of_an_event_loop_that_has_ended(
        self, rabbitmq_url: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        broker, transports = asyncio.run(used(rabbitmq_url))
        del broker
        gc.collect()
        assert all(one.is_closing() for one in transports)
        assert caplog.text == ""

    @pytest.mark.parametrize("count", [1, 50])
    def test_nothing_is_said_of_a_send_that_nobody_closes(
        self, rabbitmq_url: str, caplog: pytest.LogCaptureFixture, count: int
    ) -> None:
        """As in a script: `asyncio.run` cancels all that a connection does, and ends the loop."""
        broker = RabbitBroker(f"{rabbitmq_url}&state=memory://{new_id()}")

        async def send() -> None:
            await asyncio.gather(*(broker.publish([envelope()]) for _ in range(count)))

        for _ in range(3):
            asyncio.run(send())
            gc.collect()
        assert caplog.text == ""
