"""`ltq run --reload`: restart the worker when a file changes. For development."""

import asyncio
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ltq._aio.service import first_of
from ltq.cli.run._supervisor import SUPERVISED, exit_text, own_command
from ltq.logger import get_logger

logger = get_logger("cli")

_NAME = "ltq-reload"
"""Name of the asyncio tasks that wait for an exit, a change or a signal."""

_POLL = 0.5
"""Seconds between two scans of the files."""

_STOP_TIMEOUT = 2.0
"""Seconds that running tasks get to end before they are requeued."""

_SKIPPED = {"__pycache__", "node_modules", "site-packages"}

Files = Mapping[str, tuple[int, int]]
"""Modification time and size, by path."""


def reload_command() -> list[str]:
    """Return this command without `--reload`."""
    return own_command("--no-reload")


def scan(folder: Path) -> Files:
    """Return the Python files under a folder, without hidden folders and virtual environments."""
    found = {}
    for path in _python_files(folder):
        with suppress(OSError):  # just deleted
            state = path.stat()
            found[str(path)] = (state.st_mtime_ns, state.st_size)
    return found


def _python_files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        here = Path(parent)
        folders[:] = [name for name in folders if _is_searched(here / name)]
        yield from (here / name for name in names if name.endswith(".py"))


def _is_searched(folder: Path) -> bool:
    is_hidden = folder.name.startswith(".")
    return not is_hidden and folder.name not in _SKIPPED and not (folder / "pyvenv.cfg").exists()


def changed(before: Files, now: Files) -> list[str]:
    """Return the paths that were added, removed or modified, sorted."""
    names = before.keys() | now.keys()
    return sorted(name for name in names if before.get(name) != now.get(name))


class Reloader:
    """Runs a command, and restarts it when a file under a folder changes.

    A command that fails, because of a syntax error for instance, is restarted at the next change.
    """

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._command = list(command)
        self._folder = folder
        self._files: Files = {}
        self._stopping = asyncio.Event()

    async def run(self) -> int:
        """Run until SIGTERM, SIGINT, or until the command exits with 0. Return the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        self._files = scan(self._folder)
        logger.info("watching %d Python files in %s", len(self._files), self._folder)
        while True:
            child = await self._start()
            await first_of(child.wait(), self._change(), self._stopping.wait(), name=_NAME)
            if child.returncode == 0:
                return 0
            if child.returncode is not None and not self._stopping.is_set():
                logger.error("worker %s: waiting for a change", exit_text(child.returncode))
                await first_of(self._change(), self._stopping.wait(), name=_NAME)
            await self._end(child)
            if self._stopping.is_set():
                return 0

    async def _start(self) -> Process:
        return await asyncio.create_subprocess_exec(
            *self._command,
            stdin=PIPE,  # closed when this process ends: see `stop_with_supervisor`
            env={**os.environ, SUPERVISED: "1"},
            start_new_session=True,
        )

    async def _change(self) -> None:
        """Wait for a change."""
        while True:
            await asyncio.sleep(_POLL)
            now = scan(self._folder)
            names = changed(self._files, now)
            if names:
                self._files = now
                more = f" and {len(names) - 1} more" if len(names) > 1 else ""
                name = Path(names[0]).relative_to(self._folder)
                logger.info("%s%s changed: restarting", name, more)
                return

    async def _end(self, child: Process) -> None:
        """Stop the command: with SIGTERM, with a second SIGTERM, and at last with SIGKILL."""
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            if child.returncode is not None:
                return
            child.send_signal(number)
            with suppress(TimeoutError):
                async with asyncio.timeout(_STOP_TIMEOUT):
                    await child.wait()
