"""`ltq top`: queues, workers and running tasks, live."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress

import click

from ltq.broker import Broker
from ltq.cli._broker import BrokerToOpen, brokers_to_open, open_broker
from ltq.cli._console import open_console
from ltq.cli._options import broker_url_option, duration_from, json_option
from ltq.cli.top._live import show_live
from ltq.cli.top._once import print_json, print_once, read_once
from ltq.errors import ConfigurationError

_MIN_EVERY = 0.5
"""Fewest seconds between two updates: each reads all queues, workers and running tasks."""


@click.command()
@click.option(
    "--every",
    type=duration_from(_MIN_EVERY),
    default="1s",
    show_default=True,
    metavar="TIME",
    help=f"Time between updates, {_MIN_EVERY:g}s at least.",
)
@json_option
@broker_url_option
def top(broker_url: str | None, as_json: bool, every: float) -> None:
    """Show queues, workers and running tasks live, until q or Ctrl-C.

    \b
    Keys:
      q            quit
      Tab, 1 2 3   choose the queues, the workers, or the tasks
      up, down     scroll; also j, k, Page Up, Page Down, Home, End
      s, r         sort by the next column; reverse the order
      /            filter: type a text, then Enter; Esc drops it

    Where brokers have names, it shows all of them, each row with the name of its broker, unless
    --broker-url says which one. While a broker is away, the screen says so and keeps what was read
    last. If stdout is no terminal, or with --json, everything is printed once; the exit code is 1
    if a broker is away. Of very many running tasks the first 1 000 are shown.

    \b
    Examples:
      ltq top --every 5s
      ltq top --broker-url @notifications
    """
    with suppress(KeyboardInterrupt):
        wanted = brokers_to_open(broker_url)
        sys.exit(asyncio.run(_top(wanted, every, as_json)))


async def _top(wanted: Sequence[BrokerToOpen], every: float, as_json: bool) -> int:
    """Show the brokers. Returns the exit code."""
    console = open_console()
    async with AsyncExitStack() as stack:
        brokers, errors = await _open(stack, wanted)
        if console.is_interactive and not as_json:
            await show_live(console, brokers, errors, every)
            return 0
        found = await read_once(brokers, errors)
    if as_json:
        print_json(found)
    else:
        print_once(console, found)
    return 1 if any(one.error for one in found) else 0


async def _open(
    stack: AsyncExitStack, wanted: Sequence[BrokerToOpen]
) -> tuple[Mapping[str, Broker], Mapping[str, str]]:
    """The brokers by name, and why a name stands for none."""
    brokers: dict[str, Broker] = {}
    errors: dict[str, str] = {}
    for one in wanted:
        try:
            brokers[one.name] = await stack.enter_async_context(open_broker(one.url))
        except ConfigurationError as error:
            if not one.name:
                raise
            errors[one.name] = one.reason(error)
    return brokers, errors
