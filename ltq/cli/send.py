"""`ltq send`: one task, from a shell."""

import asyncio
import json
import os
from typing import Any

import click

from ltq._declared import DeclaredTask
from ltq.broker import Broker
from ltq.cli._console import open_console, print_line
from ltq.cli._errors import CommandError, StoppedError, WrongUseError
from ltq.cli._options import broker_url_option, duration, json_option, warn_local
from ltq.cli._states import result_text, state_json
from ltq.cli._target import load_task
from ltq.errors import InvalidArgumentsError, TaskNotFoundError
from ltq.options import PriorityName, SendOptions
from ltq.state import Status, TaskState
from ltq.task import Task
from ltq.worker import URL_VARIABLE, Worker


def _json(text: str) -> Any:
    """The type of an option."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"{text[:80]!r} is no JSON: {error}") from error


def _guess(text: str) -> Any:
    """What somebody may have meant who wrote it without quotation marks."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


@click.command(context_settings={"allow_extra_args": True})
@click.argument("target", metavar="MODULE:WORKER.TASK")
@click.option(
    "--json-args",
    "--args",
    "args",
    type=_json,
    default="[]",
    metavar="JSON",
    help="""The arguments by position, like '[1, {"x": 2}]'.""",
)
@click.option(
    "--kwargs",
    type=_json,
    default="{}",
    metavar="JSON",
    help="""The arguments by name, like '{"discount": 0.1}'.""",
)
@click.option("--id", "task_id", metavar="ID", help="An id of your own.")
@click.option("--delay", type=duration, metavar="TIME", help="Start it later: 90, 15m, 2h.")
@click.option("--priority", type=click.Choice(["high", "normal", "low"]))
@click.option("--wait", is_flag=True, help="Wait for the end, and print the result.")
@click.option("--timeout", type=duration, metavar="TIME", help="With --wait: give up after that.")
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
    wait: bool,
    timeout: float | None,
    as_json: bool,
    broker_url: str | None,
) -> None:
    """Send a task, and print its id.

    The arguments are JSON; they are checked against the function's annotations before anything is
    sent. With --wait the result is printed instead, and the exit code is 0 if the task completed,
    1 if it ended in another way.

    \b
    Examples:
      ltq send shop:worker.checkout --args '[7]' --kwargs '{"discount": 0.1}'
      ltq send shop:worker.checkout --args '[7]' --delay 15m --priority low
      ltq send shop:worker.checkout --args '[7]' --wait --timeout 30
    """
    if ctx.args:
        meant = json.dumps([_guess(text) for text in ctx.args])
        raise WrongUseError(f"the arguments of a task are JSON: did you mean --args '{meant}'?")
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        raise WrongUseError("--json-args takes a JSON array, --kwargs a JSON object")
    if timeout is not None and not wait:
        raise WrongUseError("--timeout goes with --wait")
    if broker_url is not None:
        Broker.from_url(broker_url)  # a wrong one is told before anything is imported
        os.environ[URL_VARIABLE] = broker_url
    worker, task = load_task(target)
    if broker_url is not None:
        worker.broker = Broker.from_url(broker_url)
    try:
        given = DeclaredTask.of(task).codec.read_call(args, kwargs)
    except InvalidArgumentsError as error:
        raise WrongUseError(str(error)) from error
    chosen = task.with_options(**_options(task_id, delay, priority))
    sent, state = asyncio.run(_send(worker, chosen, given, timeout, wait=wait))
    if state is not None:
        _tell(state, as_json=as_json)
    else:
        click.echo(json.dumps({"id": sent, "task": task.name}) if as_json else sent)


def _options(
    task_id: str | None, delay: float | None, priority: PriorityName | None
) -> SendOptions:
    options = SendOptions()
    if task_id is not None:
        options["id"] = task_id
    if delay is not None:
        options["delay"] = delay
    if priority is not None:
        options["priority"] = priority
    return options


async def _send(
    worker: Worker,
    task: Task[..., Any],
    given: tuple[tuple[Any, ...], dict[str, Any]],
    timeout: float | None,
    *,
    wait: bool,
) -> tuple[str, TaskState[bytes] | None]:
    """The id, and the final state where that is waited for."""
    if worker.broker.is_local:
        warn_local(worker.broker)
    try:
        handle = await task.send(*given[0], **given[1])
        if not wait:
            return handle.id, None
        watched = worker.broker.watch(task.queue, handle.id, timeout=timeout)
        try:
            return handle.id, [state async for state in watched][-1]
        except TaskNotFoundError as error:
            raise CommandError(
                f"task {handle.id} left no state: it ended with result_ttl=0, or was removed"
            ) from error
        except asyncio.CancelledError:
            raise StoppedError(f"stopped waiting, task {handle.id} goes on") from None
    finally:
        await worker.aclose()


def _tell(state: TaskState[bytes], *, as_json: bool) -> None:
    """The result, or why there is none."""
    if as_json:
        click.echo(state_json(state))
    elif state.status is Status.COMPLETED:
        print_line(open_console(), result_text(state.result or b"null"))
    if state.status is not Status.COMPLETED:
        reason = f": {state.error}" if state.error else ""
        raise CommandError(f"task {state.id} ended as {state.status}{reason}")
