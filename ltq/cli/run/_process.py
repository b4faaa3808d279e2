"""`ltq run` in this process, from the first log line to the exit."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, asynccontextmanager
from typing import Any

from ltq._aio.exit import exit_now
from ltq._aio.service import spawn
from ltq._aio.signals import stop_on_signals, told_to_stop_at
from ltq._aio.threads import call_in
from ltq.cli._broker import LOCAL_BROKER
from ltq.cli._console import count_tasks
from ltq.cli._errors import no_silent_end
from ltq.cli._target import Runnable, workers_of
from ltq.cli._threads import count_stuck_threads, set_thread_pool
from ltq.cli.run._link import Parent
from ltq.cli.run._wait import wait_for_brokers
from ltq.cli.schedule._schedulers import log_schedules, run_beside
from ltq.logger import get_logger
from ltq.scheduler import Scheduler
from ltq.worker import Worker

logger: logging.Logger = get_logger("cli")

_CANCEL_TIMEOUT = 1.0
"""Seconds that other asyncio tasks get to end after the worker has stopped."""

_UP_POLL = 0.02
"""Seconds between two looks at whether the workers run."""


def run_here(
    runnable: Runnable,
    servers: Iterable[AbstractAsyncContextManager[None]],
    schedulers: Sequence[Scheduler],
    *,
    burst: bool,
    parent: Parent,
    patience: float,
) -> None:
    """Run a worker or an App until it is told to stop, with servers and schedulers beside it.

    The broker gets `patience` seconds to answer for the first time. Raises `UnaskedEndError` if a
    task ends the event loop with success.
    """
    early = _EarlyStop()
    running = _run(
        runnable, servers, schedulers, early, burst=burst, parent=parent, patience=patience
    )
    names = ", ".join(worker.name for worker in workers_of(runnable))
    with no_silent_end(f"worker {names}", lambda: early.was_asked):
        _loop_runner()(running)


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
    early: "_EarlyStop",
    *,
    burst: bool,
    parent: Parent,
    patience: float,
) -> None:
    pool = set_thread_pool()
    early.begin()
    with stop_on_signals(early.stop, early=True):
        _log_what_runs(runnable, schedulers)
        try:
            async with AsyncExitStack() as stack:
                for server in servers:
                    await stack.enter_async_context(server)
                await wait_for_brokers(workers_of(runnable), patience)
                for beside in (run_beside(schedulers), _tell_up(runnable, parent)):
                    await stack.enter_async_context(beside)
                await runnable.run(burst=burst)
            if told_to_stop_at() is None:
                parent.tell_done()
        except asyncio.CancelledError:
            if not early.was_signalled:
                raise
        finally:
            early.is_over = True
            early.was_asked = told_to_stop_at() is not None
            if isinstance(runnable, Worker):
                await runnable.aclose()
        for worker in workers_of(runnable):
            logger.info("worker %s has stopped", worker.name)
        await _abandon_what_is_stuck(pool)


def _log_what_runs(runnable: Runnable, schedulers: Iterable[Scheduler]) -> None:
    for worker in workers_of(runnable):
        _log_worker(worker)
    for scheduler in schedulers:
        log_schedules(scheduler)


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


@asynccontextmanager
async def _tell_up(runnable: Runnable, parent: Parent) -> AsyncIterator[None]:
    """Tell the supervisor when all workers run, or a task does: a later end is not of the start."""
    workers = workers_of(runnable)
    with ExitStack() as stack:
        if parent.exists:
            for worker in workers:
                stack.callback(worker.subscribe(lambda _: parent.tell_up()))
            stack.callback(spawn(_tell_up_soon(workers, parent, stack), name="ltq-up").cancel)
        yield


async def _tell_up_soon(workers: Iterable[Worker[Any]], parent: Parent, stack: ExitStack) -> None:
    # There is nothing to wait for: an App's workers start in threads.
    while not all(worker.health() for worker in workers):  # noqa: ASYNC110
        await asyncio.sleep(_UP_POLL)
    parent.tell_up()
    stack.close()


class _EarlyStop:
    """Cancels the run on a signal that comes before the worker listens to signals itself."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._run: asyncio.Task[Any] | None = None
        self.was_signalled = False
        self.was_asked = False
        """Whether the process was told to stop, by a signal or by its supervisor."""
        self.is_over = False

    def begin(self) -> None:
        """The run is the asyncio task that calls this."""
        self._loop, self._run = asyncio.get_running_loop(), asyncio.current_task()

    def stop(self, again: bool) -> None:
        """Cancel it, from any thread."""
        if self._loop is not None and self._run is not None and not self.is_over:
            self.was_signalled = True
            call_in(self._loop, self._run.cancel)


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
