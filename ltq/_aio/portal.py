"""The way from synchronous code into an event loop: one loop in a thread for each process."""

import asyncio
import atexit
import os
import socket
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from contextvars import Context
from typing import Any, Protocol, TypeVar
from weakref import WeakValueDictionary

from ltq._aio.loops import loop_here, trio_runs
from ltq.errors import BrokerError, ConfigurationError

T = TypeVar("T")

_CLOSE_WITHIN = 3.0
"""Most seconds that closing takes, so that the process can exit."""

_CLOSED = "the connections of synchronous calls are closed: by close_sync, a fork, or the exit"


class Closable(Protocol):
    """What calls use in the portal's event loop, such as a broker. The portal closes it."""

    async def aclose(self) -> None:
        """Close what was opened in the running event loop."""
        ...


class BlockingPortal:
    """An event loop in a daemon thread, for calls from any other thread."""

    def __init__(self) -> None:
        # Only brokers that are used elsewhere are closed here: dropped ones close themselves.
        self._used: WeakValueDictionary[int, Closable] = WeakValueDictionary()
        self._lock = threading.RLock()  # a garbage collection within it may end a watch
        self._process = os.getpid()
        self._closed = False
        opened: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._run, args=[opened], name="ltq-sync", daemon=True
        )
        try:
            Context().run(self._thread.start)  # some Pythons let it inherit the caller's
            opened.result()
        except (OSError, RuntimeError) as error:  # too many files or threads, or an exit
            raise BrokerError(f"synchronous calls need a thread of their own: {error}") from error

    @property
    def is_closed(self) -> bool:
        """Whether it refuses calls."""
        return self._closed

    def call(self, used: Closable, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine that uses a broker, and wait for what it returns or raises.

        It runs in a copy of the caller's context, and is cancelled if the wait is interrupted, for
        instance by Ctrl-C. Raises `BrokerError` if the portal is closed, or closes meanwhile.
        """
        future = self._start(used, work)
        if future is None:
            raise BrokerError(_CLOSED)
        try:
            return future.result()
        except CancelledError:
            raise BrokerError(_CLOSED) from None
        except BaseException:
            future.cancel()
            raise
        finally:
            del future  # it holds the error, whose traceback holds this frame

    def tell(self, used: Closable, work: Coroutine[Any, Any, Any]) -> None:
        """Start a coroutine without waiting for it. Does nothing if the portal is closed.

        It never blocks, so a garbage collection may call it.
        """
        self._start(used, work)

    def close(self) -> None:
        """Close what was used in this loop, and end the loop. Calls in progress fail."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._loop.call_soon_threadsafe(self._end.set)
        if threading.current_thread() is not self._thread:
            self._thread.join(_CLOSE_WITHIN)

    def _start(self, used: Closable, work: Coroutine[Any, Any, T]) -> "Future[T] | None":
        if self._process == os.getpid():  # in a fork the lock may be held by a thread of the parent
            with self._lock:  # so each call that is started gets its answer, or is cancelled
                if not self._closed:
                    self._used[id(used)] = used
                    return asyncio.run_coroutine_threadsafe(work, self._loop)
        work.close()
        return None

    def _run(self, opened: "Future[None]") -> None:
        try:
            with asyncio.Runner(loop_factory=_Loop) as runner:
                runner.run(self._live(opened))
        except Exception as error:
            if opened.done():
                raise
            opened.set_exception(error)
        finally:
            self._closed = True

    async def _live(self, opened: "Future[None]") -> None:
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        opened.set_result(None)
        await self._end.wait()
        closing = [used.aclose() for used in self._used.values()]
        await asyncio.gather(*closing, return_exceptions=True)


class _Loop(asyncio.SelectorEventLoop):
    """Looks up host names without a pool of threads.

    A pool refuses work once the main thread has ended, although others may go on. Python 3.12
    cannot even close a pool then.
    """

    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002  the base's name for it
        proto: int = 0,
        flags: int = 0,
    ) -> Any:
        """Call `socket.getaddrinfo` in a thread of its own."""
        found: Future[Any] = Future()
        found.set_running_or_notify_cancel()

        def look() -> None:
            try:
                found.set_result(socket.getaddrinfo(host, port, family, type, proto, flags))
            except Exception as error:
                found.set_exception(error)

        try:
            threading.Thread(target=look, name="ltq-sync-names", daemon=True).start()
        except RuntimeError:  # no thread can be started while the process exits
            look()
        return await asyncio.wrap_future(found)


_portal: BlockingPortal | None = None
_lock = threading.RLock()


def check_no_loop(instead: str) -> None:
    """Raise `ConfigurationError` if an event loop runs in this thread.

    `instead` is the call to use in a loop.
    """
    if loop_here() is not None:
        raise ConfigurationError(
            f"a synchronous call would block the event loop that runs here: use `{instead}`"
        )
    if trio_runs():
        raise ConfigurationError(
            "a synchronous call would block trio, which runs here: "
            "call it in a thread, by trio.to_thread.run_sync"
        )


def open_portal(instead: str) -> BlockingPortal:
    """The portal of this process, started if necessary. `instead` is the call to use in a loop.

    Raises `ConfigurationError` if an event loop runs in this thread, and `BrokerError` if the
    portal cannot be started.
    """
    check_no_loop(instead)
    global _portal
    with _lock:
        if _portal is None or _portal.is_closed:
            _portal = BlockingPortal()
        return _portal


def close_portal() -> None:
    """Close this process's portal, from any thread. The next synchronous call opens another."""
    global _portal
    with _lock:
        portal, _portal = _portal, None
    if portal is not None:
        portal.close()


def _forget() -> None:
    """Start again in a forked child: the thread is the parent's, and may hold the lock."""
    global _portal, _lock
    _portal, _lock = None, threading.RLock()


atexit.register(close_portal)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
