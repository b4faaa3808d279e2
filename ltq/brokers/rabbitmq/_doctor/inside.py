"""What only the management API tells: policies, unacknowledged messages, copies and alarms."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Collection
from urllib.parse import quote, urlencode

from ltq.broker import Finding, Severity
from ltq.brokers.rabbitmq._doctor.answers import Deprecated, Node, Overview, Queue, QueuePage
from ltq.brokers.rabbitmq._doctor.checks import (
    check_deprecated,
    check_nodes,
    check_policies,
    check_queues,
    check_waiting,
)
from ltq.brokers.rabbitmq._doctor.management import Management, NotSeenError
from ltq.brokers.rabbitmq._server.connect import tls_context
from ltq.brokers.rabbitmq._server.names import Names
from ltq.brokers.rabbitmq._server.url import UrlSettings

_WITHIN = 2.0
"""Seconds that all questions together may take: the dashboard asks as well, and waits for 5."""

_AT_ONCE = 500
"""Most queues of one answer, which is what the server allows."""

_COLUMNS = (
    "name,type,arguments,state,policy,operator_policy,effective_policy_definition,messages_ready,"
    "messages_unacknowledged,consumers,members,online"
)

_NAME = "management"

_ENABLE = (
    "`rabbitmq-plugins enable rabbitmq_management`, give the user the tag `monitoring`, and name "
    "the place if it is another one: management=http://host:15672"
)


async def look_inside(
    settings: UrlSettings, names: Names, cluster: str, known: Collection[str]
) -> list[Finding]:
    """What the management API tells of the server whose cluster has this name.

    `known` are the queues that were looked at already: what waits there was told. If the API cannot
    be asked, one finding says so. Nothing is asked if the URL says that.
    """
    api = settings.management
    if api is None:
        return []
    try:
        context = tls_context(settings) if api.is_tls else None
        async with asyncio.timeout(_WITHIN):
            look = _Look(Management(api, context), settings.vhost, names, known)
            return await look.findings(cluster)
    except NotSeenError as error:
        reason = str(error)
    except TimeoutError:
        reason = f"{api.shown} does not answer in time"
    except (OSError, ValueError, ssl.SSLError) as error:
        reason = f"its TLS files: {error}"
    severity = Severity.WARNING if api.is_named else Severity.OK
    text = f"policies, unacknowledged messages, copies and alarms were not looked at: {reason}"
    return [Finding(_NAME, severity, text, _ENABLE)]


class _Look:
    """One look at a server."""

    def __init__(
        self, management: Management, vhost: str, names: Names, known: Collection[str]
    ) -> None:
        self._management = management
        self._vhost = vhost
        self._names = names
        self._known = known

    async def findings(self, cluster: str) -> list[Finding]:
        """Everything that is found. Raises `NotSeenError`."""
        overview = await self._management.get("/api/overview", Overview)
        if cluster and overview.cluster_name != cluster:
            raise NotSeenError(f"what answers there belongs to {overview.cluster_name!r}")
        nodes, found = await self._nodes()
        queues = [queue async for queue in self._queues() if self._is_ours(queue)]
        for queue in queues:
            if queue.name not in (*self._known, self._names.dead):
                found += check_waiting(queue.name, queue.messages_ready or 0, queue.consumers or 0)
        found += check_policies(queues, self._names.dead)
        return [*found, *check_queues(queues, nodes), *await self._deprecated()]

    async def _nodes(self) -> tuple[int, list[Finding]]:
        """How many nodes there are, and what is wrong with them."""
        try:
            nodes = await self._management.get("/api/nodes", list[Node])
        except NotSeenError as error:
            if not error.is_forbidden:
                raise
            text = f"alarms and partitions were not looked at: {error}"
            advice = "give the user the tag `monitoring`: `rabbitmqctl set_user_tags`"
            return 0, [Finding(_NAME, Severity.OK, text, advice)]
        return len(nodes), check_nodes(nodes)

    async def _queues(self) -> AsyncIterator[Queue]:
        """Those whose names begin as LTQ's do."""
        number = 0
        while True:
            number += 1
            page = await self._management.get(self._path(number), QueuePage)
            for queue in page.items:
                yield queue
            if number >= page.page_count:
                break

    def _path(self, page: int) -> str:
        query = {
            "page": page,
            "page_size": _AT_ONCE,
            "pagination": "true",
            "use_regex": "true",
            "name": f"^{re.escape(self._names.prefix)}\\.",
            "columns": _COLUMNS,
        }
        return f"/api/queues/{quote(self._vhost, safe='')}?{urlencode(query)}"

    def _is_ours(self, queue: Queue) -> bool:
        """Whether LTQ uses it. Others may have queues with such names, to hear events."""
        if queue.name in self._known or queue.name == self._names.dead:
            return True
        return queue.arguments.get("x-dead-letter-exchange") == self._names.dead

    async def _deprecated(self) -> list[Finding]:
        """Features that are used and will be gone; older servers cannot tell."""
        try:
            used = await self._management.get("/api/deprecated-features/used", list[Deprecated])
        except NotSeenError:
            return []
        return check_deprecated(used)
