"""`ltq stats`, `ltq size`, `ltq clear`: queues."""

import asyncio
import json
from contextlib import suppress
from dataclasses import asdict

import click

from ltq.cli._broker import open_broker
from ltq.cli._completion.queues import complete_queue
from ltq.cli._console import Cell, count_tasks, open_console, print_columns, print_line
from ltq.cli._errors import WrongUseError
from ltq.cli._known import read_queue
from ltq.cli._options import (
    broker_url_option,
    confirm,
    duration_from,
    json_option,
    must_confirm,
    yes_option,
)
from ltq.cli.queues._live_stats import watch_stats
from ltq.cli.queues._table import HEAD, cells, notes, read_queues, title
from ltq.names import check_name
from ltq.state import QueueStats

_DEFAULT_EVERY, _MIN_EVERY = 1.0, 0.1
"""Seconds between two updates, and the fewest."""


@click.command()
@click.option("--watch", is_flag=True, help="Update until Ctrl-C.")
@click.option(
    "--every",
    type=duration_from(_MIN_EVERY),
    metavar="TIME",
    help=f"With --watch: time between updates, {_MIN_EVERY:g}s at least. Default: 1s.",
)
@json_option
@broker_url_option
def stats(broker_url: str | None, as_json: bool, watch: bool, every: float | None) -> None:
    """Show how many tasks each queue holds.

    `high`, `normal` and `low` count the pending tasks by priority. `dead` counts the dead letters:
    failed and rejected tasks. `rate/s` is how many tasks ended in workers per second, on average
    over the last minute. Paused queues are marked. Tasks that no live worker knows are named below
    the table, and are `unserved` with --json. On a terminal long names lose their middle, and
    --watch shows the queues with most tasks if not all have room.

    \b
    Examples:
      ltq stats --json
      ltq stats --watch
    """
    if watch:
        pause = _DEFAULT_EVERY if every is None else every
        with suppress(KeyboardInterrupt):
            asyncio.run(watch_stats(broker_url, pause, as_json=as_json))
        return
    if every is not None:
        raise WrongUseError("--every needs --watch")
    found = asyncio.run(_read(broker_url))
    if as_json:
        click.echo(json.dumps([asdict(queue) for queue in found]))
    elif found:
        rows: list[list[Cell]] = [[title(queue), *cells(queue)] for queue in found]
        print_columns(open_console(), HEAD, rows, left={0}, shortened=0)
        for note in notes(found):
            print_line(open_console(), note)
    else:
        print_line(open_console(), "no queues yet")


async def _read(url: str | None) -> list[QueueStats]:
    async with open_broker(url) as broker:
        return await read_queues(broker)


@click.command()
@click.argument("queue", shell_complete=complete_queue)
@json_option
@broker_url_option
def size(queue: str, broker_url: str | None, as_json: bool) -> None:
    """Print how many tasks wait in a queue, pending or delayed.

    \b
    Example:
      ltq size github:fetch
    """
    found = asyncio.run(_size(check_name("queue", queue), broker_url))
    click.echo(json.dumps(asdict(found)) if as_json else found.pending + found.delayed)


async def _size(queue: str, url: str | None) -> QueueStats:
    async with open_broker(url) as broker:
        return await read_queue(broker, queue)


@click.command()
@click.argument("queue", shell_complete=complete_queue)
@yes_option
@json_option
@broker_url_option
def clear(queue: str, yes: bool, as_json: bool, broker_url: str | None) -> None:
    """Remove all waiting tasks of a queue permanently, and print how many.

    Working tasks and dead letters stay. Asks for confirmation if stdin is a terminal.

    \b
    Example:
      ltq clear github:fetch --yes
    """
    check_name("queue", queue)
    if must_confirm(yes):
        found = asyncio.run(_size(queue, broker_url))
        waiting = found.pending + found.delayed
        if waiting:
            confirm(f"Remove {count_tasks(waiting)} from {queue} permanently?")
    removed = asyncio.run(_clear(queue, broker_url))
    if as_json:
        click.echo(json.dumps({"queue": queue, "removed": removed}))
    else:
        click.echo(f"{count_tasks(removed)} removed from {queue}")


async def _clear(queue: str, url: str | None) -> int:
    async with open_broker(url) as broker:
        await read_queue(broker, queue)
        return await broker.clear(queue)
