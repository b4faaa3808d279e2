"""One line on a terminal that follows a task, with a bar for its progress."""

from contextlib import AbstractContextManager
from dataclasses import replace

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task
from rich.table import Column
from rich.text import Text

from ltq.cli._format import progress_text, since_text, status_text
from ltq.cli._live.clock import BrokerClock
from ltq.logger import printable
from ltq.state import Progress as TaskProgress
from ltq.state import Status, TaskState

_BAR_WIDTH = 20
"""Columns of the bar: with the other texts the line fits a terminal of 80 columns."""


class LiveLine:
    """The line. It is updated within the context that `screen` returns."""

    def __init__(self, console: Console, clock: BrokerClock, *, transient: bool = False) -> None:
        """With `transient` the line is removed at the end."""
        self._progress = Progress(
            _StateColumn(Column(no_wrap=True)),
            BarColumn(_BAR_WIDTH, table_column=Column(no_wrap=True)),
            _ProgressColumn(),
            _ClockColumn(clock),
            console=console,
            transient=transient,
        )
        self._last: TaskProgress | None = None
        self._line = self._progress.add_task("", total=None, state=None)

    def screen(self) -> AbstractContextManager[object]:
        """The context to be in while states arrive."""
        return self._progress

    def show(self, state: TaskState[bytes]) -> None:
        """Show a new state. The final one ends the line."""
        if state.status.is_final and state.status is not Status.COMPLETED:
            state = replace(state, progress=state.progress or self._last)  # how far it got
        self._last = state.progress
        completed, total = _bar(state)
        self._progress.update(self._line, completed=completed, total=total, state=state)
        if state.status.is_final:
            self._progress.stop()


def _bar(state: TaskState[bytes]) -> tuple[float, float | None]:
    """Return how much of the bar is filled, and its total, or None if that is unknown."""
    progress = state.progress or TaskProgress(0)
    if state.status is Status.COMPLETED:
        return 1, 1
    if state.status.is_final and progress.total is None:
        return 0, 1
    return progress.current, progress.total


class _StateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        state: TaskState[bytes] | None = task.fields["state"]
        if state is None:
            return Text("waiting for the state")
        text = status_text(state.status)
        if state.dequeue_count > 1:
            text.append(f" (run {state.dequeue_count})", style="dim")
        return text


class _ProgressColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        state: TaskState[bytes] | None = task.fields["state"]
        text = "" if state is None else printable(progress_text(state.progress))
        return Text(text, no_wrap=True, overflow="ellipsis")


class _ClockColumn(ProgressColumn):
    """How long the task has been in its state, or took, by the broker's clock."""

    def __init__(self, clock: BrokerClock) -> None:
        super().__init__(Column(no_wrap=True))
        self._clock = clock

    def render(self, task: Task) -> Text:
        state: TaskState[bytes] | None = task.fields["state"]
        text = "" if state is None else since_text(state, self._clock.now())
        return Text(text, style="dim")
