"""`ltq workers`: who holds tasks."""

import asyncio
import json
import time
from dataclasses import asdict

import click

from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._doctor.survey import Holder, holders
from ltq.cli._console import open_console, print_columns, print_line
from ltq.cli._options import broker_url_option, json_option, open_broker
from ltq.cli._states import ago_text

_LIMIT = 10_000
"""Leased tasks that are looked at."""

_SHOWN = 3


@click.command()
@json_option
@broker_url_option
def workers(as_json: bool, broker_url: str | None) -> None:
    """Show which runs of workers hold tasks now, how many, and since when.

    A run is named by its host, its process id and four digits. One that holds nothing is not
    there: LTQ keeps no list of those that wait. Looks at 10 000 running tasks at most.

    \b
    Example:
      ltq workers --json
    """
    found, more = asyncio.run(_holders(broker_url))
    if as_json:
        shown = [{"worker": one.pop("name"), **one} for one in map(asdict, found)]
        click.echo(json.dumps(shown))
    elif found:
        rows = [_row(holder, time.time()) for holder in found]
        head = ("worker", "tasks", "since", "names")
        print_columns(open_console(), head, rows, left={0, 2, 3})
    else:
        print_line(open_console(), "no worker holds a task")
    if more:
        click.echo(f"ltq: warning: {more} more running tasks were not looked at", err=True)


async def _holders(url: str | None) -> tuple[list[Holder], int]:
    async with open_broker(url) as broker:
        if not isinstance(broker, RedisBroker):
            return [], 0
        link = broker.new_link()
        try:
            return await holders(broker, link, _LIMIT)
        finally:
            await link.aclose()


def _row(holder: Holder, now: float) -> list[str]:
    since = "" if holder.since is None else ago_text(max(0.0, now - holder.since))
    names = ", ".join(holder.names[:_SHOWN])
    left = len(holder.names) - _SHOWN
    return [holder.name, str(holder.tasks), since, f"{names}, {left} more" if left > 0 else names]
