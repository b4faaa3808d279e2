"""Waking an event loop when a signal comes, so that Python calls its handler at once."""

import asyncio
import os
import signal
import socket
from collections.abc import Collection
from contextlib import suppress


class Wakeup:
    """A socket that wakes an event loop in the main thread.

    All signals are passed on to whoever was woken by them before; `own` are those that it counts.
    """

    def __init__(self, own: Collection[int]) -> None:
        self.process = os.getpid()
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self._own = own
        self._reads, self._writes = socket.socketpair()
        self._reads.setblocking(False)
        self._writes.setblocking(False)
        self._is_read = False
        self._first: int | None = None
        self._other = -1

    def take(self, loop: asyncio.AbstractEventLoop) -> None:
        """Be woken from now on, in this event loop."""
        if not self._is_read or loop is not self.loop:
            self._stop_reading()
            self.loop = loop
            with suppress(NotImplementedError):  # Windows: its loop wakes up by itself
                loop.add_reader(self._reads, self._read)
                self._is_read = True
        if not self._is_read:
            return
        other = signal.set_wakeup_fd(self._writes.fileno(), warn_on_full_buffer=False)
        if other != self._writes.fileno():
            self._other = other
            self._first = other if self._first is None else self._first

    def unread(self) -> int:
        """How many own signals the blocked event loop has not read. From any thread."""
        with suppress(OSError):
            return sum(n in self._own for n in self._reads.recv(4096, socket.MSG_PEEK))
        return 0

    def close(self) -> None:
        """Give signals back to whoever was woken by them before."""
        self._stop_reading()
        if self._first is not None:
            now = signal.set_wakeup_fd(-1)
            mine = now == self._writes.fileno()
            with suppress(OSError, ValueError):  # it has been closed meanwhile
                signal.set_wakeup_fd(self._first if mine else now)
        self._reads.close()
        self._writes.close()

    def _stop_reading(self) -> None:
        if self._is_read and not self.loop.is_closed():
            self.loop.remove_reader(self._reads)
        self._is_read = False

    def _read(self) -> None:
        with suppress(OSError):
            signals = self._reads.recv(4096)
            if self._other != -1:
                os.write(self._other, signals)
