"""The receivers of all processes, as a sender sees them."""

import errno
import os
import socket
import stat
import time
from collections.abc import Collection, Iterable
from contextlib import suppress

from ltq.brokers.sqlite._wake.folder import SOCKET, Folder, new_socket
from ltq.brokers.sqlite._wake.interest import ALL, SIZE, bit_of

_COARSE = 3_000_000_000
"""Nanoseconds in which a directory may change again without another time of change: 4 ms on most
file systems, and up to two seconds on some."""

HINT = b"."
"""The datagram. It says no more than that it has come."""


class Peers:
    """Sends hints to the receivers of a directory. Not safe for threads."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._folder: Folder | None = None
        self._socket: socket.socket | None = None
        self._interests: dict[str, int | None] = {}
        """Each receiver's file; None if it cannot be read, as if all interested it."""
        self._listed: int | None = None
        """The directory's time of change when it was listed; None if that may change again."""

    def send(self, topics: Collection[str], own: Collection[str]) -> None:
        """Tell all whom these topics may concern, except `own`. Never waits for a receiver.

        One whose socket is full has hints that it has not read yet.

        Raises `OSError` if the directory cannot be used.
        """
        folder = self._refreshed()
        if folder is None or self._interests.keys() <= set(own):
            return
        bits = 0
        for topic in topics:
            bits |= bit_of(topic)
        for name, file in tuple(self._interests.items()):
            if name not in own and _interest(file) & bits:
                self._send(folder, name)

    def close(self) -> None:
        """Close all that is open; `send` opens it again."""
        self._forget(tuple(self._interests))
        for one in (self._folder, self._socket):
            if one is not None:
                one.close()
        self._folder = self._socket = self._listed = None

    def _refreshed(self) -> Folder | None:
        """The directory, after a look at who is in it. None if there is none."""
        changed_at = None if self._folder is None else self._folder.changed_at()
        if changed_at is None:
            self.close()
            with suppress(FileNotFoundError):
                self._folder = Folder(self._path)
                changed_at = self._folder.changed_at()
        if self._folder is not None and (self._listed is None or changed_at != self._listed):
            self._list(self._folder, changed_at)
        return self._folder

    def _list(self, folder: Folder, changed_at: int | None) -> None:
        now = time.time_ns()
        names = folder.receivers()
        self._forget(self._interests.keys() - names)
        for name in names - self._interests.keys():
            self._interests[name] = _open(folder, name)
        is_settled = changed_at is not None and now - changed_at > _COARSE
        self._listed = changed_at if is_settled else None

    def _forget(self, names: Iterable[str]) -> None:
        for name in tuple(names):
            file = self._interests.pop(name)
            if file is not None:
                os.close(file)

    def _send(self, folder: Folder, name: str) -> None:
        if self._try(folder, name) == errno.ECONNREFUSED:
            folder.remove(name)
            self._forget([name])

    def _try(self, folder: Folder, name: str) -> int | None:
        """The number of the error, if there is one."""
        if self._socket is None:
            self._socket = new_socket()
        try:
            self._socket.sendto(HINT, folder.address(name + SOCKET))
        except OSError as error:
            return error.errno
        return None


def _open(folder: Folder, name: str) -> int | None:
    with suppress(OSError):
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder.fd)
        if stat.S_ISREG(os.fstat(file).st_mode):
            return file
        os.close(file)
    return None


def _interest(file: int | None) -> int:
    if file is None:
        return ALL
    bits = os.pread(file, SIZE, 0)
    return int.from_bytes(bits, "little") if len(bits) == SIZE else ALL
