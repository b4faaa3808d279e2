"""A network between clients and a server of this machine: each byte takes so long in a direction.

It is a process of its own, so that what it does takes no time of those who are measured. Unlike
`devtools.proxy` it breaks nothing, and looks at nothing: what is on its way does not hold up what
follows. `python -m devtools.slow_network PORT SECONDS` prints the port where it listens.
"""

import contextlib
import queue
import socket
import subprocess
import sys
import threading
import time
from typing import Self

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
        while True:
            client, _ = listening.accept()
            server = socket.create_connection(("127.0.0.1", server_port))
            for one, other in ((client, server), (server, client)):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                line: _Line = queue.SimpleQueue()
                for job, end in ((_read, one), (_write, other)):
                    threading.Thread(target=job, args=[end, line, seconds], daemon=True).start()


_Line = queue.SimpleQueue[tuple[float, bytes]]
"""What is on its way: when it arrives, and the bytes; none at the end of the connection."""


def _read(end: socket.socket, line: _Line, seconds: float) -> None:
    data = b"-"
    while data:
        try:
            data = end.recv(_READ)
        except OSError:
            data = b""
        line.put((time.monotonic() + seconds, data))


def _write(end: socket.socket, line: _Line, _: float) -> None:
    while True:
        arrival, data = line.get()
        wait = arrival - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        try:
            if not data:
                end.shutdown(socket.SHUT_WR)
                return
            end.sendall(data)
        except OSError:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            return


if __name__ == "__main__":
    serve(int(sys.argv[1]), float(sys.argv[2]))
