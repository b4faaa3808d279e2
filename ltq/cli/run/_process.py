"""`ltq run` in this process, from the first log line to the exit."""

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

from ltq.cli._broker import LOCAL_BROKER
from ltq.cli._console import count_tasks
from ltq.cli._target import Runnable, workers_of
from ltq.cli._threads import count_stuck_threads, exit_now, set_thread_pool
from ltq.cli.run._supervisor import stop_with_supervisor
from ltq.cli.run._wait import wait_for_brokers
from ltq.cli.schedule._schedulers import log_schedules, run_beside
from ltq.logger import get_logger
from ltq.scheduler import Scheduler
from ltq.worker import Worker

logger: logging.Logger = get_logger("cli")

_CANCEL_TIMEOUT = 1.0
"""Seconds that other asyncio tasks get to end after the worker has stopped."""


def run_here(
    runnable: Runnable,
    servers: Iterable[AbstractAsyncContextManager[None]],
    schedulers: Sequence[Scheduler],
    *,
    burst: bool,
    patience: float,
) -> None:
    """Run a worker or an App until it is told to stop, with servers and schedulers beside it.

    The broker gets `patience` seconds to answer for the first time.
    """
    _loop_runner()(_run(runnable, servers, schedulers, burst=burst, patience=patience))


def _loop_runner() -> Callable[[Coroutine[Any, Any, None]], None]:
    """Return the function that runs a coroutine in an event loop: uvloop's if it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run
    return uvloop.run


async def _run(
    runnable: Runnable,
    servers: Iterable[AbstractAsyncContextManager[None]],
    schedulers: Sequence[Scheduler],
    *,
    burst: bool,
    patience: float,
) -> None:
    pool, was_signalled = set_thread_pool(), _stop_on_early_signals()
    stop_with_supervisor()
    for worker in workers_of(runnable):
        _log_worker(worker)
    for scheduler in schedulers:
        log_schedules(scheduler)
    try:
        async with AsyncExitStack() as stack:
            for server in servers:
                await stack.enter_async_context(server)
            await wait_for_brokers(workers_of(runnable), patience)
            await stack.enter_async_context(run_beside(schedulers))
            await runnable.run(burst=burst)
    except asyncio.CancelledError:
        if not was_signalled.is_set():
            raise
    finally:
        if isinstance(runnable, Worker):
            await runnable.aclose()
    for worker in workers_of(runnable):
        logger.info("worker %s has stopped", worker.name)
    await _abandon_what_is_stuck(pool)


def _log_worker(worker: Worker[Any]) -> None:
    logger.info(
        "worker %s: %s (%s), concurrency %d, broker %s",
        worker.name,
        count_tasks(len(worker.tasks)),
        ", ".join(worker.tasks) or "none",
        worker.concurrency,
        worker.broker.url,
    )
    if worker.broker.is_local:
        logger.warning(LOCAL_BROKER, worker.broker.url)


def _stop_on_early_signals() -> asyncio.Event:
    """Let signals cancel the run until the worker handles them.

    Returns an event that is set when one has come.
    """
    was_signalled = asyncio.Event()
    loop, run = asyncio.get_running_loop(), asyncio.current_task()

    def stop() -> None:
        was_signalled.set()
        if run is not None:
            run.cancel()

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
    return was_signalled


async def _abandon_what_is_stuck(pool: ThreadPoolExecutor) -> None:
    """Exit at once if threads or asyncio tasks do not end."""
    stuck = count_stuck_threads(pool)
    if stuck:
        logger.warning("exiting although %d threads still run", stuck)
        exit_now(0)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for other in others:
        other.cancel()
    if others and (await asyncio.wait(others, timeout=_CANCEL_TIMEOUT))[1]:
        logger.warning("exiting although cancelled asyncio tasks still run")
        exit_now(0)
