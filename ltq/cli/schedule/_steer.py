"""Putting, pausing, resuming, removing and triggering schedules from a shell."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar

import click

from ltq._cron.expression import parse_cron
from ltq.broker import Broker
from ltq.cli._broker import export_broker_url, open_broker, told_of_store
from ltq.cli._completion.targets import complete_target, complete_task
from ltq.cli._console import open_console, print_line
from ltq.cli._errors import CommandError
from ltq.cli._options import broker_url_option, json_option
from ltq.cli._target import call_options, load_call
from ltq.cli.schedule._schedulers import load_scheduler
from ltq.errors import ScheduleNotFoundError
from ltq.schedule import Misfire
from ltq.scheduler import Scheduler

T = TypeVar("T")

_IN_CODE = "name MODULE:SCHEDULER, too, for one that is only declared in code"
_REMOVED_THERE = "one that is only declared in code is removed there"
"""What a command can do with a schedule that the broker does not know."""


@asynccontextmanager
async def open_scheduler(target: str | None, url: str | None) -> AsyncIterator[Scheduler]:
    """A scheduler that does not run: that of a target, or one of the broker alone."""
    if target is None:
        async with open_broker(url) as broker:
            yield Scheduler(broker=broker)
        return
    scheduler = load_target(target, url)
    try:
        yield scheduler
    finally:
        for broker in scheduler.brokers:
            await broker.aclose()


def load_target(target: str, url: str | None) -> Scheduler:
    """Import a scheduler. `--broker-url` overrides the URL in the code."""
    export_broker_url(url)
    scheduler = load_scheduler(target)
    if url is not None:
        scheduler._redirect(Broker.from_url(url))  # noqa: SLF001  nobody else overrides the code
    return scheduler


def _do(
    target: str | None,
    url: str | None,
    action: Callable[[Scheduler], Awaitable[T]],
    *,
    hint: str = _IN_CODE,
) -> T:
    """Do something with a scheduler that does not run. `hint` is told of an unknown name."""

    async def do() -> T:
        async with open_scheduler(target, url) as scheduler:
            try:
                return await action(scheduler)
            except ScheduleNotFoundError as error:
                if error.near or target is not None:
                    raise
                known = "`ltq schedule list` shows those that the broker knows"
                raise CommandError(f"{error}: {known}; {hint}") from error

    return asyncio.run(do())


_name = click.argument("name")
_target = click.argument(
    "target",
    metavar="[MODULE:SCHEDULER]",
    required=False,
    shell_complete=complete_target("Scheduler", "Worker"),
)


@click.command(short_help="Keep a schedule in the broker, or change it.")
@_name
@click.argument("expr")
@click.argument("target", metavar="MODULE:WORKER.TASK", shell_complete=complete_task)
@call_options
@click.option("--tz", metavar="ZONE", help="The time zone, like Europe/Berlin. Default: UTC.")
@click.option(
    "--misfire",
    type=click.Choice(["once", "skip", "all"]),
    default="once",
    show_default=True,
    help="What to do about missed runs: run once for all of them, skip them, or run each.",
)
@json_option
@broker_url_option
def put(  # noqa: PLR0913  its options
    name: str,
    expr: str,
    target: str,
    args: Any,
    kwargs: Any,
    tz: str | None,
    misfire: Misfire,
    as_json: bool,
    broker_url: str | None,
) -> None:
    """Keep a schedule in the broker. Every scheduler of the broker runs it, within a second.

    EXPR is a cron expression of five fields, or of six with the seconds last. The arguments are
    checked and kept as they travel. A schedule with the same name that was put before is replaced.

    \b
    Examples:
      ltq schedule put nightly '30 2 * * *' shop:worker.report --tz Europe/Berlin
      ltq schedule put ping '*/5 * * * *' shop:worker.ping --args '["eu"]'
    """
    worker, task, (given, named) = load_call(target, args, kwargs, broker_url)
    message = task.message(*given, **named)

    async def keep() -> float:
        with told_of_store(worker.broker):
            async with worker.broker:
                await Scheduler(broker=worker.broker).put(
                    name, expr, message, tz=tz, misfire=misfire
                )
                return await worker.broker.time()

    cron = parse_cron(expr, tz or "UTC")
    slot = cron.next(int(asyncio.run(keep())))
    run = datetime.fromtimestamp(slot, cron.zone).isoformat(sep="T" if as_json else " ")
    if as_json:
        click.echo(json.dumps({"name": name, "next": run}))
    else:
        print_line(open_console(), f"schedule {name} is kept, next run at {run}")


@click.command(short_help="Stop a schedule from enqueueing until it is resumed.")
@_name
@_target
@json_option
@broker_url_option
def pause(name: str, target: str | None, as_json: bool, broker_url: str | None) -> None:
    """Stop a schedule from enqueueing until it is resumed, in every process.

    It was put, or is declared in code. The target is needed only for one that is declared there
    and that no scheduler has run yet.

    \b
    Example:
      ltq schedule pause nightly
    """
    _do(target, broker_url, lambda scheduler: scheduler.pause(name))
    _tell(f"schedule {name} is paused", as_json, name=name, paused=True)


@click.command(short_help="Let a paused schedule go on.")
@_name
@_target
@json_option
@broker_url_option
def resume(name: str, target: str | None, as_json: bool, broker_url: str | None) -> None:
    """Let a paused schedule go on. What was due meanwhile was missed: --misfire of its put, or
    misfire= in its code, says what becomes of it.

    \b
    Example:
      ltq schedule resume nightly
    """
    _do(target, broker_url, lambda scheduler: scheduler.resume(name))
    _tell(f"schedule {name} is not paused", as_json, name=name, paused=False)


@click.command(short_help="Remove a schedule that was put.")
@_name
@json_option
@broker_url_option
def remove(name: str, as_json: bool, broker_url: str | None) -> None:
    """Remove a schedule that was put. Nothing more is enqueued for it.

    One that is declared in code is removed there, or paused by `ltq schedule pause`.

    \b
    Example:
      ltq schedule remove nightly
    """
    _do(None, broker_url, lambda scheduler: scheduler.remove(name), hint=_REMOVED_THERE)
    _tell(f"schedule {name} is removed", as_json, name=name, removed=True)


@click.command(short_help="Send the task of a schedule now, and print its id.")
@_name
@_target
@click.option("--id", "task_id", metavar="ID", help="Use this id instead of a new one.")
@json_option
@broker_url_option
def trigger(
    name: str, target: str | None, task_id: str | None, as_json: bool, broker_url: str | None
) -> None:
    """Send the task of a schedule now, once, and print its id. Its own runs stay as they are.

    A schedule that is declared in code needs its target. With the same --id nothing is sent twice.

    \b
    Examples:
      ltq schedule trigger nightly
      ltq schedule trigger tidy jobs:worker
    """
    sent = _do(target, broker_url, lambda scheduler: scheduler.trigger(name, id=task_id))
    _tell(sent, as_json, name=name, id=sent)


def _tell(line: str, as_json: bool, **fields: object) -> None:
    if as_json:
        click.echo(json.dumps(fields))
    else:
        print_line(open_console(), line)
