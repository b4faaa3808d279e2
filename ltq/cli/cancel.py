"""`ltq cancel`: one task, waiting or running."""

import asyncio
import json

import click

from ltq.cli._broker import find_task, open_broker
from ltq.cli._console import open_console, print_line
from ltq.cli._errors import CommandError
from ltq.cli._options import broker_url_option, json_option
from ltq.options import DEFAULT_RESULT_TTL
from ltq.state import Status, TaskState


@click.command()
@click.argument("task_id", metavar="ID")
@json_option
@broker_url_option
def cancel(task_id: str, as_json: bool, broker_url: str | None) -> None:
    """Cancel a waiting or running task.

    It ends as `cancelled` and is not retried. The exit code is 1 if it had already ended.

    \b
    Example:
      ltq cancel 0c8bdd0dee0ab0ad55f2f5a7
    """
    final = asyncio.run(_cancel(task_id, broker_url))
    status = Status.CANCELLED if final is None else final.status
    if as_json:
        click.echo(json.dumps({"id": task_id, "cancelled": final is None, "status": status}))
    elif final is None:
        print_line(open_console(), f"task {task_id} is cancelled")
    if final is not None:
        raise CommandError(f"task {task_id} had already ended: {status}")


async def _cancel(task_id: str, url: str | None) -> TaskState[bytes] | None:
    """Cancel the task; return its final state if it had one already."""
    async with open_broker(url) as broker:
        queue = (await find_task(broker, task_id)).queue
        if await broker.cancel(queue, task_id, DEFAULT_RESULT_TTL):
            return None
        return await broker.state(queue, task_id)
