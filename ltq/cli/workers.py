"""`ltq workers`: which workers hold tasks."""

import asyncio
import json
from dataclasses import asdict

import click

from ltq.cli._broker import open_broker
from ltq.cli._console import open_console, print_columns, print_line
from ltq.cli._format import age_text
from ltq.cli._options import broker_url_option, json_option
from ltq.state import WorkerInfo

_HEAD = ("worker", "tasks", "since", "names")

_SHOWN_NAMES = 3
"""Most names of tasks in a row; `--json` has all of them."""


@click.command()
@json_option
@broker_url_option
def workers(as_json: bool, broker_url: str | None) -> None:
    """Show which workers hold tasks now: how many, since when, and their names.

    A worker's name is its host, its process id and four digits. Idle workers are not shown, because
    LTQ has no list of them.

    \b
    Example:
      ltq workers --json
    """
    found, now = asyncio.run(_read(broker_url))
    if as_json:
        click.echo(json.dumps([asdict(worker) for worker in found]))
    elif found:
        rows = [_row(worker, now) for worker in found]
        print_columns(open_console(), _HEAD, rows, left={0, 2, 3})
    else:
        print_line(open_console(), "no worker holds a task")


async def _read(url: str | None) -> tuple[list[WorkerInfo], float]:
    """Return the workers, and the broker's time."""
    async with open_broker(url) as broker:
        return await broker.workers(), await broker.time()


def _row(worker: WorkerInfo, now: float) -> list[str]:
    since = "" if worker.since is None else age_text(max(0.0, now - worker.since))
    names = ", ".join(worker.task_names[:_SHOWN_NAMES])
    more = len(worker.task_names) - _SHOWN_NAMES
    shown = f"{names}, {more} more" if more > 0 else names
    return [worker.name, str(len(worker.running)), since, shown]
