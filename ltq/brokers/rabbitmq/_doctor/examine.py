"""The whole examination of RabbitMQ."""

from collections.abc import Iterable
from contextlib import suppress

from aiormq.connection import Connection
from aiormq.exceptions import ChannelAccessRefused, ChannelNotFoundEntity

from ltq.broker import Finding
from ltq.broker.findings import Severity
from ltq.brokers.rabbitmq._doctor.checks import check_waiting
from ltq.brokers.rabbitmq._doctor.inside import look_inside
from ltq.brokers.rabbitmq._server.errors import CALL_ERRORS, AwayError, away
from ltq.brokers.rabbitmq._server.names import Names
from ltq.brokers.rabbitmq._server.publisher import Publisher
from ltq.brokers.rabbitmq._server.topology import count
from ltq.brokers.rabbitmq._server.url import UrlSettings


async def examine(
    publisher: Publisher, settings: UrlSettings, names: Names, namespaces: Iterable[str]
) -> list[Finding]:
    """The findings about the server, the queues of these workers, and the dead messages."""
    try:
        await publisher.link.channel()
        connection = publisher.link.connection
        found = [_server(connection, settings)]
        queues = [names.queue(namespace) for namespace in namespaces]
        for queue in queues:
            found += await _queue(connection, queue)
        found += await _dead(connection, names.dead)
    except AwayError as error:
        return [_away(error)]
    except CALL_ERRORS as error:
        return [_away(away(settings.place, settings.user, error))]
    return [*found, *await look_inside(settings, names, _cluster(connection), queues)]


def _away(error: AwayError) -> Finding:
    advice = "until it is back, sends and workers use the store alone"
    return Finding("rabbitmq", Severity.DANGER, str(error), advice)


def _cluster(connection: Connection) -> str:
    """The name of its cluster, by which it is known elsewhere as well; empty if it has none."""
    return str((connection.server_properties or {}).get("cluster_name", ""))


def _server(connection: Connection, settings: UrlSettings) -> Finding:
    properties = connection.server_properties or {}
    product, version = properties.get("product", "RabbitMQ"), properties.get("version", "?")
    place = f"{settings.address}, vhost {settings.vhost!r}"
    text = f"{product!s} {version!s} at {place}, takes tasks"
    return Finding("rabbitmq", Severity.OK, text)


async def _queue(connection: Connection, queue: str) -> list[Finding]:
    """What is wrong with the queue of a worker; nothing if there is none, or nobody may look."""
    with suppress(ChannelNotFoundEntity, ChannelAccessRefused):
        return check_waiting(queue, *await count(connection, queue))
    return []


async def _dead(connection: Connection, queue: str) -> list[Finding]:
    with suppress(ChannelNotFoundEntity, ChannelAccessRefused):
        messages, _ = await count(connection, queue)
        if messages:
            text = f"{messages} messages in {queue} could not be read as tasks"
            advice = "their header x-ltq-reason says why; take them out once that is fixed"
            return [Finding("rabbitmq", Severity.WARNING, text, advice)]
    return []
