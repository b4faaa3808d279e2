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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Self

from ltq._aio.signals import pass_stop_on
from ltq.cli._errors import WrongUseError
from ltq.cli._user_module import UserCodeError
from ltq.cli.run._address import AddressError
from ltq.errors import ConfigurationError
from ltq.logger import get_logger

logger = get_logger("cli")

SUPERVISED = "LTQ_SUPERVISED"
"""Set in the environment of children."""

_STOP, _STOP_NOW = b"s", b"n"
_UP, _DONE = b"u", b"d"
_HOPELESS = b"h"
"""It can never run. What follows says why."""

_LONGEST_REASON = 4096
"""Most bytes of it: a child never waits for its supervisor to read."""


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
        return _UP in self._before_reason

    @property
    def is_done(self) -> bool:
        """Whether its workers had nothing left to do, or stopped themselves. Once it has ended."""
        return _DONE in self._before_reason

    @property
    def hopeless(self) -> str:
        """Why it can never run, once it has ended; empty if it did not say so."""
        return self._told.partition(_HOPELESS)[2].decode(errors="replace")

    @property
    def _before_reason(self) -> bytes:
        return self._told.partition(_HOPELESS)[0]

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
            while told := self._link.recv(4096):
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

    def tell_hopeless(self, why: str) -> None:
        """Tell that this command can never run, whatever happens around it."""
        self._tell(_HOPELESS + why.encode(errors="replace")[:_LONGEST_REASON])

    @contextmanager
    def told_if_hopeless(self) -> Iterator[None]:
        """Tell if the block fails in a way that is the same at each start.

        That is a module that cannot be imported, a wrong name or option, a wrong configuration,
        too few free ports.
        """
        try:
            yield
        except (WrongUseError, UserCodeError, AddressError) as error:
            self.tell_hopeless(error.message)
            raise
        except ConfigurationError as error:
            self.tell_hopeless(str(error))
            raise

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
