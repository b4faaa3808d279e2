"""`ltq schedule`: run a scheduler, or list its next runs."""

import asyncio
import json
import logging
import time

import click
from click.shell_completion import CompletionItem

from ltq.broker import Broker
from ltq.cli._broker import export_broker_url
from ltq.cli._console import open_console, print_columns
from ltq.cli._lazy import show_help
from ltq.cli._options import broker_url_option, json_option, log_format_option, log_level_option
from ltq.cli.schedule._next_runs import NextRuns
from ltq.cli.schedule._schedulers import load_scheduler, run_scheduler
from ltq.logger import get_logger, setup_logging

logger: logging.Logger = get_logger("cli")

_HEAD = ("next run", "schedule", "expression", "zone", "task", "misfire")


class _RunByDefault(click.Group):
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
    short_help="Run a scheduler, or list its next runs.",
)
@click.pass_context
def schedule(ctx: click.Context) -> None:
    """Run a scheduler until SIGTERM or Ctrl-C, or list its next runs.

    MODULE:SCHEDULER names an ltq.Scheduler, or a worker with @worker.cron schedules. Several
    schedulers may run at once: each run of a schedule is enqueued once.

    \b
    Examples:
      ltq schedule jobs:scheduler
      ltq schedule list jobs:scheduler
      ltq schedule list jobs:scheduler --json
    """
    if ctx.invoked_subcommand is None:
        show_help(ctx)


@schedule.command(hidden=True)
@click.argument("target", metavar="MODULE:SCHEDULER")
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
    as_json = log_format == "json"
    setup_logging(log_level, as_json=as_json)
    export_broker_url(broker_url)
    scheduler = load_scheduler(target)
    # Only now: the user's module may have set up logging itself.
    setup_logging(log_level, as_json=as_json, everybody=True)
    if broker_url is not None:
        scheduler.broker = Broker.from_url(broker_url)
    asyncio.run(run_scheduler(scheduler))
    logger.info("scheduler has stopped")


@schedule.command("list")
@click.argument("target", metavar="MODULE:SCHEDULER")
@click.option(
    "--count",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    metavar="N",
    help="List the next N runs of each schedule.",
)
@json_option
def list_(target: str, count: int, as_json: bool) -> None:
    """List the next runs in order of time. No broker is needed.

    \b
    Example:
      ltq schedule list jobs:scheduler --count 3
    """
    now = time.time()
    found = [NextRuns.after(one, now, count) for one in load_scheduler(target).schedules]
    if as_json:
        click.echo(json.dumps([one.as_json() for one in found]))
        return
    runs = sorted((run, one.row()) for one in found for run in one.runs)
    rows = [(run.isoformat(sep=" "), *row) for run, row in runs]
    print_columns(open_console(), _HEAD, rows, left=set(range(len(_HEAD))))
