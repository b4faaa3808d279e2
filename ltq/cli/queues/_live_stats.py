"""`ltq stats --watch`: the queues, read again and again."""

import asyncio
import json
import time
from collections.abc import Sequence

import click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ltq.cli._console import open_console, print_line, safe
from ltq.cli.queues._counts import HEAD, Depth, Reader, open_reader
from ltq.errors import BrokerError


async def watch_stats(url: str | None, every: float, *, as_json: bool) -> None:
    """Show the queues every so many seconds, until it is cancelled."""
    console = open_console()
    async with open_reader(url) as reader:
        if as_json or not console.is_interactive:
            await _print(console, reader, every, as_json=as_json)
        else:
            await _show(console, reader, every)


async def _print(console: Console, reader: Reader, every: float, *, as_json: bool) -> None:
    """For a pipe: a JSON array a line, or a block of lines."""
    while True:
        depths = await reader.read()
        if as_json:
            click.echo(json.dumps([depth.as_json() for depth in depths]))
        else:
            for depth in depths:
                words = zip(HEAD[1:], depth.row()[1:], strict=True)
                counts = ", ".join(f"{name} {count}" for name, count in words if count)
                print_line(console, f"{time.strftime('%H:%M:%S')} {depth.stats.queue}: {counts}")
        await asyncio.sleep(every)


async def _show(console: Console, reader: Reader, every: float) -> None:
    """For a terminal: a table that changes. While the broker is away it says so, and goes on."""
    table = _table([])
    with Live(table, console=console, auto_refresh=False) as live:
        while True:
            note = Text(f"every {every:g} s, Ctrl-C ends", style="dim")
            try:
                table = _table(await reader.read())
            except BrokerError as error:
                note = Text.assemble(safe(str(error)), style="red")
            live.update(Group(table, note), refresh=True)
            await asyncio.sleep(every)


def _table(depths: Sequence[Depth]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in HEAD:
        table.add_column(name, justify="left" if name == "queue" else "right", no_wrap=True)
    for depth in depths:
        table.add_row(safe(depth.stats.queue), *depth.cells())
    return table
