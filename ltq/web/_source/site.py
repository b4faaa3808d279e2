"""What one dashboard shows: its brokers, and what is known of their tasks."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ltq._declared import DeclaredTask
from ltq._display.values import short_repr
from ltq.broker import Broker
from ltq.errors import ConfigurationError
from ltq.scheduler import Scheduler
from ltq.web.access import Redact
from ltq.worker import Worker


@dataclass(frozen=True, slots=True)
class Named:
    """A broker or a worker, and what its broker is called in addresses and on pages."""

    source: Broker | Worker[Any]
    name: str = ""
    """Empty: made from its URL."""

    @property
    def broker(self) -> Broker:
        """The broker. Raises `ConfigurationError` if a name stands for none."""
        return self.source if isinstance(self.source, Broker) else self.source.broker


@dataclass(frozen=True, slots=True)
class Board:
    """One broker of a dashboard."""

    key: str
    """The first part of the paths of its pages."""
    broker: Broker
    workers: Sequence[Worker[Any]]
    """The workers on it whose code is here."""
    scheduler: Scheduler
    """Steers its schedules; it never runs."""

    @property
    def url(self) -> str:
        """Where the broker is."""
        return self.broker.url

    def task(self, name: str) -> DeclaredTask[..., Any] | None:
        """The declaration of a task, if its code is here, also by a former name."""
        declared = [DeclaredTask.of(task) for one in self.workers for task in one.tasks.values()]
        known = next((task for task in declared if task.name == name), None)
        return known or next((task for task in declared if name in task.names), None)


@dataclass(frozen=True, slots=True)
class Site:
    """One dashboard."""

    boards: Mapping[str, Board]
    read_only: bool = False
    redact: Redact | None = None


def make_site(sources: Iterable[object], *, read_only: bool, redact: Redact | None) -> Site:
    """The site of these workers, brokers and `Named`. Raises `ConfigurationError`."""
    named = [_checked(source) for source in sources]
    if not named:
        raise ConfigurationError("a dashboard shows one broker at least: give it, or a worker")
    if redact is not None and not callable(redact):
        raise ConfigurationError(
            f"redact={short_repr(redact)} is not allowed: a function (task_name, value) -> value"
        )
    by_url: dict[str, list[Named]] = {}
    for one in named:
        by_url.setdefault(one.broker.url, []).append(one)
    boards: dict[str, Board] = {}
    for url, same in by_url.items():
        key = _new_key(next((one.name for one in same if one.name), "") or url, boards)
        boards[key] = _board(key, same)
    return Site(boards, read_only=read_only, redact=redact)


def _checked(source: object) -> Named:
    if isinstance(source, Named):
        return source
    if isinstance(source, Broker | Worker):
        return Named(source)
    raise ConfigurationError(
        f"{short_repr(source)} is not allowed: a dashboard shows workers and brokers"
    )


def _board(key: str, same: Sequence[Named]) -> Board:
    broker = same[0].broker
    workers = list(dict.fromkeys(one.source for one in same if isinstance(one.source, Worker)))
    scheduler = Scheduler(broker=broker)
    for worker in workers:
        scheduler.register_worker(worker)
    return Board(key, broker, workers, scheduler)


def _new_key(name: str, taken: Mapping[str, object]) -> str:
    """A short text without special characters, such as `redis` or `jobs`, that nobody has yet."""
    scheme, separator, rest = name.partition("://")
    own = rest.rpartition("/")[2].partition("?")[0] if separator else name
    own = re.sub(r"\.(db|sqlite3?)$", "", own)
    own = scheme if separator and (not own or own.isdecimal()) else own
    base = re.sub(r"[^A-Za-z0-9_-]+", "-", own).strip("-")[:40] or "broker"
    base = f"broker-{base}" if base in _RESERVED else base
    number, key = 1, base
    while key in taken:
        number += 1
        key = f"{base}-{number}"
    return key


_RESERVED = {"static", "login", "logout"}
"""First parts of paths that are no brokers."""
