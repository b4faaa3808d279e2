"""Arguments and results of so many bytes: from `send` to the result, and what the network takes."""

import socket
import statistics
import threading
import time
from collections.abc import Sequence

import ltq
from benchmarks.curves.curve import Curve, Points

ROUNDS = 40

WAYS = 4
"""How often the bytes of a task that returns its argument go from one process to another."""


async def bodies(url: str, sizes: Sequence[int]) -> Points:
    """Milliseconds of a task that returns its argument, and of its bytes on loopback alone."""
    worker = ltq.Worker("bench", broker_url=url)

    @worker.task
    async def echo(text: str) -> str:
        return text

    points: Points = {}
    async with worker:
        for size in sizes:
            text, times = "x" * size, []
            for _ in range(ROUNDS):
                start = time.perf_counter()
                result = await (await echo.send(text)).result(timeout=30)
                times.append(time.perf_counter() - start)
                assert len(result) == size, "bytes are missing"
            points[size] = {
                "send to result": 1e3 * statistics.median(times),
                "loopback alone": 1e3 * WAYS * _moved(size),
            }
    await worker.aclose()
    return points


def _moved(size: int) -> float:
    """Seconds in which a connection to this machine moves so many bytes, and one of an answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        here = socket.create_connection(server.getsockname())
        there, _ = server.accept()
    data, times = b"x" * size, []
    with here, there:
        taking = threading.Thread(target=_take, args=[there, size])
        taking.start()
        for _ in range(ROUNDS):
            start = time.perf_counter()
            here.sendall(data)
            here.recv(1)
            times.append(time.perf_counter() - start)
        taking.join()
    return statistics.median(times)


def _take(there: socket.socket, size: int) -> None:
    buffer = bytearray(max(1, size))
    for _ in range(ROUNDS):
        left = size
        while left:
            left -= there.recv_into(buffer, left)
        there.sendall(b"1")


CURVE = Curve(
    name="bodies",
    axis="bytes of an argument, and of the result",
    unit="ms",
    sizes=(100, 1_024, 16_384, 262_144),
    full=(100, 1_024, 4_096, 16_384, 65_536, 262_144),
    measure=bodies,
)
