"""Loading and running the schedulers that a command names."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from ltq._aio.signals import stop_on_signals, told_to_stop_at
from ltq.cli._broker import LOCAL_BROKER
from ltq.cli._errors import no_silent_end
from ltq.cli._target import load, wrong_type
from ltq.logger import get_logger
from ltq.scheduler import Scheduler
from ltq.worker import Worker

logger: logging.Logger = get_logger("cli")


def load_scheduler(target: str) -> Scheduler:
    """Import a scheduler, or make one for a worker and its schedules. Raises `WrongUseError`."""
    found = load(target, Scheduler, Worker)
    if isinstance(found, Worker):
        return schedulers_of([found])[0]
    if not isinstance(found, Scheduler):
        raise wrong_type(target, "an ltq.Scheduler or ltq.Worker", found)
    return found


def schedulers_of(workers: Iterable[Worker[Any]]) -> list[Scheduler]:
    """Return a scheduler for each broker of these workers, with the schedules that they declare."""
    schedulers: dict[str, Scheduler] = {}
    for worker in workers:
        url = worker.broker.url
        scheduler = schedulers.setdefault(url, Scheduler(broker=worker.broker))
        scheduler.register_worker(worker)
    return list(schedulers.values())


def run_scheduler(scheduler: Scheduler) -> None:
    """Run a scheduler until SIGTERM or SIGINT. Signals count from the first log line on.

    Raises `UnaskedEndError` if something ends the event loop with success.
    """
    asked: list[float | None] = []
    with no_silent_end("the scheduler", lambda: asked != [None]):
        asyncio.run(_run(scheduler, asked))


async def _run(scheduler: Scheduler, asked: "list[float | None]") -> None:
    """Run a scheduler. At the end, `asked` gets the time at which it was told to stop, or None."""
    stopped = asyncio.Event()
    with stop_on_signals(lambda _: stopped.set()):
        try:
            log_schedules(scheduler)
            await asyncio.sleep(0)  # handle a signal that has already come
            if not stopped.is_set():
                await scheduler.run()
            for broker in scheduler.brokers:
                await broker.aclose()
        finally:
            asked.append(told_to_stop_at())


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
    count, urls = len(scheduler.schedules), [broker.url for broker in scheduler.brokers]
    schedules = "1 schedule" if count == 1 else f"{count} schedules"
    kept = "and those that the broker keeps"
    logger.info("scheduler: %s %s, broker %s", schedules, kept, " and ".join(urls))
    if logger.isEnabledFor(logging.INFO):
        for one in scheduler.schedules:
            run = datetime.fromtimestamp(one.next(int(time.time())), one.zone)
            logger.info("%s: %s %s, next at %s", one.name, one.expr, one.tz, run.isoformat())
    for broker in scheduler.brokers:
        if broker.is_local:
            logger.warning(LOCAL_BROKER, broker.url)
