"""Checksums of the files below a directory: a worker, and a producer that sends it the files.

    ltq run examples.checksums:worker            # in one terminal
    python -m examples.checksums ~/Documents     # in another

Both use the broker of LTQ_BROKER_URL, else redis://localhost:6379. The worker opens the files by
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
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import ltq

worker = ltq.Worker("checksums", concurrency=8)

CHUNK = 1 << 20
BATCH = 1000
"""At most this many tasks are in the queue at once, so that other producers do not wait long."""
SHOWN = 10
"""How many of the largest files are shown, and how many failures."""
PATIENCE = 3.0
"""Seconds without a result before the producer asks whether a worker runs."""
NO_WORKER = (
    "no result yet: start a worker (ltq run examples.checksums:worker), or wait (see ltq stats)"
)
STOPPED = "stopped; unfinished tasks stay in their queue (ltq clear checksums:checksum)"


@dataclass(frozen=True)
class FileSum:
    """What a task returns."""

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
    """The results."""

    sums: list[FileSum] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """A line for each file or folder that could not be read."""
    seconds: float = 0.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the producer. 0: every file has its checksum, 1: not all, 2: wrong use."""
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
    directory = options.directory.resolve()  # the worker may run in another one
    console = Console(markup=False, emoji=False, highlight=False)
    report = Report()
    try:
        with console.status(f"looking for files in {printable(str(directory))}"):
            files = itertools.islice(find(directory, report.failures), options.limit)
            messages = list(prepare(files, report.failures))
        asyncio.run(produce(messages, report, console))
    except ltq.LtqError as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(STOPPED, file=sys.stderr)
        return 130
    show(report, directory, console)
    return 1 if report.failures else 0


async def produce(
    messages: Sequence[ltq.Message[FileSum]], report: Report, console: Console
) -> None:
    """Send a task for each file, and collect the results as they come."""
    start = time.perf_counter()
    async with contextlib.aclosing(worker):
        with follow(len(messages), console) as advance:
            for first in range(0, len(messages), BATCH):
                handles = await checksum.send_many(messages[first : first + BATCH])
                async for handle in ltq.as_completed(handles):
                    try:
                        report.sums.append(await handle.result())
                    except ltq.TaskError as error:
                        report.failures.append(error.state.error or str(error))
                    advance()
    report.seconds = time.perf_counter() - start


def find(directory: Path, failures: list[str]) -> Iterator[Path]:
    """The regular files below a directory, folder by folder."""

    def complain(error: OSError) -> None:
        failures.append(str(error))

    for folder, folders, names in os.walk(directory, onerror=complain):
        folders.sort()
        for path in (Path(folder, name) for name in sorted(names)):
            if path.is_file() and not path.is_symlink():
                yield path


def prepare(files: Iterable[Path], failures: list[str]) -> Iterator[ltq.Message[FileSum]]:
    """A message for each file. Its argument is checked here, before anything is sent."""
    for path in files:
        try:
            yield checksum.message(str(path))
        except ltq.InvalidArgumentsError:
            failures.append(f"{os.fsencode(path)!r}: its name is not UTF-8")


@contextlib.contextmanager
def follow(total: int, console: Console) -> Iterator[Callable[[], None]]:
    """A bar that moves, and a hint if it does not."""
    columns = BarColumn(), MofNCompleteColumn(), TextColumn("files"), TimeElapsedColumn()
    with Progress(*columns, console=console) as bar:
        line = bar.add_task("", total=total)
        hint = asyncio.get_running_loop().call_later(PATIENCE, ask_for_worker)

        def advance() -> None:
            hint.cancel()
            bar.advance(line)

        try:
            yield advance
        finally:
            hint.cancel()


def ask_for_worker() -> None:
    """Print a hint that no worker may be running."""
    print(NO_WORKER, file=sys.stderr)


def show(report: Report, directory: Path, console: Console) -> None:
    """Print the largest files, what failed, and the totals."""
    console.print()
    table = Table("size", "sha256", "largest files", box=None, pad_edge=False)
    table.columns[0].justify = "right"
    table.columns[2].overflow = "fold"
    for one in sorted(report.sums, key=lambda one: one.size, reverse=True)[:SHOWN]:
        name = printable(str(Path(one.path).relative_to(directory)))
        table.add_row(f"{one.size:,}", one.sha256[:16], name)
    if report.sums:
        console.print(table)
        console.print()
    for line in report.failures[:SHOWN]:
        console.print(f"failed: {printable(line)}", style="red", soft_wrap=True)
    if len(report.failures) > SHOWN:
        console.print(f"failed: {len(report.failures) - SHOWN} more", style="red")
    size = sum(one.size for one in report.sums)
    total = f"{len(report.sums)} files, {size:,} bytes in {report.seconds:.2f} s"
    console.print(f"{total}, {len(report.failures)} failed", style="bold")


def printable(text: str) -> str:
    """Escape what a file's name may contain: line ends, escape sequences of the terminal."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


if __name__ == "__main__":
    sys.exit(main())
