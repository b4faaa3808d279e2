"""`ltq schedule`: a scheduler until it is told to stop, and what it would do."""

import asyncio
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

import click
from click.shell_completion import CompletionItem

from ltq._aio.signals import stop_on_signals
from ltq.broker import Broker
from ltq.cli._console import open_console, print_columns
from ltq.cli._errors import WrongUseError
from ltq.cli._options import broker_url_option, json_option, log_format_option, log_level_option
from ltq.cli._target import load
from ltq.logger import get_logger, setup_logging
from ltq.schedule import Schedule
from ltq.scheduler import Scheduler
from ltq.worker import URL_VARIABLE, Worker

logger: logging.Logger = get_logger("cli")

_HEAD = ("next run", "schedule", "expression", "zone", "task", "misfire")


class _RunByDefault(click.Group):
    """A group whose first argument may be left out: `run` is meant, and its options are shown."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        found = super().shell_complete(ctx, incomplete)
        if incomplete.startswith("-"):
            known = {one.value for one in found}
            others = self.commands["run"].shell_complete(ctx, incomplete)
            found = [*(one for one in others if one.value not in known), *found]
        return found

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        options = (
            one for one in self.commands["run"].get_params(ctx) if isinstance(one, click.Option)
        )
        records = [one.get_help_record(ctx) for one in options]
        with formatter.section("Options"):
            formatter.write_dl([record for record in records if record is not None])
        self.format_commands(ctx, formatter)


@click.group(
    cls=_RunByDefault,
    invoke_without_command=True,
    options_metavar="",
    subcommand_metavar="[list] MODULE:SCHEDULER [OPTIONS]",
    short_help="Enqueue tasks by their schedules.",
)
@click.pass_context
def schedule(ctx: click.Context) -> None:
    """Enqueue tasks by their schedules until SIGTERM or Ctrl-C; with `list`, show the next runs.

    MODULE:SCHEDULER names an ltq.Scheduler, or a worker with @worker.cron schedules. Run as many
    as you like: each slot is enqueued once.

    \b
    Examples:
      ltq schedule jobs:scheduler
      ltq schedule list jobs:scheduler
      ltq schedule list jobs:scheduler --json
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(2)


@schedule.command(hidden=True)
@click.argument("target", metavar="MODULE:SCHEDULER")
@log_level_option
@log_format_option
@broker_url_option
def run(target: str, log_level: str, log_format: str, broker_url: str | None) -> None:
    """Enqueue tasks by their schedules until SIGTERM or Ctrl-C.

    --broker-url overrides what the code says.

    \b
    Example:
      ltq schedule jobs:scheduler
    """
    as_json = log_format == "json"
    setup_logging(log_level, as_json=as_json)
    if broker_url is not None:
        Broker.from_url(broker_url)  # a wrong one is told before anything is imported
        os.environ[URL_VARIABLE] = broker_url
    scheduler = _load(target)
    # Now that the module had its chance to set logging up as it likes.
    setup_logging(log_level, as_json=as_json, everybody=True)
    if broker_url is not None:
        scheduler.broker = Broker.from_url(broker_url)
    asyncio.run(_run(scheduler))
    logger.info("scheduler has stopped")


async def _run(scheduler: Scheduler) -> None:
    """From the first line it logs on a signal ends it in order."""
    told = asyncio.Event()
    with stop_on_signals(lambda _: told.set()):
        announce(scheduler)
        await asyncio.sleep(0)  # for a signal that has come already
        if not told.is_set():
            await scheduler.run()
    await scheduler.broker.aclose()


@schedule.command("list")
@click.argument("target", metavar="MODULE:SCHEDULER")
@click.option(
    "--count",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    metavar="N",
    help="So many runs of each schedule.",
)
@json_option
def list_(target: str, count: int, as_json: bool) -> None:
    """Show the next runs, the first one first. Nothing is connected to.

    \b
    Example:
      ltq schedule list jobs:scheduler --count 3
    """
    now = time.time()
    found = [_Next.of(one, now, count) for one in _load(target).schedules]
    if as_json:
        click.echo(json.dumps([one.as_json() for one in found]))
        return
    runs = sorted((run, one.row()) for one in found for run in one.runs)
    rows = [(run.isoformat(sep=" "), *row) for run, row in runs]
    print_columns(open_console(), _HEAD, rows, left=set(range(len(_HEAD))))


def schedulers_of(workers: Iterable[Worker[Any]]) -> list[Scheduler]:
    """Schedulers of what workers declare, each on its worker's broker. Raises `WrongUseError`."""
    schedulers = []
    for worker in workers:
        if worker.schedules:
            scheduler = Scheduler(broker=worker.broker)
            scheduler.register_worker(worker)
            schedulers.append(scheduler)
    if not schedulers:
        raise WrongUseError("there are no schedules to run: declare some with @worker.cron(...)")
    return schedulers


@asynccontextmanager
async def run_beside(schedulers: Sequence[Scheduler]) -> AsyncIterator[None]:
    """Run schedulers, each in a thread of its own, beside the code of the block."""
    for scheduler in schedulers:
        scheduler.start_background()
    try:
        yield
    finally:
        for scheduler in schedulers:
            await scheduler.stop()


def announce(scheduler: Scheduler) -> None:
    """Log what is scheduled, and where."""
    count = len(scheduler.schedules)
    named = "1 schedule" if count == 1 else f"{count} schedules"
    logger.info("scheduler: %s, broker %s", named, scheduler.broker.url)
    if logger.isEnabledFor(logging.INFO):
        for one in scheduler.schedules:
            (run,) = _Next.of(one, time.time(), 1).runs
            logger.info("%s: %s %s, next at %s", one.name, one.expr, one.tz, run.isoformat())
    if scheduler.broker.is_local:
        logger.warning(
            "%s is this process's own: no other process can reach it", scheduler.broker.url
        )


@dataclass(frozen=True, slots=True)
class _Next:
    """The next runs of a schedule."""

    schedule: Schedule
    runs: list[datetime]

    @classmethod
    def of(cls, schedule: Schedule, now: float, count: int) -> "_Next":
        slots = islice(schedule.iterate(int(now)), count)
        return cls(schedule, [datetime.fromtimestamp(slot, schedule.zone) for slot in slots])

    def row(self) -> tuple[str, ...]:
        one = self.schedule
        return one.name, one.expr, one.tz, one.task.name, one.misfire

    def as_json(self) -> dict[str, object]:
        fields = ("name", "expression", "tz", "task", "misfire")
        runs = [run.isoformat() for run in self.runs]
        return {**dict(zip(fields, self.row(), strict=True)), "next": runs}


def _load(target: str) -> Scheduler:
    found = load(target, Scheduler)
    if isinstance(found, Worker):
        return schedulers_of([found])[0]
    if not isinstance(found, Scheduler):
        kind = type(found).__name__
        raise WrongUseError(f"{target} is not an ltq.Scheduler or ltq.Worker: it is of type {kind}")
    if not found.schedules:
        raise WrongUseError(f"{target} has no schedules: add some with scheduler.cron(...)")
    return found
