"""The socket of one event loop, where other processes send their hints."""

import asyncio
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context

from ltq._aio.loops import loop_here
from ltq._aio.threads import call_in
from ltq.brokers.sqlite._wake.folder import SOCKET, UNBOUND, Folder, new_socket
from ltq.brokers.sqlite._wake.interest import SIZE

_AT_ONCE = 32
"""Most datagrams that are read in one turn of the event loop."""

_ATTEMPTS = 3
"""How often it is opened while others, the last to use it so far, remove the directory."""


class Mailbox:
    """A socket with a name that others find, and the interest they read before they send to it.

    It closes the folder that it is given, also if it cannot be made.
    """

    def __init__(self, folder: Folder, bits: int) -> None:
        self.name = f"{os.getpid()}-{secrets.token_hex(6)}"
        self._folder = folder
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self._is_read = False
        self._file = -1
        try:
            self._socket = new_socket()
        except BaseException:
            folder.remove_if_empty()
            folder.close()
            raise
        try:
            self._file = os.open(
                self.name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=folder.fd
            )
            self.show(bits)
            self._socket.bind(folder.address(self.name + UNBOUND))
            self._publish()
        except BaseException:
            self.close()
            raise

    @classmethod
    def opened(cls, path: str, bits: int) -> "Mailbox":
        """A mailbox in the directory of that path. Raises `OSError` if there can be none."""
        for _ in range(_ATTEMPTS - 1):
            with suppress(FileNotFoundError):
                return cls(Folder.made(path), bits)
        return cls(Folder.made(path), bits)

    def _publish(self) -> None:
        self._folder.remove_dead()
        os.rename(
            self.name + UNBOUND,
            self.name + SOCKET,
            src_dir_fd=self._folder.fd,
            dst_dir_fd=self._folder.fd,
        )

    def read_with(self, ready: Callable[[], object]) -> None:
        """Call `ready` in the event loop whenever there is something to `take`.

        Raises `NotImplementedError` if this event loop reads no sockets.
        """
        Context().run(self._loop.add_reader, self._socket, ready)  # not to keep the caller's
        self._is_read = True

    def show(self, bits: int) -> None:
        """Let senders know what to send from now on."""
        os.pwrite(self._file, bits.to_bytes(SIZE, "little"), 0)

    def take(self) -> bool:
        """Whether a hint has arrived. If there are more than are read at once, it tells again."""
        is_told = False
        with suppress(OSError):
            for _ in range(_AT_ONCE):
                self._socket.recv(1)
                is_told = True
        return is_told

    def is_found(self) -> bool:
        """Whether others still find it."""
        return self._folder.has(self.name)

    def close(self) -> None:
        """Close and remove it; in a forked process, only close it. From any thread."""
        is_ours = self._process == os.getpid()
        if is_ours:
            self._folder.remove(self.name)
            self._folder.remove_if_empty()
        self._folder.close()
        if self._file >= 0:
            os.close(self._file)
        if not is_ours or self._loop.is_closed() or not self._is_read:
            self._socket.close()
        elif loop_here() is self._loop:
            self._stop_reading()
        else:
            call_in(self._loop, self._stop_reading)

    def _stop_reading(self) -> None:
        self._loop.remove_reader(self._socket)
        self._socket.close()
