"""`ltq watch`: one task, live."""

import asyncio
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TimeElapsedColumn
from rich.text import Text

from ltq.cli._console import open_console, print_line
from ltq.cli._errors import CommandError, WrongUseError
from ltq.cli._options import broker_url_option, duration, json_option, open_broker
from ltq.cli._states import progress_text, result_text, state_json, status_text
from ltq.cli.tasks import find_task
from ltq.logger import printable
from ltq.state import Progress as TaskProgress
from ltq.state import Status, TaskState

_SHOWN_RESULT = 200
"""Characters of a result that are shown; `ltq state` has all of it."""


class _View(Protocol):
    def screen(self) -> AbstractContextManager[object]:
        """What is open while states come in."""
        ...

    def show(self, state: TaskState[bytes]) -> None:
        """A state that is new."""
        ...


@click.command()
@click.argument("task_id", metavar="ID")
@click.option("--timeout", type=duration, metavar="TIME", help="Give up after that: 90, 15m.")
@json_option
@broker_url_option
def watch(task_id: str, timeout: float | None, as_json: bool, broker_url: str | None) -> None:
    """Follow a task live until it ends.

    On a terminal a line that moves, otherwise a line for each state; with --json each is a JSON
    object. The exit code is 0 if the task completed, 1 if it ended in another way.

    \b
    Example:
      ltq watch 0c8bdd0dee0ab0ad55f2f5a7 --timeout 60
    """
    if timeout == 0:
        raise WrongUseError("--timeout takes a time of more than 0")
    final = asyncio.run(_watch(task_id, timeout, broker_url, _view(as_json=as_json)))
    if final.status is not Status.COMPLETED:
        reason = f": {final.error}" if final.error else ""
        raise CommandError(f"task {task_id} ended as {final.status}{reason}")


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
    """A line that moves, with a bar for the task's progress."""

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
            state = replace(state, progress=state.progress or self._last)  # how far it came
        self._last = state.progress
        completed, total = _bar(state)
        self._progress.update(self._line, completed=completed, total=total, state=state)
        if state.status.is_final:
            self._progress.stop()
            if state.result is not None:
                print_line(self._console, _result(state))


def _bar(state: TaskState[bytes]) -> tuple[float, float | None]:
    """How much of the bar is full, of how much; of None if nobody knows."""
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
            return Text("looking")
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
