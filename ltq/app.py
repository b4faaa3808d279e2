"""Several workers in one process, each in a thread and an event loop of its own."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from ltq._signals import stop_on_signals
from ltq.errors import ConfigurationError
from ltq.middleware import Middleware
from ltq.worker import Worker


class App:
    """Runs its workers together; one stop ends them all.

        app = ltq.App(middlewares=[Log()])
        app.register_worker(emails)
        app.register_worker(reports)

    Each worker has its own thread and event loop, so none blocks another. The app's middleware
    is entered before each worker's own. For separate memory, run workers as processes.
    """

    def __init__(self, middlewares: Sequence[Middleware] | None = None) -> None:
        self.middlewares = list(middlewares or [])
        self._workers: dict[str, Worker] = {}

    @property
    def workers(self) -> tuple[Worker, ...]:
        """The workers registered."""
        return tuple(self._workers.values())

    def register_worker(self, worker: Worker) -> None:
        """Add a worker. Raises `ConfigurationError` for a name that is there already."""
        if worker.name in self._workers:
            raise ConfigurationError(f"worker {worker.name!r} is registered already")
        self._workers[worker.name] = worker
        worker.middlewares[:0] = self.middlewares

    def register_middleware(self, middleware: Middleware, pos: int = -1) -> None:
        """Add middleware for all workers: after the app's others (-1), or before that at `pos`."""
        at = len(self.middlewares) if pos == -1 else pos
        self.middlewares.insert(at, middleware)
        for worker in self.workers:
            worker.middlewares.insert(at, middleware)

    async def run(self, *, burst: bool = False) -> None:
        """Run all workers until SIGTERM, SIGINT or `stop()`; with `burst` until all are done.

        Where one worker fails the others are stopped, and its error is raised.
        """
        if not self._workers:
            raise ConfigurationError("an App without workers has nothing to run")
        loop = asyncio.get_running_loop()
        threads = ThreadPoolExecutor(len(self._workers), "ltq-app")
        runs = [
            loop.run_in_executor(threads, _run_here, worker, burst, type(loop))
            for worker in self.workers
        ]
        try:
            with stop_on_signals(self._stop):
                done, _ = await asyncio.wait(runs, return_when=asyncio.FIRST_EXCEPTION)
        except asyncio.CancelledError:
            self._stop(now=True)
            raise
        else:
            if any(run.exception() for run in done):
                self.stop()
        finally:
            ended = await asyncio.gather(*runs, return_exceptions=True)
            threads.shutdown(wait=False)
        for error in ended:
            if isinstance(error, BaseException):
                raise error

    def stop(self) -> None:
        """Let all workers end: from a task, another thread, or a signal handler."""
        self._stop(now=False)

    def _stop(self, now: bool) -> None:
        for worker in self.workers:
            worker.stop(now=now)


def _run_here(
    worker: Worker, burst: bool, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """Run a worker in this thread, in an event loop like the app's."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_run_and_close(worker, burst))


async def _run_and_close(worker: Worker, burst: bool) -> None:
    try:
        await worker.run(burst=burst)
    finally:
        await worker.aclose()
