"""Writing the items of one run: those that come during one call go into the next."""

import asyncio
import logging
import threading
from collections.abc import Callable

from ltq._aio.backoff import ExponentialBackoff
from ltq._aio.service import abandon_task, spawn
from ltq.broker import Settler
from ltq.errors import BrokerError, RunOverError
from ltq.logger import ThrottledLogger
from ltq.message import Lease

logger = logging.getLogger("ltq.worker")

_MOST_ITEMS = 1000
"""Items that wait to be written from which on the generator is held up."""

_MOST_BYTES = 1 << 20
"""The same in bytes."""

_BACKOFF = 0.05, 1.5
"""Seconds until the next attempt to write: the first pause and the longest."""

_REFUSALS = 3
"""How often a call is refused until the run fails."""


class ItemWriter:
    """The items of one run, on their way to the broker.

    `add` takes one in the event loop, `put` in a thread. Both wait while many are unwritten. While
    the broker is away items wait. Once the run is over both raise `RunOverError`, and what made it
    fail if the broker refuses items.
    """

    def __init__(
        self, settler: Settler, lease: Lease, most: int, lost: Callable[[Lease], None]
    ) -> None:
        self.count = 0
        """How many items were taken."""
        self._settler = settler
        self._lease = lease
        self._most = most
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._waiting: list[bytes] = []
        self._unwritten = self._bytes = 0
        self._written = 0
        """How many items the broker has."""
        self._writing: asyncio.Task[None] | None = None
        self._progress = asyncio.Event()
        """Set when something was written, or cannot be."""
        self._moved = threading.Condition()
        """The same for threads. It also guards what waits."""
        self._is_announced = False
        """Whether the event loop is about to look at what a thread has put."""
        self._error: Exception | None = None

    async def add(self, item: bytes) -> None:
        """Take an item, from the run's event loop."""
        while self._is_full and self._error is None:
            self._progress.clear()
            await self._progress.wait()
        with self._moved:
            self._take(item)
        if self._start():
            await asyncio.sleep(0)  # so that it is sent now, if the generator never waits

    def put(self, item: bytes) -> None:
        """Take an item, from another thread."""
        with self._moved:
            while self._is_full and self._error is None:
                self._moved.wait()
            self._take(item)
            if self._is_announced:
                return
            self._is_announced = True
        try:
            self._loop.call_soon_threadsafe(self._look)
        except RuntimeError:  # the loop is closed, and the worker with it
            raise self._over() from None

    async def flush(self) -> None:
        """Wait until all items are written. Raises what `add` raises."""
        self._look()
        while self._unwritten and self._error is None:
            self._progress.clear()
            await self._progress.wait()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """The run is over: write nothing more. Threads that put something are told."""
        self._fail(self._over())
        if self._writing is not None:
            abandon_task(self._writing)

    @property
    def _is_full(self) -> bool:
        return self._unwritten >= _MOST_ITEMS or self._bytes >= _MOST_BYTES

    def _take(self, item: bytes) -> None:
        if self._error is not None:
            raise self._error
        self._waiting.append(item)
        self.count += 1
        self._unwritten += 1
        self._bytes += len(item)

    def _look(self) -> None:
        with self._moved:
            self._is_announced = False
        self._start()

    def _start(self) -> bool:
        """Write what waits; return False if that is under way already."""
        if self._writing is not None and not self._writing.done():
            return False
        if not self._waiting or self._error is not None:
            return False
        self._writing = spawn(self._write(), name="ltq-items")
        return True

    async def _write(self) -> None:
        while self._waiting:
            with self._moved:
                items, self._waiting = self._waiting, []
            try:
                is_held = await self._append(items)
            except Exception as error:
                self._fail(error)
                return
            if not is_held:
                self._fail(self._over())
                self._lost(self._lease)
                return
            self._written += len(items)
            with self._moved:
                self._unwritten -= len(items)
                self._bytes -= sum(map(len, items))
                self._moved.notify_all()
            self._progress.set()

    async def _append(self, items: list[bytes]) -> bool:
        """Write items, however long the broker is away. Returns False if the lease is lost.

        Raises the error of a broker that refuses them again and again.
        """
        backoff, refusals, throttled = ExponentialBackoff(*_BACKOFF), 0, ThrottledLogger(logger)
        while True:
            try:
                return await self._settler.append(self._lease, self._written, items, self._most)
            except BrokerError as error:
                refusals += error.is_refusal and not error.is_busy
                if refusals == _REFUSALS:
                    raise
                text = "task %s: %d items wait to be written: %s"
                throttled.warning(text, self._lease.id, self._unwritten, error)
            await asyncio.sleep(backoff.next())

    def _fail(self, error: Exception) -> None:
        with self._moved:
            self._error = self._error or error
            self._moved.notify_all()
        self._progress.set()

    def _over(self) -> RunOverError:
        return RunOverError(
            f"the run of task {self._lease.id} is over: it ended, timed out, was cancelled, lost "
            "its lease or was requeued"
        )
