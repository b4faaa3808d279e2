"""How a move is shown."""

import sys
from typing import Any

import click

from ltq.cli._console import count_tasks, open_console, print_line
from ltq.cli._errors import tell
from ltq.cli.move._move import Report
from ltq.cli.move._tasks import Moved
from ltq.errors import LtqError


def show_progress(moved: Moved) -> None:
    """Show on a terminal how far a queue is."""
    if sys.stderr.isatty():
        click.echo(
            f"\r\x1b[K{moved.queue}: {moved.count} of {moved.total} moved", nl=False, err=True
        )


def erase_progress() -> None:
    """Remove what `show_progress` has shown."""
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", nl=False, err=True)


def print_queue(moved: Moved, *, would: bool = False) -> None:
    """Print the line of a queue."""
    parts = [f"{moved.pending} pending", f"{moved.delayed} delayed", f"{moved.dead} dead"]
    verb = "would be moved" if would else "moved"
    line = f"{moved.queue}: {count_tasks(moved.count)} {verb} ({', '.join(parts)})"
    if moved.running:
        line += f", {moved.running} running"
    print_line(open_console(), line)


def print_end(report: Report, *, would: bool = False) -> None:
    """Print which schedules were moved, and which queues are paused now."""
    verb = "that would be moved" if would else "moved"
    paused = [one.queue for one in report.queues if not would]
    paused_there = [one.queue for one in report.queues if one.is_paused_there]
    for what, names in (
        (f"schedules {verb}", report.schedules.moved),
        ("paused at FROM", paused),
        ("paused at TO", paused_there),
    ):
        if names:
            print_line(open_console(), f"{what}: {', '.join(names)}")


def tell_troubles(report: Report) -> None:
    """Print on stderr what was not moved although it waits, and what may run twice."""
    for name in report.schedules.conflicts:
        tell(LtqError(f"schedule {name} stays: the target has another one with this name"))
    for moved in report.queues:
        for task_id in moved.conflicts:
            tell(LtqError(f"task {task_id} stays: another task at the target has this id"))
        for task_id in moved.empty:
            tell(LtqError(f"dead letter {task_id} stays: its arguments were not kept"))
        for task_id in moved.started:
            tell(LtqError(f"task {task_id} was started at the source while it was moved"))
        if moved.bound.ids:
            tell(LtqError(_stay_text(moved)))
        others = moved.left - len(moved.conflicts) - len(moved.empty) - len(moved.bound.ids)
        if others > 0:
            tell(LtqError(f"{moved.queue}: {count_tasks(others)} left: repeat the command"))


def _stay_text(moved: Moved) -> str:
    count = len(moved.bound.workflows)
    which = "1 workflow" if count == 1 else f"{count} workflows"
    verb = "stays" if len(moved.bound.ids) == 1 else "stay"
    return (
        f"{moved.queue}: {count_tasks(len(moved.bound.ids))} of {which} {verb}, as a workflow ends "
        f"where it began: {moved.bound.names}. Resume its queues at FROM, and let workers end it"
    )


def as_json_of(report: Report) -> dict[str, Any]:
    """What was moved, for programs."""
    queues = [
        {
            "queue": one.queue,
            "pending": one.pending,
            "delayed": one.delayed,
            "dead": one.dead,
            "running": one.running,
            "left": one.left,
            "paused_there": one.is_paused_there,
            "conflicts": one.conflicts,
            "empty": one.empty,
            "started": one.started,
            "workflows": sorted(one.bound.workflows),
            "in_workflows": len(one.bound.ids),
        }
        for one in report.queues
    ]
    schedules = {"moved": report.schedules.moved, "conflicts": report.schedules.conflicts}
    return {"queues": queues, "schedules": schedules}
