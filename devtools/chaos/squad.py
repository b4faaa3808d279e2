"""Places for workers: in each of them runs one process, and a new one when it has ended."""

import asyncio
import signal
import time
from dataclasses import dataclass
from typing import Self

from devtools.chaos import jobs
from devtools.chaos.stage import Stage
from devtools.workers import WorkerProcess

TERM_TIMEOUT = 40.0
"""Seconds after which a worker that was told to end counts as hanging."""

PLACES_PER_WORKER = 16


@dataclass(frozen=True)
class Life:
    """One process, from its start to its end."""

    worker: WorkerProcess
    place: int
    began: float
    ended: float
    exit_code: int
    wanted: str
    """"kill", "term", or empty where it ended by itself."""


def _announced(worker: WorkerProcess) -> bool:
    return bool(worker.lines(f"worker {jobs.NAME}:"))


class Squad:
    """Use as an async context manager.

    Half of the places take the other way to the store, and run the other version of the worker.
    """

    def __init__(self, stage: Stage, places: int, *, concurrency: int = PLACES_PER_WORKER) -> None:
        self._stage = stage
        self._concurrency = concurrency
        self._wanted: dict[int, str] = {}
        self._dismissed = False
        self._keepers: list[asyncio.Task[None]] = []
        self.current: list[WorkerProcess | None] = [None] * places
        self.lives: list[Life] = []
        """Processes that have ended."""
        self.hanging: list[int] = []
        """Processes that did not end when they were told to."""

    def kill(self, place: int) -> None:
        """What `kill -9` does."""
        self._end(place, "kill", signal.SIGKILL)

    def term(self, place: int) -> bool:
        """Ask it to end, once it can understand that; False if it cannot yet, or ends already."""
        worker = self.current[place]
        if worker is None or not _announced(worker) or worker.pid in self._wanted:
            return False
        self._end(place, "term", signal.SIGTERM)
        return True

    def _end(self, place: int, wanted: str, number: signal.Signals) -> None:
        worker = self.current[place]
        if worker is not None and worker.exit_code is None:
            self._wanted[worker.pid] = wanted  # it may be killed while it ends
            worker.signal(number)

    async def dismiss(self) -> None:
        """Ask all to end, and wait for that; nobody is started any more."""
        self._dismissed = True
        for place in range(len(self.current)):
            self.term(place)
        await asyncio.gather(*self._keepers)

    async def _keep(self, place: int) -> None:
        while not self._dismissed:
            url = self._stage.urls[place % 2]
            target = jobs.OTHER_TARGET if place % 2 else jobs.TARGET
            options = ("--concurrency", str(self._concurrency))
            began = time.time()
            worker = await self._stage.start_worker(url, *options, target=target)
            self.current[place] = worker
            code = await self._wait(worker)
            wanted = self._wanted.get(worker.pid, "")
            self.lives.append(Life(worker, place, began, time.time(), code, wanted))

    async def _wait(self, worker: WorkerProcess) -> int:
        """Its exit code; one that hangs after SIGTERM is killed."""
        ending = asyncio.create_task(worker.end(24 * 3600))
        while not ending.done():
            wanted = self._wanted.get(worker.pid) == "term"
            await asyncio.wait([ending], timeout=TERM_TIMEOUT if wanted else 1.0)
            if wanted and not ending.done():
                self.hanging.append(worker.pid)
                worker.signal(signal.SIGKILL)
        return await ending

    async def __aenter__(self) -> Self:
        self._keepers = [asyncio.create_task(self._keep(n)) for n in range(len(self.current))]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._dismissed = True
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
