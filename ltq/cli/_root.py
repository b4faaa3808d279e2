"""The command `ltq` itself: its commands, version and help."""

import io
import platform
import sys

import click

from ltq.cli._lazy import LazyGroup, show_help

_COMMANDS = (
    ("demo.command", "demo", "Try LTQ without Redis, on the files of a directory."),
    ("run.command", "run", "Run a worker, or an App, until SIGTERM or Ctrl-C."),
    ("send.command", "send", "Send a task and print its id."),
    ("schedule.command", "schedule", "Run a scheduler, or list its next runs."),
    ("queues.command", "stats", "Show how many tasks each queue holds."),
    ("queues.command", "size", "Print how many tasks wait in a queue."),
    ("workers", "workers", "Show which workers hold tasks now."),
    ("state", "state", "Show everything that is known about a task."),
    ("watch.command", "watch", "Follow a task live until it ends."),
    ("cancel", "cancel", "Cancel a waiting or running task."),
    ("queues.command", "clear", "Remove all waiting tasks of a queue permanently."),
    ("dead.command", "dead", "List, show, retry or purge failed and rejected tasks."),
    ("check", "check", "Check whether workers consume: exit code 0 or 1."),
    ("doctor", "doctor", "Examine the broker, its queues and its keys, and give advice."),
    ("repair", "repair", "Put tasks that are in no list back into their queues."),
)
"""The module, the command, and its short help of at most 66 characters."""

_EPILOG = """\b
Exit codes:
  0    success
  1    failure: no such task or queue, a failed task, no answer from the broker
  2    wrong use: an unknown option, a missing worker, a wrong URL
  130  stopped with Ctrl-C before there was an answer

An error is one line on stderr that begins with "ltq: ". The broker is --broker-url, else
$LTQ_BROKER_URL, else redis://localhost:6379.
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
    """LTQ, a typed async task queue on Redis.

    \b
    Start here:
      ltq demo
      ltq run jobs:worker
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if ctx.invoked_subcommand is None:
        show_help(ctx)


main.add_lazy(_COMMANDS)
