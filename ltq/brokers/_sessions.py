"""What a broker has open: a session for each event loop that uses it."""

import asyncio
import os
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from ltq._aio.closing import Closing
from ltq._aio.loops import running_loop
from ltq._aio.threads import call_in


class Session(Protocol):
    """What a broker has in one event loop, such as its connections."""

    async def aclose(self) -> None:
        """Close it. If this is cancelled it may be called again, and waits for the end."""


S = TypeVar("S", bound=Session)


class Sessions(Generic[S]):
    """The sessions of a broker by event loop. A forked child begins with none, and closes none."""

    def __init__(self) -> None:
        self._open: dict[asyncio.AbstractEventLoop, S] = {}
        self._closing: dict[asyncio.AbstractEventLoop, set[S]] = {}
        """Those that are being closed, or whose closing was cut off."""
        self._process = os.getpid()

    def here(self, make: Callable[[], S]) -> S:
        """The session of the running event loop, made at its first use in this loop and process.

        What makes it is not kept: it knows the broker, which is freed as soon as it is dropped.
        """
        loop = running_loop()
        session = self._open.get(loop)
        if session is None or self._process != os.getpid():
            if self._process != os.getpid():
                self._process, self._open, self._closing = os.getpid(), {}, {}
            for ended in [one for one in (*self._open, *self._closing) if one.is_closed()]:
                self._open.pop(ended, None)
                self._closing.pop(ended, None)
            session = self._open[loop] = make()
        return session

    async def aclose(self) -> None:
        """Close the session of the running event loop; the next use makes another one.

        If this is cancelled the closing goes on, and a repeated call waits for its end.
        """
        loop = running_loop()
        session = self._open.pop(loop, None)
        if self._process != os.getpid():
            return
        closing = self._closing.setdefault(loop, set())
        if session is not None:
            closing.add(session)
        for one in tuple(closing):
            await one.aclose()
            closing.discard(one)
        if not closing:
            self._closing.pop(loop, None)


class Opened(ABC):
    """What a session has opened in the running event loop.

    It is closed by `aclose`, or dropped with the session, which it must not hold. A forked child
    does neither: that would disturb its parent.
    """

    def __init__(self, name: str) -> None:
        """`name` is that of the closing."""
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self.aclose = Closing(self._close, name)

    @property
    def is_inherited(self) -> bool:
        """Whether it was opened by the parent of this process."""
        return self._process != os.getpid()

    def drop_with(self, session: Session) -> None:
        """Drop it when nobody holds its session any more."""
        weakref.finalize(session, self.drop).atexit = False

    def drop(self) -> None:
        """Close it, without a word. A garbage collection may call this, in any thread."""
        if not (self.aclose.is_done or self.is_inherited):
            self._abandon_there()

    def _abandon_there(self) -> None:
        """Abandon it in its event loop, or here if that is closed."""
        if self._loop.is_closed():
            self._abandon()
        else:
            call_in(self._loop, self._abandon)

    @abstractmethod
    async def _close(self) -> None:
        """Close it. This may be repeated."""

    @abstractmethod
    def _abandon(self) -> None:
        """Close it at once, as far as that needs no waiting."""
