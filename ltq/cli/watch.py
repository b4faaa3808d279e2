"""`ltq watch`: one task, live until it ends."""

import asyncio
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TimeElapsedColumn
from rich.text import Text

from ltq.cli._broker import find_task, open_broker
from ltq.cli._console import open_console, print_line
from ltq.cli._errors import CommandError, WrongUseError
from ltq.cli._format import failure_text, progress_text, result_text, state_json, status_text
from ltq.cli._options import broker_url_option, duration, json_option
from ltq.logger import printable
from ltq.state import Progress as TaskProgress
from ltq.state import Status, TaskState

_SHOWN_RESULT = 200
"""Most characters of a result that are shown; `ltq state` shows all of it."""


class _View(Protocol):
    def screen(self) -> AbstractContextManager[object]:
        """Return the context to be in while states arrive."""
        ...

    def show(self, state: TaskState[bytes]) -> None:
        """Show a new state."""
        ...


@click.command()
@click.argument("task_id", metavar="ID")
@click.option(
    "--timeout", type=duration, metavar="TIME", help="Give up after TIME, like 90 or 15m."
)
@json_option
@broker_url_option
def watch(task_id: str, timeout: float | None, as_json: bool, broker_url: str | None) -> None:
    """Follow a task live until it ends.

    On a terminal it updates one line. Elsewhere it prints each state as a line, with --json as a
    JSON object. The exit code is 0 if the task completed, else 1.

    \b
    Example:
      ltq watch 0c8bdd0dee0ab0ad55f2f5a7 --timeout 60
    """
    if timeout == 0:
        raise WrongUseError("--timeout must be more than 0")
    final = asyncio.run(_watch(task_id, timeout, broker_url, _view(as_json=as_json)))
    if final.status is not Status.COMPLETED:
        raise CommandError(failure_text(final))


async def _watch(
    task_id: str, timeout: float | None, url: str | None, view: _View
) -> TaskState[bytes]:
    async with open_broker(url) as broker:
        state = await find_task(broker, task_id)
        states = broker.watch(state.queue, task_id, timeout=timeout)
        try:
            with view.screen():
                async for state in states:
                    view.show(state)
        finally:
            await states.aclose()
        return state


def _view(*, as_json: bool) -> _View:
    console = open_console()
    if as_json:
        return _JsonView()
    return _LiveView(console) if console.is_interactive else _LineView(console)


class _JsonView:
    """A JSON object for each state."""

    def screen(self) -> AbstractContextManager[object]:
        return nullcontext()

    def show(self, state: TaskState[bytes]) -> None:
        click.echo(state_json(state))


class _LineView:
    """A line for each state."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def screen(self) -> AbstractContextManager[object]:
        return nullcontext()

    def show(self, state: TaskState[bytes]) -> None:
        words = [time.strftime("%H:%M:%S"), state.status.value]
        if state.dequeue_count > 1:
            words.append(f"(run {state.dequeue_count})")
        words += [progress_text(state.progress), _result(state)]
        print_line(self._console, " ".join(word for word in words if word))


class _LiveView:
    """One line that is updated, with a bar for the task's progress."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            _StateColumn(),
            BarColumn(),
            _ProgressColumn(),
            TimeElapsedColumn(),
            console=console,
        )
        self._last: TaskProgress | None = None
        self._line = self._progress.add_task("", total=None, state=None)

    def screen(self) -> AbstractContextManager[object]:
        return self._progress

    def show(self, state: TaskState[bytes]) -> None:
        if state.status.is_final and state.status is not Status.COMPLETED:
            state = replace(state, progress=state.progress or self._last)  # how far it got
        self._last = state.progress
        completed, total = _bar(state)
        self._progress.update(self._line, completed=completed, total=total, state=state)
        if state.status.is_final:
            self._progress.stop()
            if state.result is not None:
                print_line(self._console, _result(state))


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
        return Text(printable(progress_text(state.progress)) if state is not None else "")


def _result(state: TaskState[bytes]) -> str:
    if state.result is None:
        return ""
    return f"result {result_text(state.result, _SHOWN_RESULT)}"
