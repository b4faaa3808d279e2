"""`ltq demo`: a worker and a producer in one process, without a server."""

import asyncio
import os
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click

import ltq
from ltq._aio.exit import exit_now
from ltq._aio.service import spawn
from ltq.cli._console import open_console, print_line
from ltq.cli._errors import StoppedError
from ltq.cli._threads import count_stuck_threads, set_thread_pool
from ltq.cli.demo._view import Report, View, open_view, print_report
from ltq.cli.demo.checksums import Checksum, Listing, checksum, stumble, walk, worker
from ltq.errors import TaskError
from ltq.handle import Handle
from ltq.logger import setup_logging

_SENT_AT_ONCE = 500
"""Most tasks sent in one call; the next are sent when these have ended."""


@click.command()
@click.argument(
    "directory",
    required=False,
    type=click.Path(exists=True, file_okay=False, readable=False),
)
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=8,
    show_default=True,
    metavar="N",
    help="How many files are read at once.",
)
def demo(directory: str | None, workers: int) -> None:
    """Try LTQ without Redis, on the files of a directory.

    A worker and a producer run in this process, on the broker memory://demo. One task lists the
    files of DIRECTORY (default: the installed ltq package), then one task for each file computes
    its sha256. A file that cannot be read is listed as a failed task; the exit code is still 0.

    \b
    Example:
      ltq demo ~/Documents --workers 4
    """
    setup_logging("critical")  # the report lists failed tasks
    console = open_console()
    folder = os.path.abspath(directory or Path(ltq.__file__).parent)
    worker.concurrency = workers
    print_line(console, f"computing checksums of the files in {folder}, {workers} at once")
    report = asyncio.run(_beside_worker(_produce(folder, open_view(console))))
    print_report(console, report)


async def _beside_worker(producer: Coroutine[Any, Any, Report]) -> Report:
    """Run the producer beside the worker. Ctrl-C stops the worker, which ends both."""
    pool = set_thread_pool()
    running = spawn(worker.run(), name="ltq-demo-worker")
    producing = spawn(producer, name="ltq-demo-producer")
    await asyncio.wait({running, producing}, return_when=asyncio.FIRST_COMPLETED)
    is_stopped = not producing.done()
    producing.cancel()
    await asyncio.wait({producing})
    worker.stop()
    await running
    if count_stuck_threads(pool):
        exit_now(StoppedError.exit_code)
    if is_stopped:
        raise StoppedError("stopped")
    return producing.result()


async def _produce(directory: str, view: View) -> Report:
    with view.screen():
        stumbling = await stumble.send()
        listing = await _walk(directory, view)
        start = time.perf_counter()
        checksums, failures = await _hash(listing.files, view)
        hashing = time.perf_counter() - start
        return Report(
            directory=directory,
            checksums=checksums,
            failures=failures + listing.skipped,
            hashing=hashing,
            stumble=await stumbling.wait(),
        )


async def _walk(directory: str, view: View) -> Listing:
    """Let the worker list the files, and show its progress."""
    handle = await walk.send(directory)
    async for state in handle.watch():
        if state.progress is not None:
            view.walked(state.progress.current, state.progress.note)
    return await handle.result()


async def _hash(files: list[str], view: View) -> tuple[list[Checksum], list[str]]:
    """Send a task for each file. Return the results, and a line for each task that failed."""
    checksums: list[Checksum] = []
    failures: list[str] = []
    view.hashed(0, len(files))
    for start in range(0, len(files), _SENT_AT_ONCE):
        for result in asyncio.as_completed(await _send(files[start : start + _SENT_AT_ONCE])):
            outcome = await result
            if isinstance(outcome, Checksum):
                checksums.append(outcome)
            else:
                failures.append(outcome)
            view.hashed(len(checksums) + len(failures), len(files))
    return checksums, failures


async def _send(files: list[str]) -> list[Coroutine[Any, Any, Checksum | str]]:
    handles = await checksum.send_many([checksum.message(path) for path in files])
    return [_result(*pair) for pair in zip(handles, files, strict=True)]


async def _result(handle: Handle[Checksum], path: str) -> Checksum | str:
    """Return the result, or a line with the reason if there is none."""
    try:
        return await handle.result()
    except TaskError as error:
        return f"{path}: {error.state.error}"
