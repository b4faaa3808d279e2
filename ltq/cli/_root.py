"""The command `ltq` itself: its commands, its version, its help."""

import io
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from ltq.cli._errors import one_line
from ltq.cli.check import check
from ltq.cli.dead import dead
from ltq.cli.demo import demo
from ltq.cli.doctor import doctor, repair
from ltq.cli.queues import clear, size, stats
from ltq.cli.run import run
from ltq.cli.schedule import schedule
from ltq.cli.send import send
from ltq.cli.tasks import cancel, state
from ltq.cli.watch import watch
from ltq.cli.workers import workers

_EPILOG = """\b
Exit codes:
  0    fine
  1    it did not work out: no such task, a task that failed, no answer from the broker
  2    wrong use: an unknown option, a worker that is not there, a wrong URL
  130  stopped by Ctrl-C before there was an answer

Errors are one line on stderr that begins with "ltq: ". The broker is --broker-url, else
$LTQ_BROKER_URL, else redis://localhost:6379.
"""


class _Commands(click.Group):
    """Commands in the order they were added; what goes wrong is told in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        with one_line():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with one_line():
            return super().invoke(ctx)


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        python = platform.python_version()
        click.echo(f"ltq {_installed('ltq')} (Python {python}, redis-py {_installed('redis')})")
        ctx.exit()


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"


@click.group(
    cls=_Commands,
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


for _command in (
    demo,
    run,
    send,
    schedule,
    stats,
    size,
    workers,
    state,
    watch,
    cancel,
    clear,
    dead,
    check,
    doctor,
    repair,
):
    main.add_command(_command)
