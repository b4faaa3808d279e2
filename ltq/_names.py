"""Names of workers, queues and tasks' ids, and what follows from them."""

import os
import re
import socket
from functools import lru_cache

from ltq.errors import ConfigurationError

_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,200}", re.ASCII)


def check_name(kind: str, value: object) -> str:
    """Return `value` if it is a valid name, else raise `ConfigurationError`.

    `kind` says what is named ("worker", "queue", "task id") in the error.
    """
    if isinstance(value, str) and _NAME.fullmatch(value):
        return value
    shown = repr(value)
    if len(shown) > 80:
        shown = shown[:77] + "..."
    what = kind if kind.endswith(" id") else f"{kind} name"
    raise ConfigurationError(
        f"{what} {shown} is not allowed: 1 to 200 of the characters A-Z a-z 0-9 _ . : -"
    )


@lru_cache(maxsize=4096)
def namespace_of(queue: str) -> str:
    """The part of a queue's (or a lane's) name before its first colon, or all of it.

    All queues of a namespace live together (in one cluster slot), so that one atomic script may
    touch them all. A worker's own queues are named `{worker}:{task}`: its namespace is its name.
    """
    own = queue.partition("/")[0]
    return own.partition(":")[0] or own


_ids: list[str] = []
"""Ids made in advance: asking the system for each costs more than the rest of making one."""

_AT_ONCE = 256

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_ids.clear)


def new_id() -> str:
    """A new task id: 24 hexadecimal digits, 96 random bits, safe after a fork."""
    while True:
        try:
            return _ids.pop()  # atomic, so that no two threads get the same
        except IndexError:
            digits = os.urandom(12 * _AT_ONCE).hex()
            _ids.extend(digits[start : start + 24] for start in range(0, len(digits), 24))


def consumer_name() -> str:
    """A name for one run of a worker: host, process, and four digits to tell runs apart.

    Short: a Redis hash stays compact only while its values are at most 64 bytes.
    """
    host = re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())[-24:] or "host"
    return f"{host}-{os.getpid()}-{os.urandom(2).hex()}"
