"""The exchanges and queues, which whoever comes first declares."""

from aiormq.abc import AbstractChannel, ArgumentsType
from aiormq.connection import Connection
from aiormq.exceptions import AMQPError, ChannelAccessRefused
from pamqp.common import FieldValue

from ltq.brokers.rabbitmq._server.names import Names
from ltq.brokers.rabbitmq._server.quiet import quiet

_EXCHANGES = (("tasks", "direct"), ("dead", "fanout"), ("events", "topic"))

_QUORUM: dict[str, FieldValue] = {"x-queue-type": "quorum"}

MOST_DELIVERIES = 1000
"""After so many deliveries without an answer a message goes to the dead ones. That is far more than
outages and restarts bring about: only what kills each process that reads it gets there."""


async def declare_base(connection: Connection, names: Names) -> None:
    """Declare what all share: the exchanges, and the queue of what cannot become a task.

    Who may not declare uses what others have declared. Raises errors of `aiormq`.
    """
    with quiet():
        for attribute, kind in _EXCHANGES:
            await _declare_exchange(connection, getattr(names, attribute), kind)
        await _declare_queue(connection, names.dead, names.dead, {**_QUORUM})


async def declare_queue(connection: Connection, names: Names, queue: str) -> None:
    """Declare the queue of a worker. Raises errors of `aiormq`."""
    arguments: dict[str, FieldValue] = {
        **_QUORUM,
        "x-dead-letter-exchange": names.dead,
        "x-delivery-limit": MOST_DELIVERIES,
    }
    with quiet():
        await _declare_queue(connection, names.tasks, queue, arguments)


async def count(connection: Connection, queue: str) -> tuple[int, int]:
    """How many messages wait in a queue, and how many consumers it has.

    Raises errors of `aiormq`, also if there is no such queue.
    """
    with quiet():
        channel = await connection.channel()
        answer = await channel.queue_declare(queue, passive=True)
        await _close(channel)
    return answer.message_count or 0, answer.consumer_count or 0


async def _declare_exchange(connection: Connection, name: str, kind: str) -> None:
    channel = await connection.channel()
    try:
        await channel.exchange_declare(name, exchange_type=kind, durable=True)
    except ChannelAccessRefused as refused:
        channel = await connection.channel()
        try:
            await channel.exchange_declare(name, passive=True)
        except AMQPError:
            raise refused from None
    await _close(channel)


async def _declare_queue(
    connection: Connection, exchange: str, queue: str, arguments: ArgumentsType
) -> None:
    channel = await connection.channel()
    try:
        await channel.queue_declare(queue, durable=True, arguments=arguments)
        await channel.queue_bind(queue, exchange, routing_key=queue)
    except ChannelAccessRefused as refused:
        channel = await connection.channel()
        try:
            await channel.queue_declare(queue, passive=True)
        except AMQPError:
            raise refused from None
    await _close(channel)


async def _close(channel: AbstractChannel) -> None:
    await channel.close()
