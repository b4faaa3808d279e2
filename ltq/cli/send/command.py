"""`ltq send`: one task, sent from a shell."""

import asyncio
import json
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import click

from ltq._declared import DeclaredTask
from ltq.broker import Broker
from ltq.cli._broker import told_of_store
from ltq.cli._completion.targets import complete_task
from ltq.cli._console import open_console, print_line
from ltq.cli._errors import CommandError, StoppedError, WrongUseError
from ltq.cli._format import failure_text, shown_result, state_json
from ltq.cli._live.clock import BrokerClock
from ltq.cli._live.line import LiveLine
from ltq.cli._options import MIN_TIMEOUT, broker_url_option, duration, duration_from, json_option
from ltq.cli._target import call_options, load_call
from ltq.codec import DEFAULT_SERIALIZER
from ltq.errors import DecodeError, TaskNotFoundError
from ltq.options import PriorityName, SendOptions
from ltq.state import Status, TaskState
from ltq.task import Task
from ltq.worker import Worker


def _guess(text: str) -> Any:
    """Parse JSON; return anything else as a string."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


@click.command(context_settings={"allow_extra_args": True})
@click.argument("target", metavar="MODULE:WORKER.TASK", shell_complete=complete_task)
@call_options
@click.option("--id", "task_id", metavar="ID", help="Use this id instead of a new one.")
@click.option(
    "--delay", type=duration, metavar="TIME", help="Run it after TIME, like 90, 15m or 2h."
)
@click.option(
    "--priority",
    type=click.Choice(["high", "normal", "low"]),
    help="Overrides the priority that the task declares.",
)
@click.option(
    "--tag",
    "tags",
    multiple=True,
    metavar="TAG",
    help="Give it a tag, in addition to those that the task declares. May be repeated.",
)
@click.option(
    "--keep-body/--no-keep-body",
    default=None,
    help="Keep its arguments with its state, so that it can be sent once more by `ltq rerun`; or "
    "not. Overrides what the task declares.",
)
@click.option("--wait", is_flag=True, help="Wait until the task ends and print its result.")
@click.option(
    "--timeout",
    type=duration_from(MIN_TIMEOUT),
    metavar="TIME",
    help="With --wait: give up after TIME.",
)
@json_option
@broker_url_option
@click.pass_context
def send(  # noqa: PLR0913  its options
    ctx: click.Context,
    target: str,
    args: Any,
    kwargs: Any,
    task_id: str | None,
    delay: float | None,
    priority: PriorityName | None,
    tags: tuple[str, ...],
    keep_body: bool | None,
    wait: bool,
    timeout: float | None,
    as_json: bool,
    broker_url: str | None,
) -> None:
    """Send a task and print its id.

    The arguments are JSON. They are checked against the function's annotations before the task is
    sent. With --wait it prints the result instead, and shows on a terminal how far the task is; the
    exit code is 0 if the task completed, else 1.

    \b
    Examples:
      ltq send shop:worker.checkout --args '[7]' --kwargs '{"discount": 0.1}'
      ltq send shop:worker.checkout --args '[7]' --delay 15m --priority low
      ltq send shop:worker.checkout --args '[7]' --wait --timeout 30
    """
    if ctx.args:
        meant = json.dumps([_guess(text) for text in ctx.args])
        raise WrongUseError(f"a task's arguments are JSON: did you mean --args '{meant}'?")
    if timeout is not None and not wait:
        raise WrongUseError("--timeout needs --wait")
    worker, task, given = load_call(target, args, kwargs, broker_url)
    chosen = task.with_options(**_options(task_id, delay, priority, tags, keep_body))
    sent, state = asyncio.run(_send(worker, chosen, given, timeout, wait=wait))
    if state is not None:
        _print_end(task, state, as_json=as_json)
    else:
        click.echo(json.dumps({"id": sent, "task": task.name}) if as_json else sent)


def _options(
    task_id: str | None,
    delay: float | None,
    priority: PriorityName | None,
    tags: tuple[str, ...],
    keep_body: bool | None,
) -> SendOptions:
    options = SendOptions()
    if task_id is not None:
        options["id"] = task_id
    if delay is not None:
        options["delay"] = delay
    if priority is not None:
        options["priority"] = priority
    if tags:
        options["tags"] = tags
    if keep_body is not None:
        options["keep_body"] = keep_body
    return options


async def _send(
    worker: Worker,
    task: Task[..., Any],
    given: tuple[tuple[Any, ...], dict[str, Any]],
    timeout: float | None,
    *,
    wait: bool,
) -> tuple[str, TaskState[bytes] | None]:
    """Send the task; return its id, and with `wait` its final state."""
    with told_of_store(worker.broker):
        try:
            handle = await task.send(*given[0], **given[1])
            if not wait:
                return handle.id, None
            return handle.id, await _final(worker.broker, task.queue, handle.id, timeout)
        finally:
            await worker.aclose()


async def _final(
    broker: Broker, queue: str, task_id: str, timeout: float | None
) -> TaskState[bytes]:
    """Return the final state. Raises `CommandError` if it left none, `StoppedError` at Ctrl-C."""
    try:
        return await _wait(broker, queue, task_id, timeout)
    except TaskNotFoundError as error:
        raise CommandError(
            f"task {task_id} left no state: it ended with result_ttl=0, or it was removed"
        ) from error
    except asyncio.CancelledError:
        raise StoppedError(f"stopped waiting; task {task_id} was not cancelled") from None


async def _wait(
    broker: Broker, queue: str, task_id: str, timeout: float | None
) -> TaskState[bytes]:
    """Return the final state. Until it comes, the present one is shown if stderr is a terminal."""
    console = open_console(stderr=True)
    states = broker.watch(queue, task_id, timeout=timeout)
    async with aclosing(states):
        if not console.is_interactive:
            return [state async for state in states][-1]
        line = LiveLine(console, await BrokerClock.read(broker), transient=True)
        with line.screen():
            async for state in states:
                line.show(state)
        return state


def _print_end(task: Task[..., Any], state: TaskState[bytes], *, as_json: bool) -> None:
    """Print the result or the state. Raises `CommandError` if the task did not complete."""
    state = _in_json(task, state)
    if as_json:
        click.echo(state_json(state))
    elif state.status is Status.COMPLETED:
        print_line(open_console(), shown_result(state) if state.result else "null")
    if state.status is not Status.COMPLETED:
        raise CommandError(failure_text(state))


def _in_json(task: Task[..., Any], state: TaskState[bytes]) -> TaskState[bytes]:
    """Return the state with its result in JSON, if the task's own serializer can read it."""
    if not state.result:
        return state
    try:
        data = DeclaredTask.of(task).codec.result_as_json(state.result, state.serializer)
    except DecodeError:
        return state
    return replace(state, result=data, serializer=DEFAULT_SERIALIZER)
