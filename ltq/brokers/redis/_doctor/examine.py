"""The complete examination of a Redis server: its settings, queues and keys."""

from collections.abc import Callable
from dataclasses import replace

from ltq.broker import Broker, Finding, Severity, examine_queues
from ltq.brokers.redis._doctor.checks import SERVER_CHECKS, check_coverage, check_inventory
from ltq.brokers.redis._doctor.inventory import take_inventory
from ltq.brokers.redis._doctor.survey import survey_server
from ltq.brokers.redis._server.link import Link
from ltq.brokers.redis._server.links import Links
from ltq.errors import BrokerError


async def examine(
    broker: Broker, links: Links, scan: int, on_scan: Callable[[int], object] | None
) -> list[Finding]:
    """See `Diagnostics.examine`."""
    nodes, findings = await links.masters(), list[Finding]()
    if links.is_split:
        findings.append(check_coverage(len(nodes), await links.uncovered()))
    answering = []
    for node in nodes:
        try:
            findings += await _examine_server(node, is_node=links.is_split)
        except BrokerError as error:
            if not links.is_split:
                raise
            text = f"{node.name} cannot be asked: {error}"
            advice = "see why it does not answer"
            findings.append(Finding("cluster", Severity.DANGER, text, advice))
        else:
            answering.append(node)
    try:
        findings += examine_queues(await broker.stats(await broker.queues()))
        if scan and answering:
            findings += check_inventory(await take_inventory(answering, scan, on_scan))
    except BrokerError as error:
        advice = "see the findings above"
        findings.append(
            Finding("queues", Severity.DANGER, f"queues and keys cannot be read: {error}", advice)
        )
    return findings


async def _examine_server(link: Link, *, is_node: bool) -> list[Finding]:
    """What is found at one server; those of a cluster's node name it. Raises `BrokerError`."""
    server = await survey_server(link, is_node=is_node)
    findings = [check(server) for check in SERVER_CHECKS]
    if is_node:
        return [replace(one, text=f"{link.name}: {one.text}") for one in findings]
    return findings
