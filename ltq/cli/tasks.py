"""`ltq state`, `ltq cancel`: one task from outside."""

import asyncio
import json
import time

import click
from rich.console import Console

from ltq._names import check_name
from ltq.broker import Broker
from ltq.cli._console import open_console, print_fields, print_line, print_trace
from ltq.cli._errors import CommandError
from ltq.cli._options import broker_url_option, json_option, open_broker
from ltq.cli._states import state_fields, state_json
from ltq.errors import TaskNotFoundError
from ltq.options import DEFAULT_RESULT_TTL
from ltq.state import Status, TaskState


async def find_task(broker: Broker, task_id: str, queue: str | None = None) -> TaskState[bytes]:
    """The present state of a task, of a queue or of any. Raises `TaskNotFoundError`."""
    if queue is not None:
        return await broker.state(check_name("queue", queue), task_id)
    state = await broker.find(task_id)
    if state is None:
        raise TaskNotFoundError(task_id)
    return state


@click.command()
@click.argument("task_id", metavar="ID")
@click.option("--queue", metavar="QUEUE", help="Look in this queue's namespace only.")
@json_option
@broker_url_option
def state(task_id: str, queue: str | None, as_json: bool, broker_url: str | None) -> None:
    """Show all there is to know of a task.

    \b
    Example:
      ltq state 0c8bdd0dee0ab0ad55f2f5a7 --json
    """
    found = asyncio.run(_state(task_id, queue, broker_url))
    if as_json:
        click.echo(state_json(found))
    else:
        _print_state(open_console(), found)


async def _state(task_id: str, queue: str | None, url: str | None) -> TaskState[bytes]:
    async with open_broker(url) as broker:
        return await find_task(broker, task_id, queue)


def _print_state(console: Console, state: TaskState[bytes]) -> None:
    print_fields(console, state_fields(state, time.time()))
    print_trace(console, state.traceback)


@click.command()
@click.argument("task_id", metavar="ID")
@json_option
@broker_url_option
def cancel(task_id: str, as_json: bool, broker_url: str | None) -> None:
    """Cancel a task, waiting or running. It ends as `cancelled` and is not retried.

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
        raise CommandError(f"task {task_id} was final already: {status}")


async def _cancel(task_id: str, url: str | None) -> TaskState[bytes] | None:
    """Cancel it; or the final state that it had already."""
    async with open_broker(url) as broker:
        queue = (await find_task(broker, task_id)).queue
        if await broker.cancel(queue, task_id, DEFAULT_RESULT_TTL):
            return None
        return await broker.state(queue, task_id)
