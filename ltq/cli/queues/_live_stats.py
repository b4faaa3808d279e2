"""`ltq stats --watch`: queues, updated until Ctrl-C."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import asdict

import click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ltq.broker import Broker
from ltq.cli._broker import open_broker
from ltq.cli._console import open_console, print_line, safe
from ltq.cli.queues._table import HEAD, cells, read_queues, row
from ltq.errors import BrokerError
from ltq.state import QueueStats


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
                print_line(console, f"{time.strftime('%H:%M:%S')} {queue.queue}: {counts}")
        await asyncio.sleep(every)


async def _show(console: Console, broker: Broker, every: float) -> None:
    """Update a table on a terminal. While the broker is away, its error is shown below."""
    table = _table([])
    with Live(table, console=console, auto_refresh=False) as live:
        while True:
            note = Text(f"every {every:g} s, Ctrl-C to end", style="dim")
            try:
                table = _table(await read_queues(broker))
            except BrokerError as error:
                note = Text.assemble(safe(str(error)), style="red")
            live.update(Group(table, note), refresh=True)
            await asyncio.sleep(every)


def _table(queues: Sequence[QueueStats]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in HEAD:
        table.add_column(name, justify="left" if name == "queue" else "right", no_wrap=True)
    for queue in queues:
        table.add_row(safe(queue.queue), *cells(queue))
    return table
