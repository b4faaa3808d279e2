"""Real servers for tests, such as Redis: each on a free port and in a directory of its own."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import weakref
from abc import ABC, abstractmethod
from types import TracebackType
from typing import IO, Any, ClassVar, Self

START_TIMEOUT = 10.0


class _Ports:
    """Loopback ports for servers of tests, which several processes ask for at once.

    A port that was free a moment ago may be taken by the time a server wants it: by another
    process of the tests, or by a connection that goes out. So these lie below the ports that the
    system gives to connections, each process begins somewhere else, and none comes twice soon.
    """

    FIRST, END = 10_000, 32_000

    def __init__(self) -> None:
        self._random = random.SystemRandom()
        self._next = self._random.randrange(self.FIRST, self.END)

    def take(self, count: int, and_above: int = 0) -> int:
        """The first of so many in a row; with `and_above` those so much higher are free, too."""
        while True:
            first, end = self._next, self.END - and_above - count
            if first > end:
                first = self._random.randrange(self.FIRST, end)
            self._next = first + count
            wanted = {first + number + more for number in range(count) for more in (0, and_above)}
            if all(map(_is_free, wanted)):
                return first


def _is_free(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
        return True
    return False


_ports = _Ports()


def free_port() -> int:
    """A loopback port nobody listens on."""
    return _ports.take(1)


def free_ports(count: int, and_above: int = 0) -> int:
    """The first of `count` loopback ports in a row that nobody listens on.

    With `and_above` nobody listens on those either that are so much higher.
    """
    return _ports.take(count, and_above)


class Server(ABC):
    """A server's process, on a port and in a directory of its own.

    Stopped or killed, it may be started again: on the same port, with what its disk holds.
    """

    NAME: ClassVar[str]
    READY: ClassVar[bytes]
    """What its log says in lower case once it accepts connections."""
    START_WITHIN: ClassVar[float] = START_TIMEOUT

    def __init__(self, port: int | None = None) -> None:
        self.port = port or free_port()
        self._directory = tempfile.mkdtemp(prefix=f"ltq-{self.NAME}-")
        weakref.finalize(self, shutil.rmtree, self._directory, ignore_errors=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._answered = threading.Event()
        self._accepting = False
        self.is_frozen = False
        self.output: list[str] = []
        """What the server logged, for a look at a failure."""

    @property
    @abstractmethod
    def url(self) -> str:
        """Where it is."""

    @property
    def is_running(self) -> bool:
        """Whether it was started, and neither stopped nor killed since."""
        return self._process is not None

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def start(self) -> None:
        """Start, and wait until connections are accepted."""
        assert self._process is None, "the server is running"
        self._answered.clear()
        self._accepting = False
        self._process = subprocess.Popen(
            self._command(),
            cwd=self._directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **self._user(),
        )
        assert self._process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=[self._process.stdout])
        self._reader.start()
        self._answered.wait(self.START_WITHIN)
        if not self._accepting:
            self.kill()
            raise RuntimeError(f"{self.NAME} did not start:\n" + "".join(self.output))

    def stop(self) -> None:
        """Shut down as an administrator would; nothing if it is not running."""
        if self._process is not None:
            if self.is_frozen:
                self.thaw()  # else it would not hear of it
            self._end()
            self._gone()

    def kill(self) -> None:
        """Shut down as a power cut would; nothing if it is not running."""
        if self._process is not None:
            self._break()
            self._gone()

    def freeze(self) -> None:
        """Stop all of its processes, as a machine does that hangs. Connections stay open."""
        self._signal_all(signal.SIGSTOP)
        self.is_frozen = True

    def thaw(self) -> None:
        """Let them go on."""
        self._signal_all(signal.SIGCONT)
        self.is_frozen = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @abstractmethod
    def _command(self) -> list[str]:
        """What starts it."""

    def _user(self) -> dict[str, Any]:
        """What `subprocess` needs to run it as somebody else."""
        return {}

    def _end(self) -> None:
        """Ask it to end."""
        os.kill(self.pid, signal.SIGTERM)

    def _break(self) -> None:
        """Let it end without a chance to do anything."""
        self._signal_all(signal.SIGKILL)

    def _signal_all(self, number: signal.Signals) -> None:
        """To the server, and to its children if it has some."""
        os.kill(self.pid, number)

    def _gone(self) -> None:
        assert self._process is not None
        self._process.wait()
        if self._reader is not None:
            self._reader.join()
        self._process = self._reader = None
        self.is_frozen = False

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                self.output.append(line.decode(errors="replace"))
                if self.READY in line.lower():
                    self._accepting = True
                    self._answered.set()
        self._answered.set()  # the end: whoever waits for the start shall see that it failed


class RedisServer(Server):
    """One redis-server process. It keeps nothing on disk unless `arguments` say so."""

    NAME = "redis"
    READY = b"ready to accept connections"

    def __init__(self, executable: str, *arguments: str, port: int | None = None) -> None:
        super().__init__(port)
        self._executable = executable
        self._arguments = arguments

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def _command(self) -> list[str]:
        address = ["--port", str(self.port), "--bind", "127.0.0.1"]
        return [self._executable, *address, "--save", "", "--appendonly", "no", *self._arguments]
