"""What is wrong with RabbitMQ, as far as a client sees."""

from collections.abc import Iterable
from contextlib import suppress

from aiormq.connection import Connection
from aiormq.exceptions import ChannelAccessRefused, ChannelNotFoundEntity

from ltq.broker import Finding
from ltq.broker.findings import Severity
from ltq.brokers.rabbitmq._server.errors import CALL_ERRORS, AwayError, away
from ltq.brokers.rabbitmq._server.names import Names
from ltq.brokers.rabbitmq._server.publisher import Publisher
from ltq.brokers.rabbitmq._server.topology import count
from ltq.brokers.rabbitmq._server.url import Target

_BACKLOG = 10_000
"""Messages that wait in a queue which consumers read: more than they take at once by far."""


async def examine(
    publisher: Publisher, target: Target, names: Names, namespaces: Iterable[str]
) -> list[Finding]:
    """The findings about the server, the queues of these workers, and the dead messages."""
    try:
        await publisher.link.channel()
        connection = publisher.link.connection
        found = [_server(connection, target)]
        for namespace in namespaces:
            found += await _queue(connection, names.queue(namespace))
        return [*found, *await _dead(connection, names.dead)]
    except AwayError as error:
        return [_away(error)]
    except CALL_ERRORS as error:
        return [_away(away(target.place, target.user, error))]


def _away(error: AwayError) -> Finding:
    advice = "until it is back, sends and workers use the store alone"
    return Finding("rabbitmq", Severity.DANGER, str(error), advice)


def _server(connection: Connection, target: Target) -> Finding:
    properties = connection.server_properties or {}
    product, version = properties.get("product", "RabbitMQ"), properties.get("version", "?")
    place = f"{target.host}:{target.port}, vhost {target.vhost!r}"
    text = f"{product!s} {version!s} at {place}, takes tasks"
    return Finding("rabbitmq", Severity.OK, text)


async def _queue(connection: Connection, queue: str) -> list[Finding]:
    """What is wrong with the queue of a worker; nothing if there is none, or nobody may look."""
    with suppress(ChannelNotFoundEntity, ChannelAccessRefused):
        messages, consumers = await count(connection, queue)
        if messages and not consumers:
            text = f"{messages} messages wait in {queue}, which nobody reads"
            advice = f"start a worker or `ltq bridge {queue.partition('.')[2]}` with this URL"
            return [Finding("rabbitmq", Severity.WARNING, text, advice)]
        if messages > _BACKLOG:
            text = f"{messages} messages wait in {queue}: {consumers} consumers do not keep up"
            return [Finding("rabbitmq", Severity.WARNING, text, "is the store away, or slow?")]
    return []


async def _dead(connection: Connection, queue: str) -> list[Finding]:
    with suppress(ChannelNotFoundEntity, ChannelAccessRefused):
        messages, _ = await count(connection, queue)
        if messages:
            text = f"{messages} messages in {queue} could be no task"
            advice = "their header x-ltq-reason says why; take them out once that is mended"
            return [Finding("rabbitmq", Severity.WARNING, text, advice)]
    return []
