"""The command `ltq` itself: its commands, its version, its help."""

import io
import platform
import sys

import click

from ltq.cli._lazy import LazyGroup

_COMMANDS = (
    ("demo.command", "demo", "Try LTQ out, without Redis, on the files of a directory."),
    ("run.command", "run", "Run a worker (or an App) until SIGTERM or Ctrl-C."),
    ("send", "send", "Send a task, and print its id."),
    ("schedule", "schedule", "Enqueue tasks by their schedules."),
    ("queues.command", "stats", "Show how many tasks of each queue are where."),
    ("queues.command", "size", "Print how many tasks wait in a queue."),
    ("workers", "workers", "Show which runs of workers hold tasks now."),
    ("tasks", "state", "Show all there is to know of a task."),
    ("watch", "watch", "Follow a task live until it ends."),
    ("tasks", "cancel", "Cancel a task, waiting or running."),
    ("queues.command", "clear", "Remove all waiting tasks of a queue for good."),
    ("dead.command", "dead", "List, show, retry or remove failed and rejected tasks."),
    ("check", "check", "Tell by the exit code whether workers consume."),
    ("doctor", "doctor", "Check the server and LTQ's keys, and say what to do."),
    ("doctor", "repair", "Give tasks that stand nowhere their place back."),
)
"""The module, the command, and what it does in a line of 80 columns."""

_EPILOG = """\b
Exit codes:
  0    fine
  1    it did not work out: no such task, a task that failed, no answer from the broker
  2    wrong use: an unknown option, a worker that is not there, a wrong URL
  130  stopped by Ctrl-C before there was an answer

Errors are one line on stderr that begins with "ltq: ". The broker is --broker-url, else
$LTQ_BROKER_URL, else redis://localhost:6379.
"""


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        python = platform.python_version()
        click.echo(f"ltq {_installed('ltq')} (Python {python}, redis-py {_installed('redis')})")
        ctx.exit()


def _installed(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version  # slow, and seldom needed

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
    """LTQ, a typed async task queue on Redis.

    \b
    Begin here:
      ltq demo
      ltq run jobs:worker
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(2)


main.add_lazy(_COMMANDS)
