"""`ltq demo`: worker processes and a producer on a SQLite file, without a server."""

import asyncio
import importlib
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
from click.core import ParameterSource
from rich.console import Console

import ltq
from ltq._aio.service import spawn
from ltq._aio.signals import stop_on_signals
from ltq._aio.threads import call_in
from ltq.broker import Broker
from ltq.cli._console import open_console, print_line
from ltq.cli._errors import CommandError, StoppedError, WrongUseError
from ltq.cli._options import duration
from ltq.cli.demo import checksums, shop
from ltq.cli.demo._folder import DATABASE, DemoFolder, demo_folder
from ltq.cli.demo._view import Report, View, open_view, print_look, print_report
from ltq.cli.demo.checksums import stumble, survey, worker
from ltq.cli.run._interpreter import ltq_command
from ltq.cli.run._supervisor import Supervisor
from ltq.logger import setup_logging
from ltq.state import Progress
from ltq.worker import Worker

_ID = "survey"
"""The id of the task that a second terminal can watch."""


@click.command()
@click.argument(
    "directory",
    required=False,
    type=click.Path(exists=True, file_okay=False, readable=False),
)
@click.option(
    "--processes",
    type=click.IntRange(1, 64),
    default=2,
    show_default=True,
    metavar="N",
    help="How many worker processes there are.",
)
@click.option(
    "--for",
    "seconds",
    type=duration,
    default="10s",
    show_default=True,
    metavar="TIME",
    help="Spread the tasks over TIME, so that there is something to look at.",
)
@click.option("--web", is_flag=True, help="Open a little shop instead, with a dashboard.")
@click.pass_context
def demo(
    ctx: click.Context, directory: str | None, processes: int, seconds: float, web: bool
) -> None:
    """Try LTQ without a server, on the files of a directory.

    Worker processes and this one share a SQLite file in a temporary folder. One task lists the
    files of DIRECTORY (default: the installed ltq package), and sends a task for each, which
    computes its sha256. The URL of the file is printed, so that `ltq top` and others can look from
    a second terminal. A file that cannot be read is listed as a failed task; the exit code is
    still 0. At the end, and after Ctrl-C, processes and folder are gone. What a killed demo left
    behind, the next one removes.

    With --web it is a small shop that runs until a key or Ctrl-C: orders, payments that fail,
    a task that kills its worker, a schedule. The address of its dashboard is printed. Needs the
    extra ltq[web].

    \b
    Examples:
      ltq demo ~/Documents --processes 4 --for 1m
      ltq demo --web
    """
    setup_logging("critical")  # the report lists failed tasks
    console = open_console()
    if web:
        _demo_web(ctx, console, processes)
        return
    folder = os.path.abspath(directory or Path(ltq.__file__).parent)
    with demo_folder() as own:
        broker = _broker_in(own)
        print_line(console, f"computing checksums of the files in {folder}")
        print_look(console, broker.url, _ID)
        view = open_view(console)
        workers = _workers(f"{checksums.__name__}:worker", worker, broker.url, processes)
        report = asyncio.run(_demo(broker, workers, lambda: _produce(folder, seconds, view), own))
    print_report(console, report)


async def _demo(
    broker: Broker,
    workers: Supervisor | Worker,
    produce: Callable[[], Coroutine[Any, Any, Report]],
    own: DemoFolder,
) -> Report:
    """Run the producer beside the workers. Ctrl-C stops the workers, which ends both."""
    loop = asyncio.get_running_loop()
    with stop_on_signals(lambda _: call_in(loop, workers.stop), lasts=True):
        own.check()
        return await _run(broker, workers, produce)


async def _run(
    broker: Broker, workers: Supervisor | Worker, produce: Callable[[], Coroutine[Any, Any, Report]]
) -> Report:
    async with broker:
        worker.broker = broker
        running = spawn(workers.run(), name="ltq-demo-workers")
        producing = spawn(produce(), name="ltq-demo-producer")
        try:
            await asyncio.wait({running, producing}, return_when=asyncio.FIRST_COMPLETED)
            is_stopped = not producing.done()
        finally:
            producing.cancel()
            await asyncio.wait({producing})
            workers.stop()
            exit_code = await running
    if is_stopped and exit_code:
        raise CommandError("the worker processes have ended")
    if is_stopped:
        raise StoppedError("stopped")
    return producing.result()


def _demo_web(ctx: click.Context, console: Console, processes: int) -> None:
    """Open the shop. Raises `ConfigurationError` without the extra."""
    if ctx.params["directory"] or _is_given(ctx, "seconds"):
        raise WrongUseError("--web opens a shop: it takes no DIRECTORY and no --for")
    run_shop = importlib.import_module("ltq.cli.demo._web").run_shop
    with demo_folder() as own:
        broker = _broker_in(own)
        workers = _workers(f"{shop.__name__}:worker", shop.worker, broker.url, processes)
        run_shop(console, broker, own, workers, processes)


def _is_given(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is not ParameterSource.DEFAULT


def _broker_in(own: DemoFolder) -> Broker:
    return Broker.from_url(f"sqlite:///{quote(os.path.join(own.place, DATABASE))}")


def _workers(target: str, here: Worker, url: str, processes: int) -> Supervisor | Worker:
    """What runs the tasks: where processes cannot be stopped by their parent, the worker here."""
    if sys.platform == "win32":
        return here
    arguments = ("--broker-url", url, "--with-scheduler", "--log-level", "critical")
    return Supervisor(ltq_command("run", target, *arguments), processes)


async def _produce(directory: str, seconds: float, view: View) -> Report:
    """Send a task that sends the others, and show its progress."""
    with view.screen():
        stumbling = await stumble.send()
        handle = await survey.with_options(id=_ID).send(directory, seconds)
        async for state in handle.watch():
            _show(state.progress, view)
        outcome = await handle.result()
        view.hashed(outcome.tasks, outcome.tasks)
        return Report(directory, outcome, await stumbling.wait())


def _show(progress: Progress | None, view: View) -> None:
    if progress is None:
        return
    if progress.total is None:
        view.walked(progress.current, progress.note)
    else:
        view.hashed(int(progress.current), int(progress.total))
