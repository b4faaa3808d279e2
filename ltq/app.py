"""Several workers in one process, each in a thread and an event loop of its own."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, Self

from ltq._aio.closing import wait_out
from ltq._aio.loops import running_loop
from ltq._aio.service import spawn
from ltq._aio.signals import stop_on_signals
from ltq._aio.threads import call_in
from ltq._display.suggestions import names_options
from ltq._display.values import short_repr
from ltq.errors import ConfigurationError
from ltq.middleware import Middleware
from ltq.middleware._check import check_middleware, check_middlewares, check_position
from ltq.worker import Worker

_STOP_AGAIN = 0.1
"""Seconds after which workers are told to stop again: one may have started since."""


class App:
    """Runs its workers together; one stop ends them all.

        app = ltq.App(middlewares=[Log()])
        app.register_worker(emails)
        app.register_worker(reports)

    Each worker has its own thread and event loop, so none blocks another. The app's middleware
    is entered before each worker's own. If workers must not share memory, run them as processes.
    `async with app:` runs them beside your own code.
    """

    @names_options
    def __init__(self, middlewares: Sequence[Middleware] | None = None) -> None:
        self.middlewares: list[Middleware] = check_middlewares(middlewares or [])
        self._workers: dict[str, Worker[Any]] = {}
        self._runs: set[_AppRun] = set()
        self._embedded: _AppRun | None = None

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
        worker._outer[:0] = self.middlewares  # noqa: SLF001  the app's part of a worker

    def register_middleware(self, middleware: Middleware, pos: int = -1) -> None:
        """Add middleware for all workers: at the end of the app's (-1), or before the one at `pos`.

        The workers' own middleware always comes after the app's. Raises `ConfigurationError` for
        what is not middleware.
        """
        check_middleware(middleware)
        others = len(self.middlewares)
        at = others if pos == -1 else range(others)[check_position(pos) :].start
        for worker in self.workers:
            worker.middlewares.insert(self._place(worker, at), middleware)
            worker._outer.append(middleware)  # noqa: SLF001  the app's part of a worker
        self.middlewares.insert(at, middleware)

    def _place(self, worker: Worker[Any], at: int) -> int:
        """The position, among a worker's middleware, of the app's middleware number `at`."""
        places = {id(one): place for place, one in enumerate(worker.middlewares)}
        if at < len(self.middlewares):
            return places.get(id(self.middlewares[at]), at)
        return 1 + max((places.get(id(one), -1) for one in self.middlewares), default=-1)

    async def run(self, *, burst: bool = False) -> None:
        """Run all workers until SIGTERM, SIGINT or `stop()`; with `burst`, until all are done.

        If one worker fails, the others are stopped and its error is raised. A second signal, and
        cancelling `run`, end each of them at once. Raises what `Worker.run` raises.
        """
        running_loop()
        run = self._begin(burst=burst, signals=True)
        with stop_on_signals(run.signalled):
            run.start()
            await self._end(run)

    async def __aenter__(self) -> Self:
        """Run the workers beside the code of the block, once all of them run.

        It does not handle signals: the program around it does. Raises `ConfigurationError` if it
        runs in an `async with` already, and what ends a worker before it runs.
        """
        running_loop()
        if self._embedded is not None:
            raise ConfigurationError("this App runs in an `async with` already")
        self._embedded = run = self._begin(burst=False, signals=False)
        run.start()
        try:
            await asyncio.gather(*run.begun)
        except BaseException:
            run.signalled(True)
            with suppress(BaseException):  # this error is the first one
                await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Stop, let running tasks end, and close the connections. Raises what ended a worker."""
        run, self._embedded = self._embedded, None
        if run is not None:
            run.stop()
            await self._end(run)

    def stop(self) -> None:
        """Stop all workers. It may be called from a task, another thread, or a signal handler."""
        for run in list(self._runs):
            run.stop()

    def _begin(self, *, burst: bool, signals: bool) -> "_AppRun":
        if not self._workers:
            raise ConfigurationError("an App without workers has nothing to run")
        run = _AppRun(self.workers, burst=burst, signals=signals)
        self._runs.add(run)
        return run

    async def _end(self, run: "_AppRun") -> None:
        """Wait until all workers have ended. Raises the error of the first that failed."""
        try:
            await wait_out(run.watching, lambda: run.signalled(True))
        finally:
            self._runs.discard(run)
        for worker in run.ended:
            worker.result()


class _AppRun:
    """One run of an app: a thread, and an event loop like that of the app, for each worker."""

    def __init__(self, workers: Sequence[Worker[Any]], *, burst: bool, signals: bool) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._workers = workers
        self._burst, self._signals = burst, signals
        self._stopped = asyncio.Event()
        self._tell: Callable[[Worker[Any]], None] = Worker.stop
        self.begun: list[asyncio.Future[None]] = [loop.create_future() for _ in workers]
        """For each worker, whether it runs; with its error, if that came before."""
        # One pool for each: a shared one would give the thread of a finished run to another.
        self._threads = [ThreadPoolExecutor(1, f"ltq-app-{worker.name}") for worker in workers]
        self.ended: list[asyncio.Future[None]] = []

    def start(self) -> None:
        """Start the threads."""
        for thread, worker, begun in zip(self._threads, self._workers, self.begun, strict=True):
            ended = self._loop.run_in_executor(thread, self._run, worker, begun)
            ended.add_done_callback(partial(_note_begun, begun))
            self.ended.append(ended)
        self.watching = spawn(self._watch(), name="ltq-app")

    def stop(self) -> None:
        """Let running tasks of all workers end. From any thread."""
        call_in(self._loop, self._stopped.set)

    def signalled(self, again: bool) -> None:
        """Stop as a signal wants: at the first one, workers that are starting end, too."""
        if again or self._tell is Worker.stop:
            self._tell = partial(_signal, again=again)
        self.stop()

    async def _watch(self) -> None:
        """Wait for all workers. After `stop`, and if one fails, end the others."""
        pending: set[asyncio.Future[Any]] = set(self.ended)
        stopped = spawn(self._stopped.wait(), name="ltq-app-stop")
        try:
            while pending:
                stopping = self._stopped.is_set()
                if stopping:
                    for worker in self._workers:
                        self._tell(worker)
                done, _ = await asyncio.wait(
                    pending if stopping else {*pending, stopped},
                    timeout=_STOP_AGAIN if stopping else None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                pending -= done
                if any(ended.exception() for ended in done if ended is not stopped):
                    self._stopped.set()
        finally:
            stopped.cancel()
            for thread in self._threads:
                thread.shutdown(wait=False)

    def _run(self, worker: Worker[Any], begun: "asyncio.Future[None]") -> None:
        """Run a worker in this thread."""
        with asyncio.Runner(loop_factory=type(self._loop)) as runner:
            runner.run(self._run_and_close(worker, begun))

    async def _run_and_close(self, worker: Worker[Any], begun: "asyncio.Future[None]") -> None:
        def runs(_: object) -> None:
            call_in(self._loop, _note_begun, begun)

        try:
            await worker._work(  # noqa: SLF001  it is `run`, with or without signals
                burst=self._burst, signals=self._signals, begun=runs
            )
        finally:
            await worker.aclose()


def _signal(worker: Worker[Any], *, again: bool) -> None:
    worker._signalled(again)  # noqa: SLF001  the signal of the app is that of its workers


def _note_begun(begun: "asyncio.Future[None]", ended: "asyncio.Future[None] | None" = None) -> None:
    if begun.done():
        return
    error = None if ended is None or ended.cancelled() else ended.exception()
    if error is None:
        begun.set_result(None)
    else:
        begun.set_exception(error)
        begun.exception()  # told: `run` raises it
