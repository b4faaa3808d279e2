"""`ltq stats --watch`: the queues, read again and again."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass

import click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ltq.broker import Broker
from ltq.brokers._link import Link
from ltq.brokers._survey import waiting_by_priority
from ltq.brokers.redis import RedisBroker
from ltq.cli._console import open_console, print_line, safe
from ltq.cli._options import open_broker
from ltq.errors import BrokerError
from ltq.state import QueueStats

_HEAD = ("queue", "high", "normal", "low", "delayed", "working", "dead")


@dataclass(frozen=True, slots=True)
class Depth:
    """A queue at one moment."""

    stats: QueueStats
    waiting: Mapping[str, int] | None
    """Ready tasks by priority; None where that is not known."""

    def row(self) -> list[str]:
        """What stands under the head."""
        if self.waiting is None:
            ready = ["", str(self.stats.pending), ""]
        else:
            ready = [str(self.waiting[name]) for name in _HEAD[1:4]]
        rest = (self.stats.delayed, self.stats.working, self.stats.dead)
        return [self.stats.queue, *ready, *map(str, rest)]


async def watch_stats(url: str | None, every: float, *, as_json: bool) -> None:
    """Show the queues every so many seconds, until it is cancelled."""
    console = open_console()
    async with open_broker(url) as broker, _link_of(broker) as link:
        if as_json or not console.is_interactive:
            await _print(console, broker, link, every, as_json=as_json)
        else:
            await _show(console, broker, link, every)


@asynccontextmanager
async def _link_of(broker: Broker) -> AsyncIterator[Link | None]:
    """For what only Redis tells."""
    if not isinstance(broker, RedisBroker):
        yield None
        return
    link = broker.new_link()
    try:
        yield link
    finally:
        await link.aclose()


async def _read(broker: Broker, link: Link | None) -> list[Depth]:
    stats = await broker.stats(await broker.queues())
    if link is None:
        return [Depth(queue, None) for queue in stats]
    return [Depth(queue, await waiting_by_priority(link, queue.queue)) for queue in stats]


async def _print(
    console: Console, broker: Broker, link: Link | None, every: float, *, as_json: bool
) -> None:
    """For a pipe: a JSON array a line, or a block of lines."""
    while True:
        depths = await _read(broker, link)
        if as_json:
            shown = [{**asdict(depth.stats), "waiting": depth.waiting} for depth in depths]
            click.echo(json.dumps(shown))
        else:
            for depth in depths:
                words = zip(_HEAD[1:], depth.row()[1:], strict=True)
                counts = ", ".join(f"{name} {count}" for name, count in words if count)
                print_line(console, f"{time.strftime('%H:%M:%S')} {depth.stats.queue}: {counts}")
        await asyncio.sleep(every)


async def _show(console: Console, broker: Broker, link: Link | None, every: float) -> None:
    """For a terminal: a table that changes. While the broker is away it says so, and goes on."""
    table = _table([])
    with Live(table, console=console, auto_refresh=False) as live:
        while True:
            note = Text(f"every {every:g} s, Ctrl-C ends", style="dim")
            try:
                table = _table(await _read(broker, link))
            except BrokerError as error:
                note = Text.assemble(safe(str(error)), style="red")
            live.update(Group(table, note), refresh=True)
            await asyncio.sleep(every)


def _table(depths: Sequence[Depth]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in _HEAD:
        table.add_column(name, justify="left" if name == "queue" else "right", no_wrap=True)
    for depth in depths:
        queue, *counts = depth.row()
        table.add_row(safe(queue), *(Text(text, style=_style(text)) for text in counts))
    return table


def _style(text: str) -> str:
    return "dim" if text == "0" else ""
