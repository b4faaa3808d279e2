"""The three panes, and the rows of each: sorted and filtered."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from rich.text import Text

from ltq._display.durations import brief_text
from ltq.cli._console import Cell, safe
from ltq.cli._format import worker_status_text
from ltq.cli.top._snapshot import Snapshot
from ltq.logger import printable
from ltq.state import QueueStats, WorkerInfo


class Column(NamedTuple):
    """One column of a pane."""

    title: str
    width: int
    """Columns on the screen; 0 for what is left."""
    cell: Callable[[Any, float], Cell]
    """The cell of an item at a time."""
    key: Callable[[Any], Any]
    """What rows are sorted by."""
    is_left: bool = False
    grows_down: bool = False
    """Whether the largest comes first, unless the order is reversed."""


class Pane(NamedTuple):
    """One part of the screen. The first column takes what the others leave."""

    title: str
    columns: Sequence[Column]
    items: Callable[[Snapshot], Sequence[Any]]
    sort: int
    """The column by which it is sorted at first."""


def _count(title: str, width: int, number: Callable[[QueueStats], int]) -> Column:
    """A column of numbers, zeros dim, dead letters red."""

    def cell(stats: QueueStats, _: float) -> Cell:
        count = number(stats)
        return Text(str(count), style="dim" if not count else "red" if title == "dead" else "")

    return Column(title, width, cell, number, grows_down=True)


def _rate(stats: QueueStats, _: float) -> Cell:
    return Text(f"{stats.rate:.1f}" if stats.rate else "0", style="" if stats.rate else "dim")


def _name(stats: QueueStats, _: float) -> Cell:
    if stats.paused:
        return Text(f"{printable(stats.queue)} (paused)", style="yellow")
    return stats.queue


def _waiting(stats: QueueStats, _: float) -> Cell:
    return Text(str(stats.pending), style="" if stats.pending else "dim")


def _oldest(stats: QueueStats, _: float) -> Cell:
    return "" if stats.oldest is None else brief_text(stats.oldest)


def _busy(stats: QueueStats) -> tuple[float, ...]:
    """What puts the busiest queues first."""
    return (stats.pending, stats.working, stats.delayed, stats.rate)


def _age(moment: float | None, now: float) -> str:
    return "" if moment is None else brief_text(now - moment)


def _place(worker: WorkerInfo) -> str:
    """Where a worker runs; the name of a consumer without a worker."""
    return worker.name if worker.host is None else f"{worker.host} {worker.pid}"


QUEUES = Pane(
    "queues",
    (
        Column("queue", 0, _name, lambda one: one.queue, is_left=True),
        Column("pending", 9, _waiting, _busy, grows_down=True),
        Column("oldest", 8, _oldest, lambda one: one.oldest or 0.0, grows_down=True),
        _count("delayed", 9, lambda stats: stats.delayed),
        _count("working", 9, lambda stats: stats.working),
        _count("dead", 6, lambda stats: stats.dead),
        Column("rate/s", 8, _rate, lambda stats: stats.rate, grows_down=True),
    ),
    lambda snapshot: snapshot.queues,
    sort=1,
)

WORKERS = Pane(
    "workers",
    (
        Column("worker", 0, lambda one, _: _place(one), _place, is_left=True),
        Column(
            "status",
            8,
            lambda one, _: worker_status_text(one.status),
            lambda one: one.status,
            grows_down=True,
        ),
        Column(
            "tasks",
            7,
            lambda one, _: str(len(one.running)),
            lambda one: len(one.running),
            grows_down=True,
        ),
        Column(
            "slots",
            7,
            lambda one, _: "" if one.concurrency is None else str(one.concurrency),
            lambda one: one.concurrency or 0,
            grows_down=True,
        ),
        Column("seen", 7, lambda one, now: _age(one.seen, now), lambda one: one.seen or 0.0),
        Column("up", 7, lambda one, now: _age(one.started, now), lambda one: one.started or 0.0),
        Column("version", 9, lambda one, _: one.version or "", lambda one: one.version or ""),
    ),
    lambda snapshot: snapshot.workers,
    sort=1,
)

TASKS = Pane(
    "tasks",
    (
        Column("task", 0, lambda one, _: one.task_name, lambda one: one.task_name, is_left=True),
        Column("id", 25, lambda one, _: one.id, lambda one: one.id),
        Column(
            "since",
            7,
            lambda one, now: _age(one.last_dequeue_time, now),
            lambda one: one.last_dequeue_time or 0.0,
        ),
        Column("worker", 20, lambda one, _: one.worker or "", lambda one: one.worker or ""),
    ),
    lambda snapshot: snapshot.tasks,
    sort=2,
)

PANES = (QUEUES, WORKERS, TASKS)


def rows_of(
    pane: Pane, snapshots: Mapping[str, Snapshot], *, sort: int, is_reversed: bool, wanted: str
) -> list[list[Cell]]:
    """The rows of a pane that have a text in one of their cells, sorted by a column.

    The snapshots are by the name of their broker, which begins the rows; it is empty for the only
    one.
    """
    column, first = pane.columns[sort], pane.columns[0]
    items = [
        (name, snapshot.now, item)
        for name, snapshot in snapshots.items()
        for item in pane.items(snapshot)
    ]
    items.sort(key=lambda one: (first.key(one[2]), one[0]))
    items.sort(key=lambda one: column.key(one[2]), reverse=column.grows_down != is_reversed)
    rows = [_row(pane, name, item, now) for name, now, item in items]
    lower = wanted.lower()
    return [row for row in rows if any(lower in str(cell).lower() for cell in row)]


def _row(pane: Pane, name: str, item: object, now: float) -> list[Cell]:
    first, *others = [column.cell(item, now) for column in pane.columns]
    return [Text.assemble((f"{name} ", "dim"), safe(first)) if name else first, *others]
