"""Several workers in one process, each in a thread and an event loop of its own."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from ltq._aio.loops import running_loop
from ltq._aio.service import spawn
from ltq._aio.signals import stop_on_signals
from ltq._display.suggestions import names_options
from ltq._display.values import short_repr
from ltq.errors import ConfigurationError
from ltq.middleware import Middleware
from ltq.middleware._check import check_middleware, check_middlewares
from ltq.worker import Worker

_STOP_AGAIN = 0.1
"""Seconds after which workers are told to stop again: one may have started since."""


def _ignore() -> None:
    """Do nothing: there is no run to wake up."""


class App:
    """Runs its workers together; one stop ends them all.

        app = ltq.App(middlewares=[Log()])
        app.register_worker(emails)
        app.register_worker(reports)

    Each worker has its own thread and event loop, so none blocks another. The app's middleware
    is entered before each worker's own. If workers must not share memory, run them as processes.
    """

    @names_options
    def __init__(self, middlewares: Sequence[Middleware] | None = None) -> None:
        self.middlewares: list[Middleware] = check_middlewares(middlewares or [])
        self._workers: dict[str, Worker[Any]] = {}
        self._stopped = asyncio.Event()
        self._now = False
        self._wake: Callable[[], object] = _ignore

    @property
    def workers(self) -> tuple[Worker[Any], ...]:
        """The registered workers."""
        return tuple(self._workers.values())

    def register_worker(self, worker: Worker[Any]) -> None:
        """Add a worker.

        Raises `ConfigurationError` if one of that name is registered already, and for what is not
        a worker.
        """
        if not isinstance(worker, Worker):
            raise ConfigurationError(f"{short_repr(worker)} is not a worker: give an ltq.Worker")
        if worker.name in self._workers:
            raise ConfigurationError(f"worker {worker.name!r} is registered already")
        self._workers[worker.name] = worker
        worker.middlewares[:0] = self.middlewares

    def register_middleware(self, middleware: Middleware, pos: int = -1) -> None:
        """Add middleware for all workers: at the end of the app's (-1), or before the one at `pos`.

        The workers' own middleware always comes after the app's. Raises `ConfigurationError` for
        what is not middleware.
        """
        check_middleware(middleware)
        others = len(self.middlewares)
        at = others if pos == -1 else range(others)[pos:].start
        for worker in self.workers:
            worker.middlewares.insert(self._place(worker, at), middleware)
        self.middlewares.insert(at, middleware)

    def _place(self, worker: Worker[Any], at: int) -> int:
        """The position, among a worker's middleware, of the app's middleware number `at`."""
        places = {id(one): place for place, one in enumerate(worker.middlewares)}
        if at < len(self.middlewares):
            return places.get(id(self.middlewares[at]), at)
        return 1 + max((places.get(id(one), -1) for one in self.middlewares), default=-1)

    async def run(self, *, burst: bool = False) -> None:
        """Run all workers until SIGTERM, SIGINT or `stop()`; with `burst`, until all are done.

        If one worker fails, the others are stopped and its error is raised.
        """
        if not self._workers:
            raise ConfigurationError("an App without workers has nothing to run")
        loop = running_loop()
        self._stopped = asyncio.Event()
        self._wake = partial(loop.call_soon_threadsafe, self._stopped.set)
        # One pool for each: a shared one would give the thread of a finished run to another.
        threads = [ThreadPoolExecutor(1, f"ltq-app-{worker.name}") for worker in self.workers]
        runs = [
            loop.run_in_executor(thread, _run_here, worker, burst, type(loop))
            for thread, worker in zip(threads, self.workers, strict=True)
        ]
        try:
            with stop_on_signals(self._stop):
                await self._watch(runs)
        except asyncio.CancelledError:
            self._stop(now=True)
            await self._watch(runs)
            raise
        finally:
            self._wake, self._now = _ignore, False
            for thread in threads:
                thread.shutdown(wait=False)
        for run in runs:
            run.result()

    async def _watch(self, runs: Sequence["asyncio.Future[None]"]) -> None:
        """Wait for all runs; after `stop`, tell the workers to stop until all have ended."""
        pending: set[asyncio.Future[Any]] = set(runs)
        stopped = spawn(self._stopped.wait(), name="ltq-app")
        try:
            while pending:
                stopping = self._stopped.is_set()
                if stopping:
                    for worker in self.workers:
                        worker.stop(now=self._now)
                done, _ = await asyncio.wait(
                    pending if stopping else {*pending, stopped},
                    timeout=_STOP_AGAIN if stopping else None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                pending -= done
                if any(run.exception() for run in done if run is not stopped):
                    self._stopped.set()
        finally:
            stopped.cancel()

    def stop(self) -> None:
        """Stop all workers. It may be called from a task, another thread, or a signal handler."""
        self._stop(now=False)

    def _stop(self, now: bool) -> None:
        self._now = self._now or now
        self._wake()


def _run_here(
    worker: Worker[Any], burst: bool, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """Run a worker in this thread, in an event loop like the app's."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_run_and_close(worker, burst))


async def _run_and_close(worker: Worker[Any], burst: bool) -> None:
    try:
        await worker.run(burst=burst)
    finally:
        await worker.aclose()
