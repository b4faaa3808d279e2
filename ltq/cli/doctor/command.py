"""`ltq doctor`: findings about brokers, each with advice."""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence

import click

from ltq.broker import DEFAULT_SCAN, Broker, Finding, Severity
from ltq.cli._broker import BrokerToOpen, brokers_to_open, open_broker
from ltq.cli._console import open_console
from ltq.cli._options import broker_url_option, json_option
from ltq.cli.doctor._view import Examined, as_json_of, print_examined
from ltq.errors import LtqError

_PROGRESS_EVERY = 10_000
"""Keys between two lines of progress."""


@click.command()
@click.option(
    "--scan",
    type=click.IntRange(min=0),
    default=DEFAULT_SCAN,
    show_default=True,
    metavar="N",
    help="Look through about N of a server's keys; 0 skips them.",
)
@json_option
@broker_url_option
def doctor(scan: int, as_json: bool, broker_url: str | None) -> None:
    """Examine the broker, its queues and its keys, and give advice.

    Where brokers have names, all of them are examined, unless --broker-url says which one. Nothing
    is changed. The exit code is 1 if tasks may be lost or LTQ cannot work there, else 0.

    \b
    Examples:
      ltq doctor --json
      ltq doctor --broker-url @notifications
    """
    examined = asyncio.run(_examine_all(brokers_to_open(broker_url), scan))
    if as_json:
        click.echo(json.dumps(as_json_of(examined)))
    else:
        print_examined(open_console(), examined)
    sys.exit(0 if all(one.is_ok for one in examined) else 1)


async def _examine_all(brokers: Sequence[BrokerToOpen], scan: int) -> list[Examined]:
    # One after the other: how long a broker takes to answer is not the others' fault.
    return [await _examine(one, scan) for one in brokers]


async def _examine(wanted: BrokerToOpen, scan: int) -> Examined:
    """Examine a broker. One that cannot be reached is a finding if there may be others."""
    url: str | None = None
    try:
        async with open_broker(wanted.url) as broker:
            url = broker.url
            round_trip = await _round_trip(broker)
            show, erase = _progress(scan)
            try:
                findings = await broker.examine(scan=scan, on_scan=show)
            finally:
                erase()
    except LtqError as error:
        if not wanted.name:
            raise
        away = Finding("connection", Severity.DANGER, wanted.reason(error))
        return Examined(wanted.name, url, None, [away])
    answers = Finding("connection", Severity.OK, f"answers in {round_trip * 1000:.1f} ms")
    return Examined(wanted.name, url, round_trip, [answers, *findings])


async def _round_trip(broker: Broker) -> float:
    """The seconds that a broker takes to answer, once there is a connection."""
    await broker.ping()
    begun = time.perf_counter()
    await broker.ping()
    return time.perf_counter() - begun


def _progress(limit: int) -> tuple[Callable[[int], None], Callable[[], None]]:
    """Return two functions: one shows how many keys were read, one erases that. On a terminal."""
    is_shown = sys.stderr.isatty()

    def show(passed: int) -> None:
        if is_shown and passed % _PROGRESS_EVERY == 0:
            click.echo(f"\rkeys: {passed} of at most {limit}", nl=False, err=True)

    def erase() -> None:
        if is_shown:
            click.echo("\r\x1b[K", nl=False, err=True)

    return show, erase
