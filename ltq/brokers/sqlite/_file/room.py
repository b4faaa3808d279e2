"""Room on a disk. The last of it is for what ends tasks and frees room: new tasks get none."""

import os
from collections.abc import Callable
from pathlib import Path

from ltq.brokers.sqlite._file.errors import FullError

_SPARE = 8 * 1024 * 1024
"""Bytes that new tasks leave free, beside room to move the log into the file; of a small disk, a
`_SPARE_PART`th."""
_SPARE_PART = 16

_LOG_PART = 64
"""The log is moved into the file before it takes more than one part in so many of the disk."""


def log_bytes(path: Path, most: int) -> int:
    """How large the log beside a file may get, and `most` bytes at most."""
    total = _room_of(path.parent)[0]
    return min(most, total // _LOG_PART) if total else most


def check_room(path: Path, log: Path, more: int, unused: Callable[[], int]) -> None:
    """Raise `FullError` if new tasks of so many bytes would take the last room.

    What is written goes into the log, and takes as much again when that is moved into the file,
    after which the log is written from its beginning. `unused` says how many bytes of the file
    itself are free.
    """
    total, free = _room_of(path)
    spare = min(_SPARE, total // _SPARE_PART)
    needed = spare + 2 * more + _size_of(log)
    if total and free < needed and (free < spare + more or free + unused() < needed):
        raise FullError(
            f"{path} takes no new tasks, as its disk is nearly full ({free // 1024} KiB are free): "
            "free some room there. What is there may run, end, be cancelled and cleared"
        )


def _room_of(path: Path) -> tuple[int, int]:
    """How many bytes a disk has, and how many this process may still write. 0, 0: not known."""
    try:
        disk = os.statvfs(path)
    except OSError:
        return 0, 0
    free = disk.f_bfree if os.geteuid() == 0 else disk.f_bavail
    return disk.f_blocks * disk.f_frsize, free * disk.f_frsize


def _size_of(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
