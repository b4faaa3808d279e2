"""Names of workers and queues, ids of tasks, and the namespace of a queue."""

import os
import re
import socket
from functools import lru_cache

from ltq._display.values import short_repr
from ltq.errors import ConfigurationError

_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,200}", re.ASCII)


def check_name(kind: str, value: object) -> str:
    """Return `value` if it is a valid name, else raise `ConfigurationError`.

    `kind` is its name in the error: "worker", "queue", "task id".
    """
    if isinstance(value, str) and _NAME.fullmatch(value):
        return value
    what = kind if kind.endswith(" id") else f"{kind} name"
    raise ConfigurationError(
        f"{what} {short_repr(value)} is not allowed: 1 to 200 of the characters A-Z a-z 0-9 _ . : -"
    )


def check_worker_name(value: object) -> str:
    """Return `value` if it is a valid name for a worker, else raise `ConfigurationError`.

    It has no colon: what precedes the first colon of a queue's name is its worker's name.
    """
    name = check_name("worker", value)
    if ":" in name:
        raise ConfigurationError(
            f"worker name {short_repr(name)} is not allowed: a colon separates the names of a "
            f"worker and its task; for example {name.replace(':', '-').strip('-') or 'jobs'!r}"
        )
    return name


@lru_cache(maxsize=4096)
def namespace_of(queue: str) -> str:
    """The part of a queue's (or a lane's) name before its first colon, or all of it.

    All queues of a namespace are stored together (in one cluster slot), so that one atomic script
    can use them all. A worker's own queues are named `{worker}:{task}`: its namespace is its name.
    """
    own = queue_of(queue)
    return own.partition(":")[0] or own


def queue_of(lane: str) -> str:
    """The queue that a lane belongs to: its name up to the first slash."""
    return lane.partition("/")[0]


def new_id() -> str:
    """A new task id: 24 hexadecimal digits, 96 random bits.

    The system is asked for random bits for each id. Ids made in advance could repeat: after
    a fork that Python does not see, or when a machine is started several times from one snapshot.
    """
    return os.urandom(12).hex()


def consumer_name() -> str:
    """A name for one run of a worker: host, process, and four digits that tell runs apart.

    It is short because a Redis hash is stored compactly only while its values are at most 64 bytes.
    """
    host = re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())[-24:] or "host"
    return f"{host}-{os.getpid()}-{os.urandom(2).hex()}"
