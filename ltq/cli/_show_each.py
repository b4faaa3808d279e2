"""Showing things by their ids, one after another."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import click
from rich.console import Console

from ltq.cli._console import open_console, print_line
from ltq.cli._errors import tell

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shown(Generic[T]):
    """How things of one kind are found and shown."""

    find: Callable[[str], Awaitable[T]]
    missing: type[Exception]
    """What `find` raises if there is none with an id."""

    to_json: Callable[[T], str]
    to_console: Callable[[Console, T], Awaitable[None]]


async def show_each(ids: Sequence[str], shown: Shown[T], *, as_json: bool) -> bool:
    """Show each, or say that it is not there. Return whether all are."""
    console, count = open_console(), 0
    for one in ids:
        try:
            found = await shown.find(one)
        except shown.missing as error:
            tell(error)
            continue
        if as_json:
            click.echo(shown.to_json(found))
        else:
            if count:
                print_line(console, "")
            await shown.to_console(console, found)
        count += 1
    return count == len(ids)
