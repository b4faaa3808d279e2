"""The directory of sockets beside a database, for the processes of one user.

Each receiver has two entries: the file `NAME` with its interest, and the socket `NAME.sock`. A
socket is bound as `NAME.new` and then renamed, so that one that refuses is dead, not half made. A
name is never used twice, so that whoever removes a dead one cannot hit a new one.
"""

import errno
import os
import socket
import time
from contextlib import suppress
from pathlib import Path

SOCKET, UNBOUND = ".sock", ".new"

_UNFINISHED = 60.0
"""Seconds after which what has no socket is left over from a process that was killed."""

_FLAGS = sum(getattr(os, name, 0) for name in ("O_DIRECTORY", "O_NOFOLLOW"))

_DESCRIPTORS = "/proc/self/fd"
"""Where Linux shows open directories: an address there is short, and follows one that is moved."""


def have_sockets() -> bool:
    """Whether this platform has unix sockets, and users that own files."""
    return hasattr(socket, "AF_UNIX") and hasattr(os, "geteuid")


def folder_of(database: Path) -> str:
    """The path of this user's directory for a database."""
    return f"{os.path.realpath(database)}-wake-{os.geteuid()}"


def new_socket() -> socket.socket:
    """A socket for datagrams that never blocks."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.setblocking(False)
    return made


class Folder:
    """An open directory of sockets. `OSError` if there is none, or it is not this user's alone."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.fd = os.open(path, os.O_RDONLY | _FLAGS)
        found = os.fstat(self.fd)
        self._identity = found.st_dev, found.st_ino
        if found.st_uid != os.geteuid() or found.st_mode & 0o077:
            os.close(self.fd)
            raise PermissionError(f"{path} is not a directory of this user alone")
        shown = f"{_DESCRIPTORS}/{self.fd}"
        self._root = shown if os.path.isdir(shown) else path

    @classmethod
    def made(cls, path: str) -> "Folder":
        """Open the directory, and make it first if it is not there."""
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)
        return cls(path)

    def address(self, name: str) -> str:
        """What to bind, or to send to."""
        return f"{self._root}/{name}"

    def receivers(self) -> set[str]:
        """The names of those that have a socket."""
        entries = os.listdir(self.fd)
        return {name.removesuffix(SOCKET) for name in entries if name.endswith(SOCKET)}

    def changed_at(self) -> int | None:
        """When an entry came or went, in nanoseconds of Unix time.

        None if the path leads to another directory now. One that was moved away is still good.
        """
        try:
            found = os.stat(self._path, follow_symlinks=False)
        except FileNotFoundError:
            found = os.fstat(self.fd)
        return found.st_mtime_ns if (found.st_dev, found.st_ino) == self._identity else None

    def has(self, name: str) -> bool:
        """Whether others find a receiver here."""
        try:
            os.stat(name + SOCKET, dir_fd=self.fd, follow_symlinks=False)
        except OSError:
            return False
        return self.changed_at() is not None

    def remove(self, name: str) -> None:
        """Remove a receiver that is closed or dead."""
        for entry in (name + SOCKET, name + UNBOUND, name):
            with suppress(OSError):
                os.unlink(entry, dir_fd=self.fd)

    def remove_dead(self) -> None:
        """Remove what killed processes have left."""
        receivers = self.receivers()
        with new_socket() as probe:
            for name in receivers:
                with suppress(OSError):
                    if probe.connect_ex(self.address(name + SOCKET)) == errno.ECONNREFUSED:
                        self.remove(name)
        for entry in os.listdir(self.fd):
            name = entry.removesuffix(SOCKET).removesuffix(UNBOUND)
            if name not in receivers and self._is_old(entry):
                self.remove(name)

    def _is_old(self, entry: str) -> bool:
        with suppress(OSError):
            found = os.stat(entry, dir_fd=self.fd, follow_symlinks=False)
            return time.time() - found.st_mtime > _UNFINISHED
        return False

    def remove_if_empty(self) -> None:
        """Remove the directory itself, unless somebody uses it."""
        if self.changed_at() is not None:
            with suppress(OSError):
                os.rmdir(self._path)

    def close(self) -> None:
        """Close it."""
        os.close(self.fd)
