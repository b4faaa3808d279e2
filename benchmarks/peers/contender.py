"""What a compared queue has to be able to do. Only the standard library, and what it brings."""

import asyncio
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar

CONCURRENCY = 100

TOGETHER = 50
"""How many sends wait at once where there is no bulk call: more would only open connections."""

POLL = 0.001
"""Seconds between two looks at a result, for those that can only look."""


STOPPED_WITHIN = 4.0
"""Seconds that are given to a thread to end: it is no part of any measure."""

PATIENCE = 120.0
"""Seconds within which all tasks of a measure have to run."""


class UndeliveredError(Exception):
    """Tasks that were sent did not run: there is no rate without them."""


class Tally:
    """Counts runs of the no-op, and notes when the first and the wanted one were."""

    def __init__(self) -> None:
        self._left = 0
        self._first: float | None = None
        self._last = 0.0
        self._reached = asyncio.Event()

    def expect(self, count: int) -> None:
        """Start over, for so many runs."""
        self._left = count
        self._first = None
        self._reached.clear()

    def ran(self) -> None:
        """Tell of a run."""
        if self._first is None:
            self._first = time.perf_counter()
        self._left -= 1
        if self._left == 0:
            self._last = time.perf_counter()
            self._reached.set()

    async def seconds(self) -> float:
        """Wait for the wanted run; the time since the first one."""
        await self._reached.wait()
        return self._last - (self._first or 0.0)


class Contender(ABC):
    """A queue with one task, a no-op that returns its number. Used from one event loop."""

    packages: ClassVar[Sequence[str]]
    """The distributions whose versions are told."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.tally = Tally()
        self._left: set[int] = set()
        """The numbers of tasks that have not run yet."""

    def expect(self, count: int) -> None:
        """The tasks with the numbers below this are to run, each once at least."""
        self._left = set(range(count))
        self.tally.expect(count)

    def delivered(self, number: int) -> None:
        """Tell of a run. A second one of the same task counts for none that is missing."""
        if number in self._left:
            self._left.discard(number)
            self.tally.ran()

    async def all_delivered(self) -> float:
        """Wait for the last of them; seconds since the first one. Raises `UndeliveredError`."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await self.tally.seconds()
        except TimeoutError:
            raise UndeliveredError(f"{len(self._left)} tasks were not delivered") from None

    @abstractmethod
    async def send(self, number: int) -> Any:
        """Send one task; returns what `result` wants."""

    async def send_many(self, numbers: Sequence[int]) -> None:
        """Send some at once. This is for queues without a call for it: single sends, together."""
        for first in range(0, len(numbers), TOGETHER):
            together = numbers[first : first + TOGETHER]
            await asyncio.gather(*(self.send(number) for number in together))

    async def result(self, sent: Any) -> object:
        """Wait for the result of a task. Only for queues that keep results."""
        raise NotImplementedError

    @abstractmethod
    async def work(self) -> None:
        """Run a worker until cancelled."""

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Run a worker beside the block. Its failure is not overlooked."""
        async with _beside(self.work()):
            yield

    async def open(self) -> None:  # noqa: B027  some have nothing to do
        """Connect and prepare what is no part of any measure."""

    async def aclose(self) -> None:  # noqa: B027
        """Close the connections."""


async def run_in_thread(run: Callable[[], object], stop: Callable[[], object]) -> None:
    """Run a worker that blocks, in a thread, until cancelled; `stop` lets it end."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def over(error: BaseException | None) -> None:
        if not ended.done():
            ended.set_exception(error or RuntimeError("the worker has returned"))

    def whole() -> None:
        error: BaseException | None = None
        try:
            run()
        except BaseException as raised:
            error = raised
        with suppress(RuntimeError):  # the loop is closed: nobody wants to know
            loop.call_soon_threadsafe(over, error)

    thread = threading.Thread(target=whole, daemon=True)
    thread.start()
    try:
        await ended
    finally:
        stop()
        await asyncio.to_thread(thread.join, STOPPED_WITHIN)


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    around = asyncio.current_task()
    assert around is not None, "a coroutine runs in a task"
    task = asyncio.create_task(work)
    failed = False

    def ended(done: "asyncio.Task[None]") -> None:
        nonlocal failed
        if not done.cancelled():
            failed = True
            around.cancel()

    task.add_done_callback(ended)
    try:
        yield
    except asyncio.CancelledError:
        if failed:
            raise RuntimeError("the worker has ended by itself") from task.exception()
        raise
    finally:
        task.remove_done_callback(ended)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait([task], timeout=5)
