"""`ltq state`: everything about one task."""

import asyncio
import time

import click

from ltq.cli._broker import find_task, open_broker
from ltq.cli._console import open_console, print_fields, print_traceback
from ltq.cli._format import state_fields, state_json
from ltq.cli._options import broker_url_option, json_option
from ltq.state import TaskState


@click.command()
@click.argument("task_id", metavar="ID")
@click.option("--queue", metavar="QUEUE", help="Look only in the namespace of this queue.")
@json_option
@broker_url_option
def state(task_id: str, queue: str | None, as_json: bool, broker_url: str | None) -> None:
    """Show everything that is known about a task.

    \b
    Example:
      ltq state 0c8bdd0dee0ab0ad55f2f5a7 --json
    """
    found = asyncio.run(_find(task_id, queue, broker_url))
    if as_json:
        click.echo(state_json(found))
        return
    console = open_console()
    print_fields(console, state_fields(found, time.time()))
    print_traceback(console, found.traceback)


async def _find(task_id: str, queue: str | None, url: str | None) -> TaskState[bytes]:
    async with open_broker(url) as broker:
        return await find_task(broker, task_id, queue)
