"""What a broker keeps for one event loop: its part in the thread of the file, and its watches."""

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ltq._aio.clock import Clock
from ltq._aio.threads import call_in
from ltq.brokers._sessions import Opened
from ltq.brokers.sqlite._thread.files import acquire, release
from ltq.brokers.sqlite._thread.listening import Listening
from ltq.brokers.sqlite._thread.thread import SqliteThread
from ltq.brokers.sqlite._watching import Watching


class Session:
    """What a broker keeps for the running event loop.

    Without `aclose` it is closed when nobody holds it any more. Nothing that runs in the background
    may hold it.
    """

    def __init__(self, path: Path, clock: Clock, *, is_durable: bool, is_shared: bool) -> None:
        thread = acquire(path, clock)
        thread.is_durable = thread.is_durable or is_durable
        thread.is_shared = thread.is_shared or is_shared
        self.thread = thread
        self.listening = Listening(thread)
        self.watching = Watching(thread, self.listening)
        self._opened = _Opened(thread, self.watching, self.listening)
        self._opened.drop_with(self)

    async def aclose(self) -> None:
        """Close it. If this is cancelled, the closing goes on; a call waits for it."""
        await self._opened.aclose()


class _Opened(Opened):
    """What a session has opened in an event loop."""

    def __init__(self, thread: SqliteThread, watching: Watching, listening: Listening) -> None:
        super().__init__("ltq-sqlite-close")
        self._thread = thread
        self._watching = watching
        self._listening = listening
        self._releasing = threading.Lock()
        """Acquired by whoever leaves the thread of the file: that is done once."""

    async def _close(self) -> None:
        await self._watching.aclose()
        self._listening.close()
        closed = self._loop.create_future()
        if self._release(partial(call_in, self._loop, _set, closed)):
            await closed

    def drop(self) -> None:
        """Close it, without a word. A garbage collection may call this, in any thread."""
        if not (self.aclose.is_done or self.is_inherited):
            self._thread.aside(self._leave)

    def _leave(self) -> None:
        """Close it, in the thread of the file."""
        self._abandon_there()
        self._release(_do_nothing)

    def _abandon(self) -> None:
        self._watching.abandon()
        self._listening.close()

    def _release(self, stopped: Callable[[], None]) -> bool:
        """Leave the thread of the file. Returns whether that stops now, and calls `stopped`."""
        if not self._releasing.acquire(blocking=False) or not release(self._thread):
            return False
        self._thread.stop(stopped)
        return True


def _set(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _do_nothing() -> None:
    """Nobody waits for the end."""
