"""`ltq stats --watch`: queues, updated until Ctrl-C."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import asdict

import click
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from ltq.broker import Broker
from ltq.cli._broker import open_broker
from ltq.cli._console import Cell, columns, count_tasks, open_console, print_line, safe
from ltq.cli.queues._table import HEAD, cells, notes, read_queues, row, title
from ltq.errors import BrokerError
from ltq.state import QueueStats

_NOTES = 3
"""Notes below the table take at most one of so many lines of the screen, if the table needs more
room."""


async def watch_stats(url: str | None, every: float, *, as_json: bool) -> None:
    """Show the queues every `every` seconds, until cancelled."""
    console = open_console()
    async with open_broker(url) as broker:
        if as_json or not console.is_interactive:
            await _print(console, broker, every, as_json=as_json)
        else:
            await _show(console, broker, every)


async def _print(console: Console, broker: Broker, every: float, *, as_json: bool) -> None:
    """Print to a pipe: with `as_json` an array per line, else one line per queue."""
    while True:
        queues = await read_queues(broker)
        if as_json:
            click.echo(json.dumps([asdict(queue) for queue in queues]))
        else:
            for queue in queues:
                words = zip(HEAD[1:], row(queue)[1:], strict=True)
                counts = ", ".join(f"{name} {count}" for name, count in words if count)
                print_line(console, f"{time.strftime('%H:%M:%S')} {title(queue)}: {counts}")
            for note in notes(queues):
                print_line(console, note)
        await asyncio.sleep(every)


async def _show(console: Console, broker: Broker, every: float) -> None:
    """Update a table on a terminal. While the broker is away, its error is shown below."""
    queues: list[QueueStats] = []
    with Live(console=console, auto_refresh=False) as live:
        while True:
            note = Text(f"every {every:g} s, Ctrl-C to end", style="dim")
            try:
                queues = await read_queues(broker)
            except BrokerError as error:
                note = Text.assemble(safe(str(error)), style="red")
            lines = [*screen_lines(console, queues, console.height - 1), note]
            for line in lines:
                line.truncate(console.width, overflow="ellipsis")
            live.update(Group(*lines), refresh=True)
            await asyncio.sleep(every)


def screen_lines(console: Console, queues: list[QueueStats], height: int) -> list[Text]:
    """Return a table and the notes about it, in at most `height` lines.

    If not all queues have room, those with most tasks are shown, by name, and the others counted.
    """
    told = [safe(text) for text in notes(queues)]
    room = max(height - 1 - len(queues), height // _NOTES)
    if len(told) > room:
        left_out = len(told) - room + 1
        told[room - 1 :] = [Text(f"… and {left_out} more notes: `ltq stats` prints all")]
    room = max(height - 1 - len(told), 2)
    if len(queues) > room:
        busy = sorted(queues, key=_size, reverse=True)  # equal ones stay in the order of names
        shown, others = busy[: room - 1], busy[room - 1 :]
        told.insert(0, _others(others))
        queues = sorted(shown, key=lambda queue: queue.queue)
    rows: list[list[Cell]] = [[title(queue), *cells(queue)] for queue in queues]
    return [*columns(console, HEAD, rows, left={0}, shortened=0), *told]


def _size(queue: QueueStats) -> tuple[int, int]:
    """How many tasks a queue holds, and how many dead letters."""
    return queue.pending + queue.delayed + queue.working, queue.dead


def _others(queues: Sequence[QueueStats]) -> Text:
    """Return the line for queues that have no room."""
    tasks, dead = (sum(numbers) for numbers in zip(*map(_size, queues), strict=True))
    queue = "queue" if len(queues) == 1 else "queues"
    counts = f"{count_tasks(tasks)}, {dead} dead: `ltq stats` prints all"
    return Text(f"… and {len(queues)} more {queue} with {counts}", style="dim")
