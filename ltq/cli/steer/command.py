"""`ltq pause`, `ltq resume`, `ltq promote`: steering queues and tasks."""

import asyncio
import json
from collections.abc import Sequence

import click

from ltq.broker import Broker
from ltq.cli._broker import open_broker
from ltq.cli._completion.queues import complete_queue
from ltq.cli._console import count_tasks, open_console, print_line
from ltq.cli._errors import tell
from ltq.cli._known import check_queues
from ltq.cli._options import broker_url_option, each_once, ids_argument, json_option
from ltq.errors import LtqError, TaskNotFoundError
from ltq.names import check_name, is_name
from ltq.state import QueueStats, Status, TaskState

_queues_argument = click.argument(
    "queues",
    nargs=-1,
    required=True,
    metavar="QUEUE...",
    shell_complete=complete_queue,
    callback=each_once,
)


@click.command()
@_queues_argument
@json_option
@broker_url_option
def pause(queues: tuple[str, ...], as_json: bool, broker_url: str | None) -> None:
    """Stop workers from claiming tasks of a queue until it is resumed.

    It takes effect at once, for all workers, and outlasts restarts of workers and broker. Tasks are
    accepted as before, and running ones go on. `ltq stats` marks paused queues.

    \b
    Example:
      ltq pause github:fetch
    """
    found = asyncio.run(_steer(queues, broker_url, pause=True))
    if as_json:
        _print_json(found)
        return
    for stats in found:
        waiting, running = count_tasks(stats.pending + stats.delayed), stats.working
        print_line(open_console(), f"{stats.queue} is paused: {waiting} waiting, {running} running")


@click.command()
@_queues_argument
@json_option
@broker_url_option
def resume(queues: tuple[str, ...], as_json: bool, broker_url: str | None) -> None:
    """Let workers claim tasks of a paused queue again, at once.

    \b
    Example:
      ltq resume github:fetch
    """
    found = asyncio.run(_steer(queues, broker_url, pause=False))
    if as_json:
        _print_json(found)
        return
    for stats in found:
        waiting = count_tasks(stats.pending + stats.delayed)
        print_line(open_console(), f"{stats.queue} is not paused: {waiting} waiting")


async def _steer(queues: Sequence[str], url: str | None, *, pause: bool) -> list[QueueStats]:
    """Pause or resume all of these queues, or none if one is unknown; return their counts."""
    names = [check_name("queue", queue) for queue in queues]
    async with open_broker(url) as broker:
        await check_queues(broker, names)
        for name in names:
            await (broker.pause(name) if pause else broker.resume(name))
        return await broker.stats(names)


def _print_json(found: Sequence[QueueStats]) -> None:
    click.echo(json.dumps([{"queue": one.queue, "paused": one.paused} for one in found]))


@click.command()
@ids_argument
@json_option
@broker_url_option
@click.pass_context
def promote(
    ctx: click.Context, ids: tuple[str, ...], as_json: bool, broker_url: str | None
) -> None:
    """Make delayed tasks pending now, behind those that are pending already.

    A delayed task is one that waits for its `delay`, its `eta` or its next try. The exit code is 1
    if any of them is not delayed; the others are promoted anyway. With --json each task is a
    line.

    \b
    Example:
      ltq promote 0c8bdd0dee0ab0ad55f2f5a7
    """
    answers = asyncio.run(_promote(ids, broker_url))
    for task_id, refusal in zip(ids, answers, strict=True):
        if as_json:
            click.echo(json.dumps({"id": task_id, "promoted": refusal is None}))
        elif refusal is None:
            print_line(open_console(), f"task {task_id} is pending now")
        if refusal is not None:
            tell(refusal)
    if any(answers):
        ctx.exit(1)


async def _promote(ids: Sequence[str], url: str | None) -> list[LtqError | None]:
    """Promote tasks; return for each None, or an error that says why it was not."""
    async with open_broker(url) as broker:
        return [await _promote_one(broker, task_id) for task_id in ids]


async def _promote_one(broker: Broker, task_id: str) -> LtqError | None:
    state = await broker.find(task_id) if is_name(task_id) else None
    if state is not None and state.status is Status.DELAYED:
        if await broker.promote(state.queue, [task_id]):
            return None
        state = await broker.find(task_id)  # it has just changed
    return _refusal(task_id, state)


def _refusal(task_id: str, state: TaskState[bytes] | None) -> LtqError:
    if state is None:
        return TaskNotFoundError(task_id)
    is_over = state.status.is_final
    why = f"it had already ended: {state.status}" if is_over else f"it is {state.status} already"
    return LtqError(f"task {task_id} was not promoted: {why}")
