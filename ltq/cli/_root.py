"""The command `ltq` itself: its commands, version and help."""

import io
import platform
import sys

import click
from click.shell_completion import add_completion_class

from ltq.cli._completion.bash import ColonBashComplete
from ltq.cli._lazy import LazyGroup, show_help
from ltq.cli._streams import open_standard_streams

_COMMANDS = (
    ("demo.command", "demo", "Try LTQ without a server, on the files of a directory."),
    ("run.command", "run", "Run a worker, or an App, until SIGTERM or Ctrl-C."),
    ("send.command", "send", "Send a task and print its id."),
    ("schedule.command", "schedule", "Run a scheduler; list, put, pause or trigger schedules."),
    ("queues.command", "stats", "Show how many tasks each queue holds."),
    ("queues.command", "size", "Print how many tasks wait in a queue."),
    ("history.command", "history", "Show how many tasks ended in each minute, and how long."),
    ("tasks.command", "tasks", "List the tasks of a queue, page by page."),
    ("metrics.command", "metrics", "Print the metrics of all queues, or serve them."),
    ("workers", "workers", "Show all workers, and whether they live."),
    ("web.command", "web", "Serve the dashboard: queues, tasks and workers in a browser."),
    ("top.command", "top", "Show queues, workers and running tasks live."),
    ("state.command", "state", "Show everything that is known about tasks."),
    ("watch.command", "watch", "Follow tasks live until they end."),
    ("cancel.command", "cancel", "Cancel waiting or running tasks."),
    ("cancel.command", "rerun", "Send ended tasks again."),
    ("steer.command", "promote", "Make delayed tasks pending now."),
    ("steer.command", "pause", "Stop workers from claiming tasks of a queue until it is resumed."),
    ("steer.command", "resume", "Let workers claim tasks of a paused queue again."),
    ("queues.command", "clear", "Remove all waiting tasks of a queue permanently."),
    ("move.command", "move", "Move tasks and schedules to another broker."),
    ("dead.command", "dead", "List, show, retry or purge failed and rejected tasks."),
    ("check", "check", "Check whether workers consume: exit code 0 or 1."),
    ("doctor.command", "doctor", "Examine the broker, its queues and its keys, and give advice."),
    ("migrate.command", "migrate", "Make or upgrade the tables of a PostgreSQL broker."),
    ("bridge.command", "bridge", "Write what comes through RabbitMQ into its store."),
    ("repair", "repair", "Put lost tasks back into their queues, and carry workflows on."),
)
"""The module, the command, and its short help of at most 66 characters."""

_EPILOG = """\b
Exit codes:
  0    success
  1    failure: no such task or queue, a failed task, no answer from the broker
  2    wrong use: an unknown option, a missing worker, a wrong URL
  130  stopped with Ctrl-C before there was an answer

An error is one line on stderr that begins with "ltq: ". The broker is --broker-url, a URL or @NAME,
else $LTQ_BROKER_URL, else the primary named broker, else redis://localhost:6379.
"""


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        python = platform.python_version()
        click.echo(f"ltq {_installed('ltq')} (Python {python}, redis-py {_installed('redis')})")
        ctx.exit()


def _installed(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version  # slow to import

    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"


@click.group(
    cls=LazyGroup,
    epilog=_EPILOG,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Print the version and exit.",
)
@click.pass_context
def main(ctx: click.Context) -> None:
    """LTQ, a typed async task queue on Redis, PostgreSQL, RabbitMQ or a SQLite file.

    \b
    Start here:
      ltq demo
      ltq run jobs:worker
    """
    open_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if ctx.invoked_subcommand is None:
        show_help(ctx)


main.add_lazy(_COMMANDS)
add_completion_class(ColonBashComplete)
