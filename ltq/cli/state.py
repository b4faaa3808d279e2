"""`ltq state`: everything about one task."""

import asyncio
from contextlib import suppress

import click

from ltq.broker import Broker
from ltq.cli._broker import find_task, open_broker
from ltq.cli._console import open_console, print_fields, print_traceback
from ltq.cli._format import state_fields, state_json
from ltq.cli._options import broker_url_option, json_option
from ltq.errors import TaskNotFoundError
from ltq.state import Status, TaskState


@click.command()
@click.argument("task_id", metavar="ID")
@click.option("--queue", metavar="QUEUE", help="Look only in the namespace of this queue.")
@json_option
@broker_url_option
def state(task_id: str, queue: str | None, as_json: bool, broker_url: str | None) -> None:
    """Show everything that is known about a task.

    A delayed task shows when it is due. The arguments are shown until the task ends, and those of a
    failed one as long as its dead letter is kept. Ages are by the broker's clock.

    \b
    Example:
      ltq state 0c8bdd0dee0ab0ad55f2f5a7 --json
    """
    found, body, now = asyncio.run(_find(task_id, queue, broker_url))
    if as_json:
        click.echo(state_json(found, body=body))
        return
    console = open_console()
    print_fields(console, state_fields(found, now, body))
    print_traceback(console, found.traceback)


async def _find(
    task_id: str, queue: str | None, url: str | None
) -> tuple[TaskState[bytes], bytes | None, float]:
    """Return a task's state, its call if that is still there, and the broker's time."""
    async with open_broker(url) as broker:
        state = await find_task(broker, task_id, queue)
        if state.status in (Status.FAILED, Status.REJECTED):
            body = await _dead_body(broker, state)
        else:
            body = await broker.body(state.queue, task_id)
        return state, body, await broker.time()


async def _dead_body(broker: Broker, state: TaskState[bytes]) -> bytes | None:
    with suppress(TaskNotFoundError):
        return (await broker.dead_letter(state.queue, state.id)).body
    return None
