"""The registry of workers: what each tells about itself, and who is listed."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from ltq._display.values import short_repr
from ltq.errors import ConfigurationError
from ltq.names import check_name, check_names
from ltq.state import WorkerInfo, WorkerStatus

_TEXT = re.compile(r"[ -~]{0,255}")


class WorkerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker tells about itself: its entry in the registry."""

    name: str
    """That of its consumer."""
    host: str
    pid: int
    version: str
    """The version of LTQ that it runs."""
    queues: tuple[str, ...]
    concurrency: int
    started: float
    """When it began: Unix seconds by the broker's clock."""
    silent_after: float
    """Seconds after an announcement for which it is alive. That of a worker is its lease."""
    gone_after: float
    """Seconds after an announcement for which it is listed. That of a worker is ten leases, but 30
    seconds at least."""


class SeenWorker(msgspec.Struct, frozen=True):
    """An entry, and when its worker announced itself last, by the broker's clock."""

    entry: WorkerEntry
    seen: float


class HeldTask(NamedTuple):
    """A working task, as the list of workers needs it. Times are by the broker's clock."""

    id: str
    task_name: str
    since: float | None
    """When it was claimed."""
    lease_end: float


class WorkerRegistry(Protocol):
    """Knows which workers there are. `Inspector.workers` lists them."""

    async def announce(self, worker: WorkerEntry) -> bool:
        """A worker lives. It says so more often than once in `worker.silent_after` seconds.

        It is listed as alive for `worker.silent_after` seconds from now, then as silent, and from
        `worker.gone_after` seconds on no more. It is kept with its queues: without any it is not
        listed. Raises `ConfigurationError` for a wrong name of the worker or of a queue.

        Returns whether it saw endings in a namespace of its queues (`Flows.endings`), which another
        worker may have left. Every second call of a worker looks, at least.
        """
        ...

    async def leave(self, worker: WorkerEntry, lanes: Sequence[str] = ()) -> None:
        """A worker has ended in order: it is not listed any more.

        These lanes are no longer served (see `Presence.serve`), unless another worker is listed
        that has a queue in the same namespace: it may serve them too. Raises `ConfigurationError`
        for a wrong name, and for what is no lane.
        """
        ...


def check_worker(worker: WorkerEntry) -> None:
    """Raise `ConfigurationError` for a wrong name in the entry of a worker."""
    check_name("consumer", worker.name)
    check_names("queue", worker.queues)
    for what, text in (("host", worker.host), ("version", worker.version)):
        if not _TEXT.fullmatch(text):
            raise ConfigurationError(
                f"the {what} {short_repr(text)} of a worker is not allowed: "
                "at most 255 printable ASCII characters"
            )


def list_workers(
    seen: Iterable[SeenWorker], held: Mapping[str, Sequence[HeldTask]], now: float
) -> list[WorkerInfo]:
    """The workers of these entries, and the consumers that hold tasks without one, by name.

    `held` are the working tasks by the name of their consumer. An entry may come several times, as
    from several namespaces: the latest counts.
    """
    latest: dict[str, SeenWorker] = {}
    for one in seen:
        known = latest.get(one.entry.name)
        if known is None or known.seen < one.seen:
            latest[one.entry.name] = one
    names = sorted({*latest, *held})
    return [_info(name, latest.get(name), held.get(name, ()), now) for name in names]


def _info(name: str, worker: SeenWorker | None, held: Sequence[HeldTask], now: float) -> WorkerInfo:
    running = tuple(sorted(task.id for task in held))
    task_names = tuple(sorted({task.task_name for task in held}))
    since = min((task.since for task in held if task.since is not None), default=None)
    if worker is None:
        return WorkerInfo(
            name=name,
            running=running,
            task_names=task_names,
            since=since,
            status=_status(any(task.lease_end > now for task in held)),
        )
    entry = worker.entry
    return WorkerInfo(
        name=name,
        running=running,
        task_names=task_names,
        since=since,
        status=_status(now - worker.seen <= entry.silent_after),
        host=entry.host,
        pid=entry.pid,
        version=entry.version,
        queues=entry.queues,
        concurrency=entry.concurrency,
        started=entry.started,
        seen=worker.seen,
    )


def _status(is_alive: bool) -> WorkerStatus:
    return WorkerStatus.ALIVE if is_alive else WorkerStatus.SILENT
