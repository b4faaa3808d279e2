"""The complete examination of a Redis server: its settings, queues and keys."""

from collections.abc import Callable

from ltq.broker import Broker, Finding, Severity, examine_queues
from ltq.brokers.redis._doctor.checks import SERVER_CHECKS, check_inventory
from ltq.brokers.redis._doctor.inventory import take_inventory
from ltq.brokers.redis._doctor.survey import survey_server
from ltq.brokers.redis._server.link import Link
from ltq.errors import BrokerError


async def examine(
    broker: Broker, link: Link, scan: int, on_scan: Callable[[int], object] | None
) -> list[Finding]:
    """See `Diagnostics.examine`."""
    server = await survey_server(link)
    findings = [check(server) for check in SERVER_CHECKS]
    try:
        findings += examine_queues(await broker.stats(await broker.queues()))
        if scan:
            findings += check_inventory(await take_inventory(link, scan, on_scan))
    except BrokerError as error:
        advice = "see the findings above"
        findings.append(
            Finding("queues", Severity.DANGER, f"queues and keys cannot be read: {error}", advice)
        )
    return findings
