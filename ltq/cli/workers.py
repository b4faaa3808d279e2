"""`ltq workers`: which workers there are, and whether they live."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict

import click
from rich.console import Console
from rich.text import Text

from ltq._display.durations import brief_text
from ltq.cli._broker import open_broker
from ltq.cli._console import Cell, open_console, print_columns, print_line
from ltq.cli._format import cut_left, worker_status_text
from ltq.cli._options import broker_url_option, json_option
from ltq.state import WorkerInfo, WorkerStatus

_HEAD = ("host", "pid", "status", "tasks", "seen", "version", "queues")

_QUEUES_WIDTH = 20
"""Columns that are left for the queues on a terminal, however long the names of hosts are."""

_SHORTEST_HOST = 12
"""Fewest characters of a host's name that are shown."""


@click.command()
@json_option
@broker_url_option
def workers(as_json: bool, broker_url: str | None) -> None:
    """Show all workers: where they run, whether they live, and how many tasks they run now.

    A worker is alive if it was seen within its last lease (15 s), else silent: it was killed, is
    paused, or does not reach the broker. After ten leases, at least 30 s, it is not shown any more;
    one that stops in order is gone at once. Consumers that are no workers are shown by their names
    while they hold tasks. --json has the ids of running tasks, and since when.

    \b
    Example:
      ltq workers --json
    """
    found, now = asyncio.run(_read(broker_url))
    if as_json:
        click.echo(json.dumps([asdict(worker) for worker in found]))
    elif found:
        _print(open_console(), found, now)
    else:
        print_line(open_console(), "there are no workers")


async def _read(url: str | None) -> tuple[list[WorkerInfo], float]:
    """Return the workers, and the broker's time."""
    async with open_broker(url) as broker:
        return await broker.workers(), await broker.time()


def _print(console: Console, found: Sequence[WorkerInfo], now: float) -> None:
    rows = [_row(worker, now) for worker in found]
    if console.is_terminal:
        others = sum(_widest(rows, column) + 2 for column in range(1, len(_HEAD) - 1))
        room = console.width - others - 2 - _QUEUES_WIDTH
        for row in rows:
            row[0] = cut_left(str(row[0]), max(room, _SHORTEST_HOST))
    print_columns(console, _HEAD, rows, left={0, 2, 6}, is_cut=True)
    silent = sum(worker.status is WorkerStatus.SILENT for worker in found)
    if silent:
        many = "1 worker is" if silent == 1 else f"{silent} workers are"
        print_line(console, f"{many} silent: killed, paused, or cut off from the broker")


def _widest(rows: Sequence[Sequence[Cell]], column: int) -> int:
    return max(len(_HEAD[column]), *(len(row[column]) for row in rows))


def _row(worker: WorkerInfo, now: float) -> list[Cell]:
    return [
        worker.host or worker.name,
        "" if worker.pid is None else str(worker.pid),
        worker_status_text(worker.status),
        Text(str(len(worker.running)), style="" if worker.running else "dim"),
        "" if worker.seen is None else brief_text(now - worker.seen),
        worker.version or "",
        ", ".join(worker.queues),
    ]
