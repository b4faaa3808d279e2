"""The demo's tasks: the checksums of the files below a directory.

An ordinary module for `ltq run`: a worker, its tasks, and what they return.
"""

import asyncio
import hashlib
import os
from dataclasses import dataclass

from ltq.context import current
from ltq.worker import Worker

worker: Worker = Worker("demo", broker_url="memory://demo", concurrency=8, shutdown_timeout=1.0)


@dataclass(frozen=True)
class Listing:
    """The regular files below a directory, and a line for each that could not be read."""

    files: list[str]
    skipped: list[str]


@dataclass(frozen=True)
class Checksum:
    """The checksum of one file."""

    path: str
    size: int
    sha256: str


@worker.task
async def walk(directory: str) -> Listing:
    """List the files below a directory, and report progress."""
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
    return Listing(sorted(files), sorted(skipped))


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
