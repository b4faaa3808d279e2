"""How quick the machine is by itself, so that figures of different moments can be compared."""

import socket
import threading
import time

Figures = dict[str, float]

_LOOP = 200_000
_TRIPS = 2_000


def speed() -> Figures:
    """Turns of a plain loop of Python a second, and round trips between two threads."""
    return {"loops/s": _loops(), "round trips/s": _round_trips()}


def _loops() -> float:
    start, total = time.perf_counter(), 0
    for number in range(_LOOP):
        total += number
    return _LOOP / (time.perf_counter() - start)


def _round_trips() -> float:
    here, there = socket.socketpair()
    with here, there:
        answering = threading.Thread(target=_answer, args=[there])
        answering.start()
        start = time.perf_counter()
        for _ in range(_TRIPS):
            here.sendall(b"1")
            here.recv(1)
        seconds = time.perf_counter() - start
        here.shutdown(socket.SHUT_WR)
        answering.join()
    return _TRIPS / seconds


def _answer(there: socket.socket) -> None:
    while data := there.recv(1):
        there.sendall(data)
