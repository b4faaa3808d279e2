"""`ltq history`: what happened in a queue in the last minutes."""

import asyncio
import json
from dataclasses import asdict

import click

from ltq.broker import HISTORY_MINUTES
from ltq.cli._broker import open_broker
from ltq.cli._completion.queues import complete_queue
from ltq.cli._console import open_console
from ltq.cli._known import read_queue
from ltq.cli._options import broker_url_option, json_option
from ltq.cli.history._view import print_history
from ltq.names import check_name
from ltq.state import Minute


@click.command()
@click.argument("queue", shell_complete=complete_queue)
@click.option(
    "--minutes",
    type=click.IntRange(1, HISTORY_MINUTES),
    default=60,
    show_default=True,
    metavar="N",
    help=f"How many minutes to go back, at most {HISTORY_MINUTES}.",
)
@json_option
@broker_url_option
def history(queue: str, minutes: int, as_json: bool, broker_url: str | None) -> None:
    """Show how many tasks ended in each minute, and how long they waited and ran.

    A line is drawn for each count and each percentile, from the first minute on the left to the
    present one on the right. `most` is the highest value of a minute, `last` that of the last
    minute that has one. Waiting counts from the due time. With --json there is an object for each
    minute, the oldest first.

    \b
    Examples:
      ltq history github:fetch
      ltq history github:fetch --minutes 1440 --json
    """
    found = asyncio.run(_read(check_name("queue", queue), minutes, broker_url))
    if as_json:
        click.echo(json.dumps([asdict(minute) for minute in found]))
    else:
        print_history(open_console(), queue, found)


async def _read(queue: str, minutes: int, url: str | None) -> list[Minute]:
    async with open_broker(url) as broker:
        await read_queue(broker, queue)
        return await broker.history(queue, minutes)
