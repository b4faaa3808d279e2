"""Looking into RabbitMQ, and publishing as other programs do."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable

import aio_pika
import pytest
import pytest_asyncio
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import ChannelNotFoundEntity

from ltq.broker import Broker
from ltq.brokers.rabbitmq import RabbitBroker
from ltq.names import new_id
from ltq.testing import FlakyBroker


class Outside:
    """A program that knows nothing of LTQ but the docs."""

    def __init__(
        self, connection: AbstractConnection, channel: AbstractChannel, prefix: str
    ) -> None:
        self._connection = connection
        self.channel = channel
        self.prefix = prefix

    async def publish(
        self, body: object, *, worker: str = "mail", message_id: str | None = None
    ) -> None:
        """Publish JSON, or bytes as they are."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        exchange = await self.channel.get_exchange(self.prefix)
        message = aio_pika.Message(data, message_id=message_id, delivery_mode=2)
        await exchange.publish(message, f"{self.prefix}.{worker}")

    async def put(self, body: bytes, *, worker: str = "mail") -> None:
        """Put a message into the queue of a worker, whatever became of LTQ's exchange."""
        exchange = self.channel.default_exchange
        await exchange.publish(aio_pika.Message(body), f"{self.prefix}.{worker}")

    async def look(self, worker: str = "mail") -> tuple[int, int]:
        """How many messages wait for a worker, and how many consumers read them; -1 both if there
        is no queue."""
        channel = await self._connection.channel()
        try:
            queue = await channel.declare_queue(f"{self.prefix}.{worker}", passive=True)
        except ChannelNotFoundEntity:
            return -1, -1
        await channel.close()
        found = queue.declaration_result
        return found.message_count or 0, found.consumer_count or 0

    async def delete(self, queue: str) -> None:
        """Delete a queue, whatever is in it."""
        channel = await self._connection.channel()
        await channel.queue_delete(queue)
        await channel.close()

    async def count(self, worker: str = "mail") -> int:
        """How many messages wait for a worker."""
        return (await self.look(worker))[0]

    def has(self, wanted: int, worker: str = "mail") -> Callable[[], Awaitable[bool]]:
        """What tells whether so many messages wait for a worker."""

        async def is_so() -> bool:
            return await self.count(worker) == wanted

        return is_so

    async def take_dead(self) -> AbstractIncomingMessage | None:
        """The next one of the dead messages, if there is one."""
        queue = await self.channel.get_queue(f"{self.prefix}.dead")
        message = await queue.get(fail=False)
        if message is not None:
            await message.ack()
        return message


@pytest.fixture
def prefix(rabbitmq_url: str) -> str:
    return rabbitmq_url.rpartition("=")[2]


@pytest_asyncio.fixture(loop_scope="function")
async def outside(rabbitmq_url: str, prefix: str) -> AsyncIterator[Outside]:
    connection = await aio_pika.connect(rabbitmq_url.partition("?")[0])
    async with connection:
        yield Outside(connection, await connection.channel(), prefix)


@pytest.fixture
def store() -> FlakyBroker:
    """A store that is away when a test says so."""
    return FlakyBroker(Broker.from_url(f"memory://{new_id()}"))


@pytest_asyncio.fixture(loop_scope="function")
async def broker(rabbitmq_url: str, store: FlakyBroker) -> AsyncIterator[RabbitBroker]:
    async with RabbitBroker(f"{rabbitmq_url}&state=memory://", store=store) as broker:
        yield broker
