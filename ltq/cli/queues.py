"""`ltq stats`, `ltq size`, `ltq clear`: queues from outside."""

import asyncio
import json
from contextlib import suppress
from dataclasses import asdict

import click
from rich.text import Text

from ltq._names import check_name
from ltq.cli._console import Cell, count_tasks, open_console, print_columns, print_line
from ltq.cli._live_stats import watch_stats
from ltq.cli._options import (
    broker_url_option,
    confirm,
    duration,
    is_asked,
    json_option,
    open_broker,
    yes_option,
)
from ltq.state import QueueStats

_COUNTS = ("pending", "delayed", "working", "dead")

_QUICKEST = 0.1
"""Seconds between two looks at least."""


@click.command()
@click.option("--watch", is_flag=True, help="Show it live, by priority, until Ctrl-C.")
@click.option(
    "--every", type=duration, default="1", show_default=True, metavar="TIME", help="With --watch."
)
@json_option
@broker_url_option
def stats(broker_url: str | None, as_json: bool, watch: bool, every: float) -> None:
    """Show how many tasks of each queue are where.

    `dead` counts the dead letters: tasks that failed or were rejected and may be sent again. What
    has completed is not counted by the broker: `ltq run --metrics-port` tells it.

    \b
    Examples:
      ltq stats --json
      ltq stats --watch
    """
    if watch:
        with suppress(KeyboardInterrupt):
            asyncio.run(watch_stats(broker_url, max(every, _QUICKEST), as_json=as_json))
        return
    found = asyncio.run(_stats(broker_url))
    if as_json:
        click.echo(json.dumps([asdict(queue) for queue in found]))
    elif found:
        print_columns(
            open_console(), ("queue", *_COUNTS), [_row(queue) for queue in found], left={0}
        )
    else:
        print_line(open_console(), "no queues yet")


async def _stats(url: str | None) -> list[QueueStats]:
    async with open_broker(url) as broker:
        return await broker.stats(await broker.queues())


def _row(queue: QueueStats) -> list[Cell]:
    row: list[Cell] = [queue.queue]
    for name in _COUNTS:
        count: int = getattr(queue, name)
        style = "dim" if count == 0 else "red" if name == "dead" else ""
        row.append(Text(str(count), style=style))
    return row


@click.command()
@click.argument("queue")
@json_option
@broker_url_option
def size(queue: str, broker_url: str | None, as_json: bool) -> None:
    """Print how many tasks wait in a queue: pending and delayed ones.

    \b
    Example:
      ltq size github:fetch
    """
    found = asyncio.run(_size(check_name("queue", queue), broker_url))
    click.echo(json.dumps(asdict(found)) if as_json else found.pending + found.delayed)


async def _size(queue: str, url: str | None) -> QueueStats:
    async with open_broker(url) as broker:
        (found,) = await broker.stats([queue])
        return found


@click.command()
@click.argument("queue")
@yes_option
@broker_url_option
def clear(queue: str, yes: bool, broker_url: str | None) -> None:
    """Remove all waiting tasks of a queue for good, and print how many.

    Working tasks go on, dead letters stay. Asks first if stdin is a terminal.

    \b
    Example:
      ltq clear github:fetch --yes
    """
    check_name("queue", queue)
    if is_asked(yes):
        found = asyncio.run(_size(queue, broker_url))
        waiting = found.pending + found.delayed
        if waiting:
            confirm(f"Remove {count_tasks(waiting)} from {queue} for good?")
    removed = asyncio.run(_clear(queue, broker_url))
    click.echo(f"{count_tasks(removed)} removed from {queue}")


async def _clear(queue: str, url: str | None) -> int:
    async with open_broker(url) as broker:
        return await broker.clear(queue)
