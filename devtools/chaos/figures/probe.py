"""How long a server keeps a client waiting: a PING about every millisecond, from a thread.

Of each wait is known for how long the server or the prober were ready to run but the machine gave
them no processor: what is left is the server's own doing.
"""

import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

_PAUSE = 0.001


@dataclass(frozen=True)
class Wait:
    """One PING, in milliseconds."""

    whole: float
    unscheduled: float

    @property
    def own(self) -> float:
        """What the machine does not explain."""
        return max(0.0, self.whole - self.unscheduled)


class Probe:
    """Use as a context manager; needs the server's port and process."""

    def __init__(self, port: int, pid: int) -> None:
        self._port = port
        self._files = [Path(f"/proc/{pid}/schedstat"), Path("/proc/thread-self/schedstat")]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ping)
        self._waits: list[Wait] = []

    def taken(self) -> list[Wait]:
        """The waits until now; counting begins anew."""
        taken, self._waits = self._waits, []
        return taken

    def _ping(self) -> None:
        with socket.create_connection(("127.0.0.1", self._port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while not self._over.wait(_PAUSE):
                delayed, began = self._delay(), time.perf_counter()
                connection.sendall(b"PING\r\n")
                connection.recv(64)
                whole = 1000 * (time.perf_counter() - began)
                self._waits.append(Wait(whole, self._delay() - delayed))

    def _delay(self) -> float:
        """Milliseconds for which both were ready and did not run; 0 where nobody counts them."""
        total = 0
        for file in self._files:
            with suppress(OSError, IndexError):
                total += int(file.read_text().split()[1])
        return total / 1e6

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
