"""The first page of a broker: what there is, and what needs a look."""

import asyncio
from typing import Any

from ltq.broker import Finding, Severity
from ltq.state import Minute, QueueStats
from ltq.web._pages.page import Ask
from ltq.web._source.readings import silent_among

_ROWS = 25
"""Queues of one page: each shown one costs a small read of its history every few seconds."""

_EXTRAS_PATIENCE = 0.02
"""Seconds that the page waits for what it can be shown without."""

_MOST_FAILING = 6


async def read_overview(ask: Ask) -> dict[str, Any]:
    """All queues, busiest first, and the totals."""
    readings = ask.readings
    snapshot, workers = await asyncio.gather(readings.snapshot.get(), readings.workers.get())
    wanted, sort = ask.get("find").lower(), ask.get("sort")
    matching = [one for one in snapshot.queues if wanted in one.queue.lower()]
    # Rows that all are on one page stay where they are: nobody likes to hunt them.
    by_name = sort == "name" or (sort != "load" and len(matching) <= _ROWS)
    matching.sort(key=(lambda one: one.queue) if by_name else _busiest)
    pages = max(1, -(-len(matching) // _ROWS))
    number = min(max(1, ask.number("page", 1, 100_000)), pages)
    shown = matching[(number - 1) * _ROWS : number * _ROWS]
    histories = await asyncio.gather(*(_history(ask, one.queue) for one in shown))
    # Only now: a broker may do one thing after the other, and these take longer.
    failing, findings = await asyncio.gather(_soon(ask), readings.findings.soon(_EXTRAS_PATIENCE))
    return {
        "now": snapshot.now,
        "totals": snapshot.totals,
        "queues": list(zip(shown, histories, strict=True)),
        "queue_count": len(snapshot.queues),
        "matching": len(matching),
        "number": number,
        "pages": pages,
        "find": ask.get("find"),
        "sort": sort,
        "by_name": by_name,
        "paused": sum(one.paused for one in snapshot.queues),
        "workers": workers,
        "silent": silent_among(workers),
        "slots": sum(one.concurrency or 0 for one in workers),
        "failing": failing[:_MOST_FAILING],
        "findings": None if findings is None else _needs_a_look(findings),
    }


def _busiest(queue: QueueStats) -> tuple[Any, ...]:
    load = queue.pending + queue.working
    return (-load, -(queue.delayed + queue.dead), -queue.rate, queue.queue)


async def _history(ask: Ask, queue: str) -> list[Minute]:
    return await ask.readings.history(queue).get()


async def _soon(ask: Ask) -> list[Any]:
    return await ask.readings.failing.soon(_EXTRAS_PATIENCE) or []


def _needs_a_look(findings: list[Finding]) -> list[Finding]:
    """Those that say that something is wrong; the dead letters have a place of their own."""
    return [one for one in findings if one.severity is not Severity.OK]
