"""Checksums of the files below a directory: a worker, and a producer that sends it the files.

    ltq run examples.checksums:worker            # in one terminal
    python -m examples.checksums ~/Documents     # in another

Both find Redis by LTQ_BROKER_URL, else at redis://localhost:6379. The worker opens the files by
their paths, so it runs on the machine where they are.
"""

import argparse
import asyncio
import contextlib
import hashlib
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import ltq
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

worker = ltq.Worker("checksums", concurrency=8)

CHUNK = 1 << 20
SHOWN = 10
"""Rows of the table, and failures, that are shown."""
PATIENCE = 3.0
"""Seconds without a result before the producer asks whether a worker runs."""


@dataclass(frozen=True)
class FileSum:
    """What the worker returns, and the producer gets again as the same class."""

    path: str
    size: int
    sha256: str


@worker.task
def checksum(path: str) -> FileSum:
    """Hash one file, a chunk at a time. A plain `def`: the worker runs it in a thread."""
    digest, size = hashlib.sha256(), 0
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return FileSum(path, size, digest.hexdigest())


@dataclass
class Report:
    """What came of it."""

    sums: list[FileSum] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the producer; 0 if every file has its checksum, 1 if not."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.checksums",
        description="Let a worker take the sha256 of the files below a directory.",
        epilog="The worker: ltq run examples.checksums:worker",
    )
    parser.add_argument("directory", metavar="DIRECTORY", type=Path)
    parser.add_argument("--limit", metavar="N", type=int, help="at most N files")
    options = parser.parse_args(arguments)
    if not options.directory.is_dir():
        parser.error(f"{options.directory} is not a directory")
    if options.limit is not None and options.limit < 1:
        parser.error("--limit takes a number of files, 1 or more")
    directory = options.directory.resolve()  # the worker may have been started elsewhere
    console = Console(highlight=False)
    try:
        report = asyncio.run(produce(directory, options.limit, console))
    except ltq.LtqError as error:
        print(f"it did not work out: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; what was sent goes on: ltq clear checksums:checksum", file=sys.stderr)
        return 130
    show(report, directory, console)
    return 1 if report.failures else 0


async def produce(directory: Path, limit: int | None, console: Console) -> Report:
    """Send a task for each file and collect the results as they come."""
    report = Report()
    start = time.perf_counter()
    async with contextlib.aclosing(worker):
        with console.status("looking for files"):
            files = itertools.islice(find(directory, report.failures.append), limit)
            messages = list(prepare(files, report.failures.append))
        handles = await checksum.send_many(messages)
        with follow(len(handles), console) as advance:
            async for handle in ltq.as_completed(handles):
                try:
                    report.sums.append(await handle.result())
                except ltq.TaskError as error:
                    report.failures.append(error.state.error or str(error))
                advance()
    report.seconds = time.perf_counter() - start
    return report


def find(directory: Path, complain: Callable[[str], None]) -> Iterator[Path]:
    """The regular files below a directory, in order, folder by folder."""
    for folder, folders, names in os.walk(directory, onerror=lambda error: complain(str(error))):
        folders.sort()
        for path in (Path(folder, name) for name in sorted(names)):
            if path.is_file() and not path.is_symlink():
                yield path


def prepare(
    files: Iterator[Path], complain: Callable[[str], None]
) -> Iterator[ltq.Message[FileSum]]:
    """A message for each file: its arguments are checked here, before anything is sent."""
    for path in files:
        try:
            yield checksum.message(str(path))
        except ltq.InvalidArgumentsError:
            complain(f"{os.fsencode(path)!r}: this name is not UTF-8")


@contextlib.contextmanager
def follow(total: int, console: Console) -> Iterator[Callable[[], None]]:
    """A bar that moves, and a hint if it does not."""
    bar = Progress(
        TextColumn("checksums"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )
    task = bar.add_task("", total=total)
    hint = asyncio.get_running_loop().call_later(
        PATIENCE, bar.console.print, "no result yet; is a worker there? ltq run examples.checksums:worker"
    )

    def advance() -> None:
        hint.cancel()
        bar.advance(task)

    with bar:
        try:
            yield advance
        finally:
            hint.cancel()


def show(report: Report, directory: Path, console: Console) -> None:
    """Print the largest files, what failed, and the sum of it all."""
    largest = sorted(report.sums, key=lambda one: one.size, reverse=True)[:SHOWN]
    if largest:
        table = Table("sha256", title=f"the largest files of {directory}", title_justify="left")
        console.print(table)
