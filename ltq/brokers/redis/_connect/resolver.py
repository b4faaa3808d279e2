"""Looking up host names without the threads of an event loop, which tasks may keep busy.

asyncio looks names up in the loop's default threads. If tasks use them all, a worker that has lost
its connections could not open new ones.
"""

import asyncio
import os
import socket
import threading
from concurrent.futures import Future
from ipaddress import ip_address

_Key = tuple[int, str, int]
"""Process, host, port."""

_under_way: "dict[_Key, Future[list[str]]]" = {}
"""Lookups that are not answered yet: all who ask for the same name share one thread."""


async def addresses_of(host: str, port: int) -> list[str]:
    """The numeric addresses of a host, in the order to try them. Raises `OSError`."""
    if _is_numeric(host):
        return [host]
    key = (os.getpid(), host, port)
    answer: Future[list[str]] = Future()
    answer.set_running_or_notify_cancel()  # so nobody who gives up can cancel it for the others
    shared = _under_way.setdefault(key, answer)
    if shared is answer:
        _start(key, answer)
    return await asyncio.wrap_future(shared)


def _start(key: _Key, answer: "Future[list[str]]") -> None:
    # A daemon, since a lookup may hang for long, and a process must be able to end.
    thread = threading.Thread(target=_look_up, args=(key, answer), name="ltq-dns", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:  # too many threads, or the interpreter ends
        _under_way.pop(key, None)
        answer.set_exception(OSError(f"no thread to look up {key[1]}: {error}"))


def _look_up(key: _Key, answer: "Future[list[str]]") -> None:
    _, host, port = key
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except Exception as error:
        _under_way.pop(key, None)
        answer.set_exception(error if isinstance(error, OSError) else OSError(str(error)))
    else:
        _under_way.pop(key, None)
        answer.set_result([*dict.fromkeys(str(address[0]) for *_, address in found)])


def _is_numeric(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
