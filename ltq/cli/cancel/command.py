"""`ltq cancel`: tasks by their ids, or those of a queue; and `ltq rerun`: final tasks once more."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import click

from ltq.broker import Broker, Selection, check_selection
from ltq.cli._broker import find_task, open_broker
from ltq.cli._completion.queues import complete_queue
from ltq.cli._console import count_tasks, open_console, print_line
from ltq.cli._errors import CommandError, WrongUseError, tell
from ltq.cli._known import read_queue
from ltq.cli._options import (
    broker_url_option,
    confirm,
    duration,
    each_once,
    ids_argument,
    json_option,
    must_confirm,
    yes_option,
)
from ltq.errors import LtqError, RerunError, TaskNotFoundError
from ltq.options import DEFAULT_RESULT_TTL
from ltq.state import Status


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID]...", callback=each_once)
@click.option("--queue", shell_complete=complete_queue, help="Cancel tasks of this queue instead.")
@click.option(
    "--status",
    type=click.Choice(("pending", "delayed", "working")),
    help="Only those with this status; default: those that wait.",
)
@click.option("--task", "task_name", metavar="NAME", help="Only those of this task.")
@click.option("--tag", help="Only those with this tag.")
@click.option(
    "--older-than", type=duration, metavar="TIME", help="Only those sent longer ago: 90, 15m, 2h."
)
@yes_option
@json_option
@broker_url_option
def cancel(
    ids: tuple[str, ...],
    queue: str | None,
    yes: bool,
    as_json: bool,
    broker_url: str | None,
    **chosen: object,
) -> None:
    """Cancel waiting or running tasks: those with these ids, or those of a queue.

    They end as `cancelled` and are not retried. With ids the exit code is 1 if one of the tasks had
    already ended; the others are cancelled anyway. With --json each of them is a line. With
    --queue all that wait are cancelled, or those that the other options name, and it asks before if
    stdin is a terminal.

    \b
    Examples:
      ltq cancel 0c8bdd0dee0ab0ad55f2f5a7
      ltq cancel --queue github:fetch --tag tenant:7 --older-than 2h --yes
    """
    if queue is None:
        if any(value is not None for value in chosen.values()):
            raise WrongUseError(
                "--status, --task, --tag and --older-than need --queue: they do not filter ids"
            )
        if not ids:
            raise WrongUseError("name tasks by their ids, or --queue QUEUE")
        _tell(ids, asyncio.run(_cancel(ids, broker_url)), as_json=as_json)
        return
    if ids:
        raise WrongUseError("name ids or --queue, not both")
    selection = check_selection(queue, **chosen)
    count = asyncio.run(_count(queue, selection, broker_url))
    if count and must_confirm(yes):
        confirm(f"Cancel {_described(count, queue, chosen)}?", refusal="nothing was cancelled")
    cancelled = asyncio.run(_cancel_many(queue, chosen, broker_url))
    if as_json:
        click.echo(json.dumps({"queue": queue, "cancelled": cancelled}))
    else:
        click.echo(f"{count_tasks(cancelled)} of {queue} cancelled")


def _described(count: int, queue: str, chosen: dict[str, Any]) -> str:
    """What a question names: how many tasks there are, and which of them are meant."""
    filters = [
        f"{label} {value}"
        for name, label in (("task_name", "of task"), ("tag", "with tag"))
        if (value := chosen[name]) is not None
    ]
    if chosen["older_than"] is not None:
        filters.append(f"older than {chosen['older_than']:g} s")
    if not filters:
        return f"{count_tasks(count)} of {queue}"
    return f"those {', '.join(filters)} among {count_tasks(count)} of {queue}"


async def _count(queue: str, selection: Selection, url: str | None) -> int:
    """How many tasks of a queue have a status that is meant."""
    async with open_broker(url) as broker:
        stats = await read_queue(broker, queue)
    return sum(int(getattr(stats, status.value)) for status in selection.statuses)


async def _cancel_many(queue: str, chosen: dict[str, Any], url: str | None) -> int:
    async with open_broker(url) as broker:
        return await broker.cancel_many(queue, **chosen)


Answer = tuple[Status | None, str | None]
"""The status of a task now, None for an unknown one, and why it was not cancelled."""


async def _cancel(ids: Sequence[str], url: str | None) -> list[Answer]:
    async with open_broker(url) as broker:
        return [await _cancel_one(broker, task_id) for task_id in ids]


async def _cancel_one(broker: Broker, task_id: str) -> Answer:
    try:
        queue = (await find_task(broker, task_id)).queue
        if await broker.cancel(queue, task_id, DEFAULT_RESULT_TTL):
            return Status.CANCELLED, None
        status = (await broker.state(queue, task_id)).status
    except TaskNotFoundError as error:
        return None, str(error)
    return status, f"task {task_id} had already ended: {status}"


def _tell(ids: Sequence[str], answers: Sequence[Answer], *, as_json: bool) -> None:
    """Print what became of each task. Raises `CommandError` if one was not cancelled."""
    refused = []
    for task_id, (status, refusal) in zip(ids, answers, strict=True):
        if as_json:
            is_cancelled = refusal is None
            click.echo(json.dumps({"id": task_id, "cancelled": is_cancelled, "status": status}))
        elif refusal is None:
            print_line(open_console(), f"task {task_id} is cancelled")
        if refusal is not None:
            refused.append(refusal)
    _refuse(refused)


def _refuse(lines: Sequence[str]) -> None:
    """Print a line for each task that was refused. Raises `CommandError` for the last one."""
    for line in lines[:-1]:
        tell(LtqError(line))
    if lines:
        raise CommandError(lines[-1])


@click.command()
@ids_argument
@json_option
@broker_url_option
def rerun(ids: tuple[str, ...], as_json: bool, broker_url: str | None) -> None:
    """Send ended tasks again, and print their new ids.

    Their arguments have to be kept: those of failed and rejected tasks are, as long as their
    states, and those of any task with the option `keep_body`. The exit code is 1 if one cannot run
    again; the others are sent anyway. With --json each task is a line.

    \b
    Example:
      ltq rerun 0c8bdd0dee0ab0ad55f2f5a7
    """
    answers = asyncio.run(_rerun(ids, broker_url))
    refused = []
    for task_id, (new_id, refusal) in zip(ids, answers, strict=True):
        if as_json:
            click.echo(json.dumps({"id": task_id, "new_id": new_id}))
        elif new_id is not None:
            click.echo(new_id)
        if refusal is not None:
            refused.append(refusal)
    _refuse(refused)


async def _rerun(ids: Sequence[str], url: str | None) -> list[tuple[str | None, str | None]]:
    """Send tasks once more; return for each the new id, or why there is none."""
    answers: list[tuple[str | None, str | None]] = []
    async with open_broker(url) as broker:
        for task_id in ids:
            try:
                queue = (await find_task(broker, task_id)).queue
                (new_id,) = await broker.rerun(queue, [task_id])
            except (RerunError, TaskNotFoundError) as error:
                answers.append((None, str(error)))
            else:
                answers.append((new_id, None))
    return answers
