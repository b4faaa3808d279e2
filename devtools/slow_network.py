"""A network between clients and a server of this machine: each byte takes so long in a direction.

It is a process of its own, with one thread, so that what it does takes little time of those who are
measured. Unlike `devtools.proxy` it breaks nothing, and looks at nothing: what is on its way does
not hold up what follows. `python -m devtools.slow_network PORT SECONDS` prints the port where it
listens.
"""

import contextlib
import os
import select
import socket
import subprocess
import sys
import time
from collections import deque
from typing import NamedTuple, Self

_READ = 65536


class SlowNetwork:
    """Use as a context manager; `port` is where clients connect instead of `server_port`."""

    def __init__(self, server_port: int, seconds: float) -> None:
        self._command = [sys.executable, "-m", __name__, str(server_port), repr(seconds)]
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(self, *exc_info: object) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.communicate()


def serve(server_port: int, seconds: float) -> None:
    """Print the port, and move bytes until killed."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        sys.stdout.write(f"{listening.getsockname()[1]}\n")
        sys.stdout.flush()
        network = _Network(seconds)
        with contextlib.suppress(AttributeError, OSError):  # a network waits for no processor
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        while True:
            if network.move(listening):
                client, _ = listening.accept()
                network.join(client, socket.create_connection(("127.0.0.1", server_port)))


class _Arrival(NamedTuple):
    """What is on its way: when it arrives, where, and the bytes; none at the end of a stream."""

    moment: float
    end: socket.socket
    data: bytes


class _Network:
    """All connections. What was read first arrives first, as all takes the same time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._others: dict[socket.socket, socket.socket] = {}
        """The other end of each connection, by each."""
        self._readable: list[socket.socket] = []
        """The ends whose streams go on."""
        self._arrivals: deque[_Arrival] = deque()
        self._over: set[socket.socket] = set()
        """The ends to which nothing more is sent."""
        self._unsent: dict[socket.socket, deque[bytes]] = {}
        """What has arrived where there was no room for it."""

    def join(self, client: socket.socket, server: socket.socket) -> None:
        """Move bytes between these from now on."""
        for one, other in ((client, server), (server, client)):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            one.setblocking(False)
            self._others[one] = other
            self._readable.append(one)

    def move(self, listening: socket.socket) -> bool:
        """Wait until something happens, and see to it; return whether somebody connects."""
        wait = max(0.0, self._arrivals[0].moment - time.monotonic()) if self._arrivals else None
        reading, writing = [listening, *self._readable], [*self._unsent]
        readable, writable, _ = select.select(reading, writing, (), wait)
        moment = time.monotonic() + self._seconds
        for end in readable:
            if end is not listening:
                self._read(end, moment)
        for end in writable:
            self._send(end)
        while self._arrivals and self._arrivals[0].moment <= time.monotonic():
            _, end, data = self._arrivals.popleft()
            if end in self._unsent:
                self._unsent[end].append(data)
            elif end in self._others and end not in self._over:
                self._unsent[end] = deque([data])
                self._send(end)
        return listening in readable

    def _read(self, end: socket.socket, moment: float) -> None:
        try:
            data = end.recv(_READ)
        except OSError:
            data = b""
        if not data:
            self._readable.remove(end)
        self._arrivals.append(_Arrival(moment, self._others[end], data))

    def _send(self, end: socket.socket) -> None:
        """Send as much as there is room for."""
        unsent = self._unsent.get(end)
        while unsent:
            try:
                if not unsent[0]:
                    end.shutdown(socket.SHUT_WR)
                    return self._ended(end)
                rest = unsent[0][end.send(unsent[0]) :]
            except BlockingIOError:
                return None
            except OSError:
                for one in (end, self._others[end]):
                    with contextlib.suppress(OSError):
                        one.shutdown(socket.SHUT_RDWR)
                return self._ended(end)
            if rest:
                unsent[0] = rest
            else:
                unsent.popleft()
        self._unsent.pop(end, None)
        return None

    def _ended(self, end: socket.socket) -> None:
        """Nothing is sent to this end any more. Close both once that is so of the other, too."""
        self._unsent.pop(end, None)
        self._over.add(end)
        other = self._others[end]
        if other in self._over:
            for one in (end, other):
                del self._others[one]
                self._over.remove(one)
                one.close()


if __name__ == "__main__":
    serve(int(sys.argv[1]), float(sys.argv[2]))
