"""What `ltq run` does: it runs what the command line names, in as many processes as it says."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol, TypeAlias

from ltq.broker import Broker
from ltq.cli._broker import export_broker_url
from ltq.cli._early_signals import EarlySignals
from ltq.cli._errors import WrongUseError, exclusive
from ltq.cli._target import Runnable, load_runnable, split_target, workers_of
from ltq.cli.run._address import ServerAddress
from ltq.cli.run._health import serve_health
from ltq.cli.run._link import Parent
from ltq.cli.run._metrics import measure, serve_metrics
from ltq.cli.run._process import run_here
from ltq.cli.run._reload import Reloader, reload_command
from ltq.cli.run._supervisor import Supervisor
from ltq.cli.run._wait import stopped_while_waiting
from ltq.cli.schedule._schedulers import schedulers_of
from ltq.logger import setup_logging
from ltq.worker import Worker

Load: TypeAlias = Callable[[], Runnable]


class Again(Protocol):
    """The present command once more, with more options."""

    def __call__(self, *options: str) -> list[str]:
        """The program and its arguments."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
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


def run_asked(asked: Asked, load: Load, again: Again) -> None:
    """Run what `load` gives, as the command line asks for.

    `again` is called for the command of each of several processes.
    """
    parent, early, as_json = Parent(), EarlySignals(), asked.log_format == "json"
    with early.around(), parent.told_if_hopeless():
        setup_logging(asked.log_level, as_json=as_json)
        export_broker_url(asked.broker_url)
        _check_platform(asked.processes, asked.reloads)
        runnable = load()
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
            sys.exit(asyncio.run(_supervise(asked, workers, again)))
        run_here(
            runnable,
            servers,
            schedulers,
            burst=asked.burst,
            parent=parent,
            patience=asked.patience,
        )


def load_target(asked: Asked) -> Runnable:
    """Import the worker or App that the command line names, in a child process to be reloaded."""
    target = _parse_target(asked.target, asked.app)
    if asked.reloads:
        _reload(target, asked.processes)
    return load_runnable(target, want_app=asked.app is not None)


def _servers(workers: Sequence[Worker], asked: Asked) -> list[AbstractAsyncContextManager[None]]:
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


async def _supervise(asked: Asked, workers: Sequence[Worker], again: Again) -> int:
    """Run child processes, once the brokers answer. Return the exit code."""
    if await stopped_while_waiting(workers, asked.patience):
        return 0
    command = again(*child_options(asked.processes))
    return await Supervisor(command, asked.processes).run()


def child_options(processes: int) -> list[str]:
    """The options of one of several processes, which share a range of ports."""
    count = str(processes)
    return ["--processes", "1", "--metrics-ports", count, "--health-ports", count]


def _check_platform(processes: int, reloads: bool) -> None:
    if sys.platform == "win32" and (processes > 1 or reloads):
        option = "--reload" if reloads else "--processes"
        raise WrongUseError(
            f"{option} needs signals that Windows does not have: run several `ltq run` instead, "
            "or use WSL"
        )


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


def _adjust(worker: Worker, asked: Asked) -> None:
    """Let options override what the code says."""
    if asked.concurrency is not None:
        worker.concurrency = asked.concurrency
    if asked.broker_url is not None:
        worker.broker = Broker.from_url(asked.broker_url)
    worker.log_completed |= asked.log_completed
