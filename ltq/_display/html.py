"""The state of a task in a few words and as HTML."""

from collections.abc import Iterable
from typing import Any

from ltq.state import Progress, Status, TaskState

_COLOURS = {
    Status.PENDING: "#9a6700",
    Status.DELAYED: "#9a6700",
    Status.WORKING: "#0969da",
    Status.COMPLETED: "#1a7f37",
}
_FAILED = "#cf222e"
_CELL = "padding:2px 12px 2px 0;text-align:left;white-space:nowrap"
_BAR_WIDTH = 160
"""Pixels of a bar."""


def describe(state: TaskState[Any] | None) -> str:
    """Text that follows a name, like `": working 3/10"`; empty if no state is known."""
    if state is None:
        return ""
    return f": {state.status.value} {amount(state.progress)}".rstrip()


def amount(progress: Progress | None) -> str:
    """`"3/10"`, `"3"`, or empty."""
    if progress is None:
        return ""
    total = "" if progress.total is None else f"/{progress.total:g}"
    return f"{progress.current:g}{total}"


def remark(state: TaskState[Any]) -> str:
    """The progress of a task, and its note or its error."""
    note = state.error or (state.progress.note if state.progress else "")
    return f"{amount(state.progress)} {note}".strip()


def share(state: TaskState[Any] | None) -> float:
    """How much is done, from 0 to 1; 0 if that is not known."""
    if state is None:
        return 0.0
    if state.status is Status.COMPLETED:
        return 1.0
    progress = state.progress
    if progress is None or not progress.total:
        return 0.0
    return min(max(progress.current / progress.total, 0.0), 1.0)


def row(task_name: str, task_id: str, state: TaskState[Any] | None, note: str = "") -> str:
    """One task as a row of `table`; `note` is shown if its state is not known."""
    from html import escape  # slow to import, and few programs show HTML

    cells = [f"<b>{escape(task_name)}</b>", f"<code>{escape(task_id)}</code>"]
    if state is None:
        cells += ["", "", escape(note)]
    else:
        colour = _COLOURS.get(state.status, _FAILED)
        cells += [
            f'<span style="color:{colour};font-weight:600">{state.status.value}</span>',
            _bar(share(state), colour),
            escape(remark(state)),
        ]
    return "<tr>" + "".join(f'<td style="{_CELL}">{cell}</td>' for cell in cells) + "</tr>"


def table(rows: Iterable[str]) -> str:
    """A table of rows made by `row`."""
    return f'<table style="border-collapse:collapse">{"".join(rows)}</table>'


def _bar(done: float, colour: str) -> str:
    outer = f"width:{_BAR_WIDTH}px;height:8px;border-radius:4px;background:#8884;overflow:hidden"
    inner = f"width:{_BAR_WIDTH * done:.0f}px;height:8px;background:{colour}"
    return f'<div style="{outer}"><div style="{inner}"></div></div>'
