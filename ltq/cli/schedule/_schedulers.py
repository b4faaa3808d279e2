"""Loading and running the schedulers that a command names."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from ltq._aio.signals import stop_on_signals
from ltq.cli._broker import LOCAL_BROKER
from ltq.cli._errors import WrongUseError
from ltq.cli._target import load, wrong_type
from ltq.cli.schedule._next_runs import NextRuns
from ltq.logger import get_logger
from ltq.scheduler import Scheduler
from ltq.worker import Worker

logger: logging.Logger = get_logger("cli")


def load_scheduler(target: str) -> Scheduler:
    """Import a scheduler, or a worker that declares schedules. Raises `WrongUseError`."""
    found = load(target, Scheduler)
    if isinstance(found, Worker):
        return schedulers_of([found])[0]
    if not isinstance(found, Scheduler):
        raise wrong_type(target, "an ltq.Scheduler or ltq.Worker", found)
    if not found.schedules:
        raise WrongUseError(f"{target} has no schedules: add some with scheduler.cron(...)")
    return found


def schedulers_of(workers: Iterable[Worker[Any]]) -> list[Scheduler]:
    """Return a scheduler for each worker that declares schedules, on that worker's broker.

    Raises `WrongUseError` if none does.
    """
    schedulers = []
    for worker in workers:
        if worker.schedules:
            scheduler = Scheduler(broker=worker.broker)
            scheduler.register_worker(worker)
            schedulers.append(scheduler)
    if not schedulers:
        raise WrongUseError("there are no schedules to run: declare some with @worker.cron(...)")
    return schedulers


async def run_scheduler(scheduler: Scheduler) -> None:
    """Run a scheduler until SIGTERM or SIGINT. Signals count from the first log line on."""
    stopped = asyncio.Event()
    with stop_on_signals(lambda _: stopped.set()):
        log_schedules(scheduler)
        await asyncio.sleep(0)  # handle a signal that has already come
        if not stopped.is_set():
            await scheduler.run()
    await scheduler.broker.aclose()


@asynccontextmanager
async def run_beside(schedulers: Sequence[Scheduler]) -> AsyncIterator[None]:
    """Run schedulers, each in its own thread, while the block runs."""
    for scheduler in schedulers:
        scheduler.start_background()
    try:
        yield
    finally:
        for scheduler in schedulers:
            await scheduler.stop()


def log_schedules(scheduler: Scheduler) -> None:
    """Log the schedules, their next runs, and the broker."""
    count, url = len(scheduler.schedules), scheduler.broker.url
    schedules = "1 schedule" if count == 1 else f"{count} schedules"
    logger.info("scheduler: %s, broker %s", schedules, url)
    if logger.isEnabledFor(logging.INFO):
        for one in scheduler.schedules:
            (run,) = NextRuns.after(one, time.time(), 1).runs
            logger.info("%s: %s %s, next at %s", one.name, one.expr, one.tz, run.isoformat())
    if scheduler.broker.is_local:
        logger.warning(LOCAL_BROKER, url)
