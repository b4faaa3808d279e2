"""`ltq run`: a worker or an App, until it is told to stop."""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import click

from ltq.broker import Broker
from ltq.cli._broker import export_broker_url
from ltq.cli._completion.targets import complete_target
from ltq.cli._early_signals import EarlySignals
from ltq.cli._errors import WrongUseError, exclusive
from ltq.cli._options import (
    MIN_TIMEOUT,
    broker_url_option,
    duration,
    duration_from,
    log_format_option,
    log_level_option,
)
from ltq.cli._target import load_runnable, split_target, workers_of
from ltq.cli.run._address import ServerAddress
from ltq.cli.run._health import serve_health
from ltq.cli.run._interpreter import own_command
from ltq.cli.run._link import Parent
from ltq.cli.run._metrics import measure, serve_metrics
from ltq.cli.run._process import run_here
from ltq.cli.run._reload import Reloader, reload_command
from ltq.cli.run._supervisor import Supervisor
from ltq.cli.run._wait import stopped_while_waiting
from ltq.cli.schedule._schedulers import schedulers_of
from ltq.logger import setup_logging
from ltq.worker import Worker


@click.command()
@click.argument(
    "target",
    metavar="[MODULE:WORKER]",
    required=False,
    shell_complete=complete_target("Worker", "App"),
)
@click.option(
    "--app",
    is_flag=False,
    flag_value="",
    metavar="[MODULE:APP]",
    shell_complete=complete_target("App"),
    help="Run an App with all its workers.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many tasks run at once. Overrides the worker's own value.",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Run N processes. One that ends unasked is started again.",
)
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Serve Prometheus metrics on PORT. With --processes, each takes a port from PORT on.",
)
@click.option(
    "--metrics-host",
    default="127.0.0.1",
    show_default=True,
    metavar="HOST",
    help="The address to serve metrics on; 0.0.0.0 is every address of this machine.",
)
@click.option("--metrics-ports", type=click.IntRange(min=1), default=1, hidden=True)
@click.option(
    "--health-port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Serve over HTTP whether workers consume. With --processes, each takes a port from PORT.",
)
@click.option(
    "--health-host",
    default="127.0.0.1",
    show_default=True,
    metavar="HOST",
    help="The address to serve health on.",
)
@click.option(
    "--health-within",
    type=duration_from(MIN_TIMEOUT),
    default="30",
    show_default=True,
    metavar="TIME",
    help="A worker with free slots is healthy if its last claim was within TIME.",
)
@click.option("--health-ports", type=click.IntRange(min=1), default=1, hidden=True)
@click.option(
    "--reload/--no-reload",
    "reloads",
    help="Restart when a .py file under the current directory changes. For development.",
)
@click.option("--burst", is_flag=True, help="Exit when no task is due or running.")
@click.option(
    "--with-scheduler", is_flag=True, help="Also run the workers' @worker.cron schedules."
)
@click.option(
    "--wait-for-broker",
    "patience",
    type=duration,
    default="30",
    show_default=True,
    metavar="TIME",
    help="Wait up to TIME at the start for a broker that does not answer yet.",
)
@click.option(
    "--log-completed",
    is_flag=True,
    help="Log each task that completes, with its duration, at level info instead of debug.",
)
@log_level_option
@log_format_option
@broker_url_option
def run(**options: Any) -> None:
    """Run a worker, or an App, until SIGTERM or Ctrl-C.

    MODULE is imported with the current directory on the path. On a signal, running tasks get the
    worker's shutdown_timeout to end; the rest are requeued. A second signal requeues them at once.
    A broker that does not answer yet is waited for; one that refuses the password is not.
    --broker-url overrides the URL in the code.

    \b
    Examples:
      ltq run jobs:worker --concurrency 20
      ltq run jobs:worker --processes 4
      ltq run jobs:worker --metrics-port 9100 --health-port 8080
      ltq run jobs:worker --with-scheduler
      ltq run jobs:worker --reload
      ltq run --app jobs:app --burst
    """
    _run(_Asked(**options))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What the command line asks for."""

    target: str | None
    app: str | None
    concurrency: int | None
    processes: int
    metrics_port: int | None
    metrics_host: str
    metrics_ports: int
    health_port: int | None
    health_host: str
    health_within: float
    health_ports: int
    reloads: bool
    burst: bool
    with_scheduler: bool
    patience: float
    log_completed: bool
    log_level: str
    log_format: str
    broker_url: str | None


def _run(asked: _Asked) -> None:
    parent, early, as_json = Parent(), EarlySignals(), asked.log_format == "json"
    with early.around(), parent.told_if_hopeless():
        setup_logging(asked.log_level, as_json=as_json)
        export_broker_url(asked.broker_url)
        _check_platform(asked.processes, asked.reloads)
        target = _parse_target(asked.target, asked.app)
        if asked.reloads:
            _reload(target, asked.processes)
        runnable = load_runnable(target, want_app=asked.app is not None)
        early.check()
        workers = workers_of(runnable)
        # Only now: the user's module may have set up logging itself.
        setup_logging(asked.log_level, as_json=as_json, everybody=True)
        for worker in workers:
            _adjust(worker, asked)
        if asked.burst and asked.with_scheduler:
            raise exclusive("--burst", "--with-scheduler")
        schedulers = schedulers_of(workers) if asked.with_scheduler else []
        servers = _servers(workers, asked)
        if asked.processes > 1:
            sys.exit(asyncio.run(_supervise(asked.processes, workers, asked.patience)))
        run_here(
            runnable,
            servers,
            schedulers,
            burst=asked.burst,
            parent=parent,
            patience=asked.patience,
        )


def _servers(workers: Sequence[Worker], asked: _Asked) -> list[AbstractAsyncContextManager[None]]:
    """What serves metrics and health. Processes share a range of ports."""
    servers: list[AbstractAsyncContextManager[None]] = []
    if asked.metrics_port is not None:
        count = max(asked.processes, asked.metrics_ports)
        address = ServerAddress("metrics", asked.metrics_host, asked.metrics_port, count)
        servers.append(serve_metrics(measure(workers), workers, address))
    if asked.health_port is not None:
        count = max(asked.processes, asked.health_ports)
        address = ServerAddress("health", asked.health_host, asked.health_port, count)
        servers.append(serve_health(workers, address, asked.health_within))
    return servers


async def _supervise(processes: int, workers: Sequence[Worker], patience: float) -> int:
    """Run child processes, once the brokers answer. Return the exit code."""
    if await stopped_while_waiting(workers, patience):
        return 0
    return await Supervisor(_child_command(processes), processes).run()


def _check_platform(processes: int, reloads: bool) -> None:
    if sys.platform == "win32" and (processes > 1 or reloads):
        option = "--reload" if reloads else "--processes"
        raise WrongUseError(
            f"{option} needs signals that Windows does not have: run several `ltq run` instead, "
            "or use WSL"
        )


def _child_command(processes: int) -> list[str]:
    """Return this command for one of several processes, which share a range of ports."""
    count = str(processes)
    return own_command("--processes", "1", "--metrics-ports", count, "--health-ports", count)


def _reload(target: str, processes: int) -> NoReturn:
    """Run this command in a child process, and restart it after each change of a file."""
    if processes > 1:
        raise exclusive("--reload", "--processes")
    split_target(target)  # no change of a file mends a target of a wrong form
    sys.exit(asyncio.run(Reloader(reload_command(), Path.cwd()).run()))


def _parse_target(target: str | None, app: str | None) -> str:
    """Return the target from `mod:worker`, `--app mod:app` or `mod:app --app`."""
    if target and app:
        raise exclusive(target, f"--app {app}")
    named = target or app
    if not named:
        raise WrongUseError("missing argument MODULE:WORKER (see 'ltq run --help')")
    return named


def _adjust(worker: Worker, asked: _Asked) -> None:
    """Let options override what the code says."""
    if asked.concurrency is not None:
        worker.concurrency = asked.concurrency
    if asked.broker_url is not None:
        worker.broker = Broker.from_url(asked.broker_url)
    worker.log_completed |= asked.log_completed
