"""`ltq workers`: who holds tasks."""

import asyncio
import json
import time
from dataclasses import asdict

import click

from ltq.cli._console import open_console, print_columns, print_line
from ltq.cli._options import broker_url_option, json_option, open_broker
from ltq.cli._states import ago_text
from ltq.state import WorkerInfo

_NAMES_SHOWN = 3


@click.command()
@json_option
@broker_url_option
def workers(as_json: bool, broker_url: str | None) -> None:
    """Show which runs of workers hold tasks now, how many, and since when.

    A run is named by its host, its process id and four digits. One that holds nothing is not
    there: LTQ keeps no list of those that wait.

    \b
    Example:
      ltq workers --json
    """
    found = asyncio.run(_workers(broker_url))
    if as_json:
        click.echo(json.dumps([asdict(worker) for worker in found]))
    elif found:
        rows = [_row(worker, time.time()) for worker in found]
        head = ("worker", "tasks", "since", "names")
        print_columns(open_console(), head, rows, left={0, 2, 3})
    else:
        print_line(open_console(), "no worker holds a task")


async def _workers(url: str | None) -> list[WorkerInfo]:
    async with open_broker(url) as broker:
        return await broker.workers()


def _row(worker: WorkerInfo, now: float) -> list[str]:
    since = "" if worker.since is None else ago_text(max(0.0, now - worker.since))
    names = ", ".join(worker.task_names[:_NAMES_SHOWN])
    left = len(worker.task_names) - _NAMES_SHOWN
    shown = f"{names}, {left} more" if left > 0 else names
    return [worker.name, str(len(worker.running)), since, shown]
