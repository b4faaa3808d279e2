"""`ltq schedule`: run a scheduler, and see and steer the schedules of a broker."""

import asyncio
import json
import logging
import time

import click
from click.shell_completion import CompletionItem

from ltq.broker import Broker
from ltq.cli._broker import export_broker_url
from ltq.cli._completion.targets import complete_target
from ltq.cli._console import open_console, print_line
from ltq.cli._early_signals import EarlySignals
from ltq.cli._lazy import OrderedGroup, show_help
from ltq.cli._options import broker_url_option, json_option, log_format_option, log_level_option
from ltq.cli.schedule._schedulers import load_scheduler, run_scheduler
from ltq.cli.schedule._steer import (
    load_target,
    open_scheduler,
    pause,
    put,
    remove,
    resume,
    trigger,
)
from ltq.cli.schedule._view import Listed, info_of, print_listed
from ltq.errors import BrokerError
from ltq.logger import get_logger, setup_logging
from ltq.schedule import ScheduleInfo
from ltq.scheduler import Scheduler

logger: logging.Logger = get_logger("cli")

_BROKER_PATIENCE = 2.0
"""Seconds that a broker gets to say what it knows of the schedules that code declares."""

_ONLY_KEPT = (
    "what is only declared in code, and not paused, is listed by "
    "`ltq schedule list MODULE:SCHEDULER`"
)

_complete_scheduler = complete_target("Scheduler", "Worker")


class _RunByDefault(OrderedGroup):
    """A group that runs its command `run` by default, and shows the options of `run`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        found = super().shell_complete(ctx, incomplete)
        if incomplete.startswith("-"):
            known = {one.value for one in found}
            others = self.commands["run"].shell_complete(ctx, incomplete)
            return [*(one for one in others if one.value not in known), *found]
        if not ctx.args and ctx.invoked_subcommand is None:
            found += _complete_scheduler(ctx, self.commands["run"].params[0], incomplete)
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
    subcommand_metavar="MODULE:SCHEDULER [OPTIONS] | COMMAND ...",
    short_help="Run a scheduler; list, put, pause or trigger schedules.",
)
@click.pass_context
def schedule(ctx: click.Context) -> None:
    """Run a scheduler until SIGTERM or Ctrl-C, or list and steer schedules.

    MODULE:SCHEDULER names an ltq.Scheduler, or a worker. It runs the schedules that are declared
    there, and those that the broker keeps. Several schedulers may run at once: each run of a
    schedule is enqueued once.

    \b
    Examples:
      ltq schedule jobs:scheduler
      ltq schedule list
      ltq schedule put nightly '30 2 * * *' jobs:worker.report
      ltq schedule pause nightly
    """
    if ctx.invoked_subcommand is None:
        show_help(ctx)


@schedule.command(hidden=True)
@click.argument("target", metavar="MODULE:SCHEDULER", shell_complete=_complete_scheduler)
@log_level_option
@log_format_option
@broker_url_option
def run(target: str, log_level: str, log_format: str, broker_url: str | None) -> None:
    """Run a scheduler until SIGTERM or Ctrl-C.

    --broker-url overrides the URL in the code.

    \b
    Example:
      ltq schedule jobs:scheduler
    """
    early = EarlySignals()
    with early.around():
        as_json = log_format == "json"
        setup_logging(log_level, as_json=as_json)
        export_broker_url(broker_url)
        scheduler = load_scheduler(target)
        early.check()
        # Only now: the user's module may have set up logging itself.
        setup_logging(log_level, as_json=as_json, everybody=True)
        if broker_url is not None:
            scheduler._redirect(Broker.from_url(broker_url))  # noqa: SLF001  nobody else overrides the code
        run_scheduler(scheduler)
        logger.info("scheduler has stopped")


@schedule.command("list", short_help="List schedules and their next runs.")
@click.argument(
    "target",
    metavar="[MODULE:SCHEDULER]",
    required=False,
    shell_complete=_complete_scheduler,
)
@click.option(
    "--count",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    metavar="N",
    help="List the next N runs of each schedule.",
)
@json_option
@broker_url_option
def list_(target: str | None, count: int, as_json: bool, broker_url: str | None) -> None:
    """List the schedules that the broker keeps, with their next runs in order of time.

    With a target also those that it declares; these are listed without a broker as well. Without
    one, of those that are declared in code only the paused ones are listed, and the last line says
    how to see the others.

    \b
    Examples:
      ltq schedule list
      ltq schedule list jobs:scheduler --count 3
    """
    if target is None:
        infos = asyncio.run(_read(broker_url))
    else:
        scheduler = load_target(target, broker_url)
        infos = asyncio.run(_read_with(scheduler))
    now = time.time()
    listed = [Listed.of(one, now, count) for one in infos]
    if as_json:
        click.echo(json.dumps([one.as_json() for one in listed]))
    else:
        print_listed(open_console(), listed)
        if target is None:
            print_line(open_console(), _ONLY_KEPT)


async def _read(url: str | None) -> list[ScheduleInfo]:
    async with open_scheduler(None, url) as scheduler:
        return await scheduler.list()


async def _read_with(scheduler: Scheduler) -> list[ScheduleInfo]:
    """Return all schedules; only those that are declared if the broker does not answer."""
    try:
        async with asyncio.timeout(_BROKER_PATIENCE):
            return await scheduler.list()
    except (BrokerError, TimeoutError):
        told = "the broker does not answer: only what is declared in code is listed"
        click.echo(f"ltq: warning: {told}", err=True)
        return [info_of(one, time.time()) for one in scheduler.schedules]
    finally:
        for broker in scheduler.brokers:
            await broker.aclose()


for _command in (put, pause, resume, trigger, remove):
    schedule.add_command(_command)
