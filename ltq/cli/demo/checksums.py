"""The demo's tasks: the checksums of the files below a directory.

An ordinary module for `ltq run`: a worker, its tasks, and what they return.
"""

import asyncio
import hashlib
import heapq
import os
import time
from dataclasses import dataclass

from ltq.context import current
from ltq.handles import as_completed
from ltq.worker import Worker

# `ltq demo` replaces the broker. This one needs nothing, and asks no environment.
worker: Worker = Worker("demo", broker_url="memory://demo", concurrency=8, shutdown_timeout=1.0)

_LARGEST = 5
"""How many of the files are named in the result of `survey`."""

_MOST_FAILURES = 10
"""How many failures are told of there."""

_SENT_AT_ONCE = 500
"""Most tasks sent in one call; the next are sent when these have ended."""


@dataclass(frozen=True)
class Checksum:
    """The checksum of one file."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Survey:
    """What became of the files below a directory."""

    tasks: int
    """How many files there are: a task for each."""
    files: int
    """How many were hashed."""
    size: int
    """Bytes of them all."""
    largest: list[Checksum]
    """The largest of them, the largest first."""
    failed: int
    """How many tasks failed, and how many files and folders were skipped."""
    failures: list[str]
    """A line for each of the first of these."""
    processes: int
    """How many worker processes hashed them."""
    seconds: float
    """From the first send to the last result."""


@worker.task
async def survey(directory: str, seconds: float) -> Survey:
    """Send a task for each file below a directory, over some seconds, and gather the results.

    Its progress has a total once all files are found.
    """
    files, failures = await _walk(directory)
    await current().progress(0, len(files))
    start, done = time.monotonic(), 0
    checksums: list[Checksum] = []
    workers: set[str] = set()
    for first in range(0, len(files), _SENT_AT_ONCE):
        some = files[first : first + _SENT_AT_ONCE]
        paths = dict(zip(await _send(some, seconds / len(files)), some, strict=True))
        async for handle in as_completed([checksum.handle(one) for one in paths]):
            state = await handle.state()
            if state.result is None:
                failures.append(f"{paths[handle.id]}: {state.error}")
            else:
                checksums.append(state.result)
                workers.add(state.worker or "")
            done += 1
            await current().progress(done, len(files))
    return Survey(
        tasks=len(files),
        files=len(checksums),
        size=sum(one.size for one in checksums),
        largest=heapq.nlargest(_LARGEST, checksums, key=lambda one: one.size),
        failed=len(failures),
        failures=failures[:_MOST_FAILURES],
        processes=len(workers),
        seconds=time.monotonic() - start,
    )


async def _send(files: list[str], pause: float) -> list[str]:
    """Send a task for each file, each to run `pause` seconds after the one before it."""
    messages = [
        checksum.with_options(delay=pause * place).message(path) for place, path in enumerate(files)
    ]
    return [handle.id for handle in await checksum.send_many(messages)]


async def _walk(directory: str) -> tuple[list[str], list[str]]:
    """Return the files below a directory, and a line for each place that was skipped."""
    files: list[str] = []
    skipped: list[str] = []
    left = [directory]
    while left:
        folder = left.pop()
        found, folders, unreadable = await asyncio.to_thread(_scan, folder)
        files += found
        skipped += unreadable
        left += folders
        await current().progress(len(files), note=os.path.basename(folder))
    return sorted(files), sorted(skipped)


@worker.task
def checksum(path: str) -> Checksum:
    """Hash one file. A plain `def` runs in a thread."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return Checksum(path, file.tell(), digest.hexdigest())


@worker.task(max_tries=2, backoff=0.2)
async def stumble() -> int:
    """Fail on purpose in the first try, and return the number of the second one."""
    attempt = current().attempt
    if attempt == 1:
        raise ConnectionError("on purpose, to show a retry")
    return attempt


def _scan(folder: str) -> tuple[list[str], list[str], list[str]]:
    """Return the files and folders in a folder, and a line for each that cannot be read or sent."""
    files: list[str] = []
    folders: list[str] = []
    skipped: list[str] = []
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        return [], [], [f"{folder}: {error.strerror}"]
    for entry in entries:
        if not _is_text(entry.path):
            shown = os.fsencode(entry.path).decode(errors="backslashreplace")
            skipped.append(f"{shown}: its name is not UTF-8")
        elif entry.is_dir(follow_symlinks=False):
            folders.append(entry.path)
        elif entry.is_file(follow_symlinks=False):
            files.append(entry.path)
    return files, folders, skipped


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
