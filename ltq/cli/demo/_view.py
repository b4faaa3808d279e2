"""Showing the progress of the demo, and a report at its end."""

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from ltq.cli._console import Cell, print_columns, print_line
from ltq.cli.demo.checksums import Checksum, Survey
from ltq.logger import printable
from ltq.state import TaskState

_LOOK = """
Two terminals show more than one. In the second, while this runs:
  ltq top --broker-url {url}
  ltq watch {task_id} --broker-url {url}
  ltq stats --broker-url {url}
"""

_HINT = """
Next, in a folder of your own:
  1. write jobs.py   import ltq
                     worker = ltq.Worker("jobs", broker_url="sqlite:///jobs.db")
                     @worker.task
                     def hello(name: str) -> str:
                         return f"hello {name}"
  2. run its worker  ltq run jobs:worker
  3. send a task     ltq send jobs:worker.hello --args '["you"]' --wait
  4. look at it      ltq top --broker-url sqlite:///jobs.db
For several machines it is broker_url="redis://HOST:6379", and the rest stays."""


@dataclass(frozen=True)
class Report:
    """The outcome of the demo."""

    directory: str
    survey: Survey
    stumble: TaskState[int]


class View(Protocol):
    """Shows the progress of the demo."""

    def screen(self) -> AbstractContextManager[object]:
        """Return the context to be in while the demo runs."""
        ...

    def walked(self, files: float, folder: str) -> None:
        """Show how many files were found so far, and the last folder that was read."""
        ...

    def hashed(self, done: int, total: int) -> None:
        """Show how many files are done."""
        ...


def open_view(console: Console) -> View:
    """Return a live view on a terminal, else one of plain lines."""
    return _LiveView(console) if console.is_interactive else _LineView(console)


class _LiveView:
    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", markup=False, style="dim"),
            console=console,
        )
        self._walk = self._progress.add_task("walk", total=None, note="")
        self._hash = self._progress.add_task("checksum", total=None, start=False, note="")
        self._hashes = False

    def screen(self) -> AbstractContextManager[object]:
        return self._progress

    def walked(self, files: float, folder: str) -> None:
        self._progress.update(self._walk, completed=files, note=printable(folder))

    def hashed(self, done: int, total: int) -> None:
        if not self._hashes:
            self._hashes = True
            self._progress.update(self._walk, completed=total, total=total, note="")
            self._progress.start_task(self._hash)
        self._progress.update(self._hash, completed=done, total=total)


class _LineView:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._tenths = -1

    def screen(self) -> AbstractContextManager[object]:
        return nullcontext()

    def walked(self, files: float, folder: str) -> None:
        """Print nothing: `hashed` prints the total."""

    def hashed(self, done: int, total: int) -> None:
        tenths = 10 * done // total if total else 10
        if tenths > self._tenths:
            self._tenths = tenths
            clock = time.strftime("%H:%M:%S")
            print_line(self._console, f"{clock} {done} of {total} files hashed")


def print_look(console: Console, url: str, task_id: str) -> None:
    """Print what a second terminal can look at: the file of a broker URL, and a task in it."""
    for line in _LOOK.format(url=url, task_id=task_id).split("\n"):
        print_line(console, line)


def print_report(console: Console, report: Report) -> None:
    """Print the largest files, the failures, the totals, and what to do next."""
    survey = report.survey
    print_line(console, "")
    if survey.largest:
        rows = [_row(one, report.directory) for one in survey.largest]
        print_columns(console, ("size", "sha256", "largest files"), rows, left={1, 2}, shortened=2)
        print_line(console, "")
    for line in survey.failures:
        print_line(console, Text(f"failed: {printable(line)}", style="red"))
    if survey.failed > len(survey.failures):
        print_line(console, f"failed: {survey.failed - len(survey.failures)} more")
    print_line(console, _total(survey))
    print_line(console, _retry(report.stumble))
    for line in _HINT.split("\n"):
        print_line(console, line)


def _row(one: Checksum, directory: str) -> list[Cell]:
    return [_size(one.size), one.sha256[:16], str(Path(one.path).relative_to(directory))]


def _total(survey: Survey) -> Text:
    files = "1 file" if survey.files == 1 else f"{survey.files} files"
    text = f"{files}, {_size(survey.size)}, in {survey.seconds:.2f} s"
    if survey.processes > 1:
        text += f", hashed by {survey.processes} processes"
    if survey.failed:
        text += f"; {survey.failed} failed"
    return Text(text, style="bold")


def _retry(state: TaskState[int]) -> str:
    if state.result is None or state.release_time is None or state.enqueue_time is None:
        return f"the task that fails on purpose ended as {state.status}"
    seconds = state.release_time - state.enqueue_time
    return (
        f"1 more task failed on purpose in try 1 "
        f"and completed in try {state.result} after {seconds:.2f} s"
    )


def _size(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
