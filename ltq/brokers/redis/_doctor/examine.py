"""The complete examination of a Redis server: its settings, queues and keys."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

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
    looks = await asyncio.gather(*(_look_at(node, is_node=links.is_split) for node in nodes))
    findings += [one for look in looks for one in look.findings]
    answering = [node for node, look in zip(nodes, looks, strict=True) if look.answers]
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


class _Look(NamedTuple):
    """What was found at one server."""

    findings: list[Finding]
    answers: bool = True


async def _look_at(link: Link, *, is_node: bool) -> _Look:
    """Examine one server; what is said of a cluster's node names it.

    Raises `BrokerError` if a server that is alone does not answer.
    """
    try:
        server = await survey_server(link, is_node=is_node)
    except BrokerError as error:
        if not is_node:
            raise
        text = f"{link.name} cannot be asked: {error}"
        advice = "see why it does not answer"
        return _Look([Finding("cluster", Severity.DANGER, text, advice)], answers=False)
    findings = [check(server) for check in SERVER_CHECKS]
    if is_node:
        findings = [replace(one, text=f"{link.name}: {one.text}") for one in findings]
    return _Look(findings)
