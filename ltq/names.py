"""Names of workers and queues, ids of tasks, and the namespace of a queue."""

import os
import re
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import TypeVar

from ltq._display.values import short_repr
from ltq.errors import ConfigurationError

T = TypeVar("T")

_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,200}", re.ASCII)

_TAG = re.compile(r"[A-Za-z0-9_.:-]{1,64}", re.ASCII)

MAX_TAGS = 16
"""Most tags of a task."""

_WHOLE_KINDS = ("task id",)
"""Kinds that are not called names."""


def check_name(kind: str, value: object, *, longest: int = 200) -> str:
    """Return `value` if it is a valid name, else raise `ConfigurationError`.

    `kind` is its name in the error: "worker", "queue", "task id".
    """
    if isinstance(value, str) and _NAME.fullmatch(value) and len(value) <= longest:
        return value
    what = kind if kind in _WHOLE_KINDS else f"{kind} name"
    raise ConfigurationError(
        f"{what} {short_repr(value)} is not allowed: "
        f"1 to {longest} of the characters A-Z a-z 0-9 _ . : -"
    )


def check_names(kind: str, values: Iterable[object]) -> list[str]:
    """Return `values` as a list if each is a valid name, else raise `ConfigurationError`.

    One text is no list of names, although it is a sequence of texts.
    """
    if isinstance(values, str | bytes):
        what = kind if kind in _WHOLE_KINDS else f"{kind} name"
        raise ConfigurationError(f"a list of {what}s is needed, not {short_repr(values)}")
    return [check_name(kind, value) for value in values]


def check_id(value: object) -> str:
    """An id of which a handle is asked for. Raises `ConfigurationError` for what is not a text.

    Whether it can be the id of a task, the broker says.
    """
    if not isinstance(value, str):
        raise ConfigurationError(f"id={short_repr(value)} is not allowed: the text of an id")
    return value


def check_lane(value: object) -> str:
    """Return `value` if it is the name of a lane, else raise `ConfigurationError`.

    A lane is a queue, `queue/task` (see `ltq.message.lane_of`), or `queue/task/serializer`.
    """
    if isinstance(value, str) and "/" in value:
        return _check_parts(
            "lane", value, "a queue's name, queue/task, or queue/task/serializer", 3
        )
    return check_name("queue", value)


def check_kinds(values: Iterable[object]) -> list[str]:
    """Return `values` as a list if each is a kind of task, else raise `ConfigurationError`.

    That is the name of a task, or `task/serializer`: see `ltq.message.kind_of`.
    """
    if isinstance(values, str | bytes):
        return check_names("task", values)
    return [
        _check_parts("task", value, "a task's name, or task/serializer", 2)
        if isinstance(value, str) and "/" in value
        else check_name("task", value)
        for value in values
    ]


def _check_parts(kind: str, value: str, allowed: str, most: int) -> str:
    parts = value.split("/")
    if len(parts) <= most and all(map(is_name, parts)):
        return value
    raise ConfigurationError(
        f"{kind} {short_repr(value)} is not allowed: {allowed}, each of 1 to 200 of the characters "
        "A-Z a-z 0-9 _ . : -"
    )


def check_lanes(values: Iterable[object]) -> list[str]:
    """Return `values` as a list if each is the name of a lane, else raise `ConfigurationError`."""
    if isinstance(values, str | bytes):
        raise ConfigurationError(f"a list of lanes is needed, not {short_repr(values)}")
    return [check_lane(value) for value in values]


def check_tags(value: object) -> tuple[str, ...]:
    """Return `value` as a tuple if it is a list of tags, else raise `ConfigurationError`.

    One text is no list of tags, although it is a sequence of texts.
    """
    if not isinstance(value, tuple | list):
        raise ConfigurationError(
            f'tags={short_repr(value)} is not allowed: a tuple of texts, such as ("tenant:7",)'
        )
    for tag in value:
        if not is_tag(tag):
            raise ConfigurationError(
                f"tags={short_repr(value)} is not allowed: {short_repr(tag)} is not 1 to 64 of the "
                "characters A-Z a-z 0-9 _ . : -"
            )
    return check_tag_count(tuple(dict.fromkeys(value)))


def check_tag_count(tags: tuple[str, ...]) -> tuple[str, ...]:
    """Return `tags` if a task may have so many, else raise `ConfigurationError`."""
    if len(tags) > MAX_TAGS:
        raise ConfigurationError(
            f"{len(tags)} tags are not allowed: at most {MAX_TAGS}, those of the task and of the "
            f"send together: {', '.join(tags)}"
        )
    return tags


def check_tag(value: object) -> str:
    """Return `value` if it is a valid tag, else raise `ConfigurationError`."""
    if isinstance(value, str) and is_tag(value):
        return value
    raise ConfigurationError(
        f"tag {short_repr(value)} is not allowed: 1 to 64 of the characters A-Z a-z 0-9 _ . : -"
    )


def is_tag(value: object) -> bool:
    """Whether `value` is a valid tag."""
    return isinstance(value, str) and _TAG.fullmatch(value) is not None


def is_name(value: object) -> bool:
    """Whether `value` is a valid name."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


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


def positions_by_namespace(
    items: Sequence[T], queue_of: Callable[[T], str]
) -> dict[str, list[int]]:
    """The positions of items, by the namespace of their queue."""
    groups: dict[str, list[int]] = {}
    group: list[int] = []
    last: str | None = None
    for position, queue in enumerate(map(queue_of, items)):
        if queue != last:  # many in a row have the same
            last, group = queue, groups.setdefault(namespace_of(queue), [])
        group.append(position)
    return groups


def by_namespace(items: Iterable[T], queue_of: Callable[[T], str]) -> dict[str, list[T]]:
    """Items, by the namespace of their queue."""
    every = [*items]
    groups = positions_by_namespace(every, queue_of)
    return {
        namespace: [every[position] for position in positions]
        for namespace, positions in groups.items()
    }


def new_id() -> str:
    """A new task id: 24 hexadecimal digits. The first 8 are Unix seconds, the next 2 are 256ths of
    one, the others are random.

    So ids of one time are neighbours in an index, and a store writes few pages of it for them.
    The system is asked for random bits for each id. Ids made in advance could repeat: after
    a fork that Python does not see, or when a machine is started several times from one snapshot.
    """
    return f"{int(time.time() * 256) & 0xFF_FFFF_FFFF:010x}{os.urandom(7).hex()}"


def consumer_name() -> str:
    """A name for one run of a worker: host, process, and four digits that tell runs apart.

    It is short because a Redis hash is stored compactly only while its values are at most 64 bytes.
    """
    host = re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())[-24:] or "host"
    return f"{host}-{os.getpid()}-{os.urandom(2).hex()}"
