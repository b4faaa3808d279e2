"""`ltq run --reload`: restart the worker when a file changes. For development."""

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from ltq._aio.service import first_of, spawn
from ltq._aio.signals import stop_on_signals
from ltq._aio.threads import call_in
from ltq.cli.run._interpreter import own_command
from ltq.cli.run._link import Child
from ltq.cli.run._supervisor import FIRST_PAUSE, LONGEST_PAUSE, STEADY, exit_text
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

    A command that can never run, because of a syntax error for instance, is restarted at the next
    change. One that ends unasked otherwise is started again after a pause, or at a change.
    """

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._command = list(command)
        self._folder = folder
        self._files: Files = {}
        self._stopping = asyncio.Event()
        self._pause = FIRST_PAUSE

    async def run(self) -> int:
        """Run until SIGTERM, SIGINT, or until the command is done. Return the exit code."""
        loop = asyncio.get_running_loop()
        with stop_on_signals(lambda _: call_in(loop, self._stopping.set), lasts=True):
            self._files = scan(self._folder)
            logger.info("watching %d Python files in %s", len(self._files), self._folder)
            while not self._stopping.is_set():
                if await self._run_once():
                    break
        return 0

    async def _run_once(self) -> bool:
        """Run the command until it ends, or a file changes. Return whether it is done."""
        loop = asyncio.get_running_loop()
        child, started = await Child.start(self._command), loop.time()
        ended = spawn(child.wait(), name=_NAME)
        await first_of(asyncio.wait([ended]), self._change(), self._stopping.wait(), name=_NAME)
        if ended.done() and not child.is_done and not self._stopping.is_set():
            if loop.time() - started >= STEADY:
                self._pause = FIRST_PAUSE
            await self._wait_again(child)
        await self._end(child, ended)
        return child.is_done

    async def _wait_again(self, child: Child) -> None:
        """Wait until a command that has ended unexpectedly is to be started again."""
        ended = exit_text(child.exit_code or 0)
        if child.hopeless:
            logger.error("worker %s: waiting for a change", ended)
            await first_of(self._change(), self._stopping.wait(), name=_NAME)
            return
        logger.error("worker %s: restarting in %g s", ended, self._pause)
        pause, self._pause = self._pause, min(2 * self._pause, LONGEST_PAUSE)
        await first_of(asyncio.sleep(pause), self._change(), self._stopping.wait(), name=_NAME)

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

    async def _end(self, child: Child, ended: "asyncio.Task[int]") -> None:
        """Stop the command: let tasks end, then requeue them, and at last kill it."""
        for stop in (child.stop, partial(child.stop, now=True), child.kill):
            if ended.done():
                return
            stop()
            await asyncio.wait([ended], timeout=_STOP_TIMEOUT)
