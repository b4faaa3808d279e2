"""What `ltq top` prints once, where there is no terminal."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from ltq.broker import Broker
from ltq.cli._console import print_columns, print_line, safe
from ltq.cli._errors import CommandError, tell
from ltq.cli.top._panes import PANES, rows_of
from ltq.cli.top._snapshot import Snapshot, read_snapshot
from ltq.errors import BrokerError

_NOBODY = {"queues": "no queues yet", "workers": "there are no workers", "tasks": "no task runs"}


@dataclass(frozen=True, slots=True)
class Read:
    """What was read of one broker."""

    name: str
    """Empty if only this one was asked for."""
    url: str | None = None
    """Without user and password; None if its name stands for no URL."""
    snapshot: Snapshot | None = None
    """None if it is away."""
    error: str = ""


async def read_once(brokers: Mapping[str, Broker], errors: Mapping[str, str]) -> list[Read]:
    """Read all brokers at once. Raises `BrokerError` if the only one is away."""
    found = await asyncio.gather(*(_read(name, broker) for name, broker in brokers.items()))
    return [*found, *(Read(name, error=error) for name, error in errors.items())]


async def _read(name: str, broker: Broker) -> Read:
    try:
        return Read(name, broker.url, await read_snapshot(broker))
    except BrokerError as error:
        if not name:
            raise
        return Read(name, broker.url, error=str(error))


def print_json(found: Sequence[Read]) -> None:
    """Print one broker, or all of them, each with its name."""
    if not found[0].name:
        click.echo(json.dumps(_lists(found[0].snapshot)))
        return
    brokers = [
        {"name": one.name, "url": one.url, "error": one.error or None, **_lists(one.snapshot)}
        for one in found
    ]
    click.echo(json.dumps({"brokers": brokers}))


def _lists(snapshot: Snapshot | None) -> dict[str, list[Any]]:
    if snapshot is None:
        return {}
    panes: dict[str, Sequence[Any]] = {
        "queues": snapshot.queues,
        "workers": snapshot.workers,
        "tasks": snapshot.tasks,
    }
    return {name: [asdict(item) for item in items] for name, items in panes.items()}


def print_once(console: Console, found: Sequence[Read]) -> None:
    """Print each broker, below its name if there may be several. What is away goes to stderr."""
    for position, one in enumerate(found):
        if one.name:
            if position:
                print_line(console, "")
            head = f"{one.name}  {one.url}" if one.url else one.name
            print_line(console, Text.assemble(safe(head), style="bold"))
        if one.snapshot is not None:
            _print(console, one.snapshot)
        elif one.error:
            tell(CommandError(f"{one.name}: {one.error}"))


def _print(console: Console, snapshot: Snapshot) -> None:
    for position, pane in enumerate(PANES):
        if position:
            print_line(console, "")
        rows = rows_of(pane, {"": snapshot}, sort=pane.sort, is_reversed=False, wanted="")
        if not rows:
            print_line(console, _NOBODY[pane.title])
            continue
        left = {number for number, column in enumerate(pane.columns) if column.is_left}
        print_columns(console, [column.title for column in pane.columns], rows, left=left)
