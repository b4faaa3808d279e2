"""`ltq run`: a worker, until it is told to stop."""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any, NoReturn

import click

from ltq.broker import Broker
from ltq.cli._console import count_tasks
from ltq.cli._errors import WrongUseError
from ltq.cli._options import broker_url_option, duration, log_format_option, log_level_option
from ltq.cli._target import Runnable, load_runnable, split
from ltq.cli._threads import count_stuck, leave, set_thread_pool
from ltq.cli.run._health import tell_health
from ltq.cli.run._metrics import Listen, measure, serve
from ltq.cli.run._reload import Reloader, reload_command
from ltq.cli.run._supervisor import Supervisor, own_command, stop_with_supervisor
from ltq.cli.schedule import announce, run_beside, schedulers_of
from ltq.logger import get_logger, setup_logging
from ltq.scheduler import Scheduler
from ltq.worker import URL_VARIABLE, Worker

logger: logging.Logger = get_logger("cli")

_LAST_PATIENCE = 1.0
"""Seconds for what still runs when the worker has stopped."""


@click.command()
@click.argument("target", metavar="[MODULE:WORKER]", required=False)
@click.option(
    "--app",
    is_flag=False,
    flag_value="",
    metavar="[MODULE:APP]",
    help="Run an App: all of its workers.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many tasks run at once, instead of what the worker says.",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Run so many processes; one that crashes is started again.",
)
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Serve metrics for Prometheus here; with --processes, at a port each from here on.",
)
@click.option(
    "--metrics-host",
    default="127.0.0.1",
    show_default=True,
    metavar="HOST",
    help="The address to serve them at: 0.0.0.0 is all of this machine's.",
)
@click.option("--metrics-ports", type=click.IntRange(min=1), default=1, hidden=True)
@click.option(
    "--health-port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Tell here over HTTP whether the workers consume; with --processes like metrics.",
)
@click.option(
    "--health-host",
    default="127.0.0.1",
    show_default=True,
    metavar="HOST",
    help="The address to tell it at.",
)
@click.option(
    "--health-within",
    type=duration,
    default="30",
    show_default=True,
    metavar="TIME",
    help="How long ago a worker may have claimed at most, to be well.",
)
@click.option("--health-ports", type=click.IntRange(min=1), default=1, hidden=True)
@click.option(
    "--reload/--no-reload",
    "reloads",
    help="Start again when a .py file under this directory changes: for development.",
)
@click.option("--burst", is_flag=True, help="Exit once no task is due or running.")
@click.option("--with-scheduler", is_flag=True, help="Run the workers' @worker.cron schedules too.")
@log_level_option
@log_format_option
@broker_url_option
def run(  # noqa: PLR0913  its options
    target: str | None,
    app: str | None,
    concurrency: int | None,
    processes: int,
    metrics_port: int | None,
    metrics_host: str,
    metrics_ports: int,
    health_port: int | None,
    health_host: str,
    health_within: float,
    health_ports: int,
    reloads: bool,
    burst: bool,
    with_scheduler: bool,
    log_level: str,
    log_format: str,
    broker_url: str | None,
) -> None:
    """Run a worker (or an App) until SIGTERM or Ctrl-C.

    MODULE is imported with the current directory on the path. On a stop running tasks get the
    worker's shutdown_timeout to end, the rest goes back to its queue; a second signal does that at
    once. --broker-url overrides what the code says.

    \b
    Examples:
      ltq run jobs:worker --concurrency 20
      ltq run jobs:worker --processes 4
      ltq run jobs:worker --metrics-port 9100 --health-port 8080
      ltq run jobs:worker --with-scheduler
      ltq run jobs:worker --reload
      ltq run --app jobs:app --burst
    """
    as_json = log_format == "json"
    setup_logging(log_level, as_json=as_json)
    if broker_url is not None:
        Broker.from_url(broker_url)  # a wrong one is told before anything is imported
        os.environ[URL_VARIABLE] = broker_url
    if reloads:
        _reload(_the_target(target, app), processes)
    runnable = load_runnable(_the_target(target, app), want_app=app is not None)
    # Now that the module had its chance to set logging up as it likes.
    setup_logging(log_level, as_json=as_json, everybody=True)
    for worker in _workers(runnable):
        _adjust(worker, concurrency, broker_url)
    schedulers = _schedulers(runnable, burst=burst) if with_scheduler else []
    serving: list[AbstractAsyncContextManager[None]] = []
    if metrics_port is not None:
        listen = Listen(metrics_host, metrics_port, max(processes, metrics_ports))
        serving.append(serve(measure(_workers(runnable)), _workers(runnable), listen))
    if health_port is not None:
        count = max(processes, health_ports)
        listen = Listen(health_host, health_port, count, "--health-port")
        serving.append(tell_health(_workers(runnable), listen, health_within))
    if processes > 1:
        sys.exit(asyncio.run(Supervisor(_one_of(processes), processes).run()))
    _runner()(_run(runnable, serving, schedulers, burst=burst))


def _one_of(processes: int) -> list[str]:
    """This very command, for one process."""
    own = ["--processes", "1"]
    for option in ("--metrics-ports", "--health-ports"):
        own += [option, str(processes)]
    return own_command(*own)


def _reload(target: str, processes: int) -> NoReturn:
    """Run this very command in a process of its own, again and again."""
    if processes > 1:
        raise WrongUseError("--reload and --processes exclude each other: give one of them")
    split(target)  # what can never run is told at once
    sys.exit(asyncio.run(Reloader(reload_command(), Path.cwd()).run()))


def _the_target(target: str | None, app: str | None) -> str:
    """`mod:worker`, `--app mod:app` or `mod:app --app`: one of them."""
    if target and app:
        raise WrongUseError(f"{target} and --app {app} exclude each other: give one of them")
    named = target or app
    if not named:
        raise WrongUseError("what shall run? Name it: ltq run MODULE:WORKER")
    return named


def _schedulers(runnable: Runnable, *, burst: bool) -> list[Scheduler]:
    """Those of `--with-scheduler`."""
    if burst:
        raise WrongUseError("--burst and --with-scheduler exclude each other: give one of them")
    return schedulers_of(_workers(runnable))


def _workers(runnable: Runnable) -> list[Worker]:
    if isinstance(runnable, Worker):
        return [runnable]
    workers: Iterable[Worker] = getattr(runnable, "workers", ())
    return list(workers)


def _adjust(worker: Worker, concurrency: int | None, broker_url: str | None) -> None:
    if concurrency is not None:
        worker.concurrency = concurrency
    if broker_url is not None:
        worker.broker = Broker.from_url(broker_url)


def _announce(worker: Worker) -> None:
    logger.info(
        "worker %s: %s (%s), concurrency %d, broker %s",
        worker.name,
        count_tasks(len(worker.tasks)),
        ", ".join(worker.tasks) or "none",
        worker.concurrency,
        worker.broker.url,
    )
    if worker.broker.is_local:
        logger.warning("%s is this process's own: no other process can reach it", worker.broker.url)


def _runner() -> Callable[[Coroutine[Any, Any, None]], None]:
    """uvloop's, where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run
    return uvloop.run


async def _run(
    runnable: Runnable,
    serving: Iterable[AbstractAsyncContextManager[None]],
    schedulers: Sequence[Scheduler],
    *,
    burst: bool,
) -> None:
    pool, asked = set_thread_pool(), _stop_early()
    stop_with_supervisor()
    for worker in _workers(runnable):
        _announce(worker)
    for scheduler in schedulers:
        announce(scheduler)
    try:
        async with AsyncExitStack() as stack:
            for server in [*serving, run_beside(schedulers)]:
                await stack.enter_async_context(server)
            await runnable.run(burst=burst)
    except asyncio.CancelledError:
        if not asked.is_set():
            raise
    finally:
        if isinstance(runnable, Worker):
            await runnable.aclose()
    for worker in _workers(runnable):
        logger.info("worker %s has stopped", worker.name)
    await _leave_what_is_stuck(pool)


async def _leave_what_is_stuck(pool: ThreadPoolExecutor) -> None:
    """What does not end must not hold the process."""
    stuck = count_stuck(pool)
    if stuck:
        logger.warning("leaving without waiting for %d threads that do not end", stuck)
        leave(0)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for other in others:
        other.cancel()
    if others and (await asyncio.wait(others, timeout=_LAST_PATIENCE))[1]:
        logger.warning("leaving without waiting for tasks that do not end when cancelled")
        leave(0)


def _stop_early() -> asyncio.Event:
    """Let signals stop the run until the worker handles them itself; set when one came."""
    asked = asyncio.Event()
    loop, run = asyncio.get_running_loop(), asyncio.current_task()

    def stop() -> None:
        asked.set()
        if run is not None:
            run.cancel()

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
    return asked
