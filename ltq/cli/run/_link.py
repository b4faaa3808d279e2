"""The link between a supervisor and its child process: a socket, which the child has as stdin.

The supervisor stops its child by it, not by a signal: the child may get signals from elsewhere as
well, as when one is sent to a whole group of processes, and must not count one of them twice. The
child tells by it what its exit code does not.
"""

import asyncio
import os
import signal
import socket
import stat
import threading
from asyncio.subprocess import Process
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

from ltq._aio.signals import pass_stop_on
from ltq.logger import get_logger

logger = get_logger("cli")

SUPERVISED = "LTQ_SUPERVISED"
"""Set in the environment of children."""

_STOP, _STOP_NOW = b"s", b"n"
_UP, _DONE = b"u", b"d"


class Child:
    """A child process, seen by its supervisor."""

    def __init__(self, process: Process, link: socket.socket) -> None:
        self._process = process
        self._link = link
        self._told = b""

    @classmethod
    async def start(cls, command: Sequence[str]) -> Self:
        """Start a command in a session of its own: Ctrl-C reaches it only through this process."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=theirs.fileno(),
                env={**os.environ, SUPERVISED: "1"},
                start_new_session=True,
            )
        return cls(process, ours)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.returncode

    @property
    def was_up(self) -> bool:
        """Whether its workers ran, once it has ended."""
        return _UP in self._told

    @property
    def is_done(self) -> bool:
        """Whether its workers had nothing left to do, or stopped themselves. Once it has ended."""
        return _DONE in self._told

    def stop(self, *, now: bool = False) -> None:
        """Tell it to stop; with `now`, to requeue its tasks at once. Telling it twice is fine."""
        with suppress(OSError):  # it has ended
            self._link.send(_STOP_NOW if now else _STOP)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()

    async def wait(self) -> int:
        """Wait for its end; return the exit code, negative for a signal."""
        code = await self._process.wait()
        with suppress(OSError):
            while told := self._link.recv(64):
                self._told += told
        self._link.close()
        return code


class Parent:
    """The supervisor, seen by its child; nobody if this process has none."""

    def __init__(self) -> None:
        self._link = _take_link()
        if self._link is not None:
            threading.Thread(
                target=self._listen, args=(self._link,), name="supervisor-link", daemon=True
            ).start()

    @property
    def exists(self) -> bool:
        """Whether this process has a supervisor."""
        return self._link is not None

    def tell_up(self) -> None:
        """Tell that the workers run. From any thread; telling it twice is fine."""
        self._tell(_UP)

    def tell_done(self) -> None:
        """Tell that the workers have nothing left to do, or stopped themselves."""
        self._tell(_DONE)

    def _tell(self, what: bytes) -> None:
        if self._link is not None:
            with suppress(OSError):  # the supervisor has ended
                self._link.send(what)

    def _listen(self, link: socket.socket) -> None:
        """Stop when told to, or when the supervisor has ended, even if it was killed."""
        with suppress(OSError):
            while told := link.recv(64):
                _stop(now=_STOP_NOW in told)
        logger.warning("the supervisor has ended: stopping")
        _stop(now=False)


def _stop(*, now: bool) -> None:
    if not pass_stop_on(now):  # nothing runs yet: the module is being imported
        os.kill(os.getpid(), signal.SIGTERM)


def _take_link() -> socket.socket | None:
    """Take the socket that is this process's stdin, so that nothing else reads from it."""
    if not os.environ.get(SUPERVISED) or not stat.S_ISSOCK(os.fstat(0).st_mode):
        return None
    link = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return link
