"""The terminals of somebody who follows a page: files are written, commands are run."""

import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.docs.pages import ROOT
from tests.eventually import eventually

LASTING = {("ltq", "run"), ("ltq", "schedule")}
"""Commands that go on until they are stopped."""

GIVEN = {("pip", "install")}
"""What is there already."""

RELOADS, CONSUMES = "changed: restarting", "worker shop"
"""What a worker logs that begins to reload, and that consumes."""

PROGRAMS = {
    "ltq": [sys.executable, "-m", "ltq"],
    "pytest": [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly"],
    "python": [sys.executable],
}


class Terminals:
    """Two of them: one where the worker runs, and one for the rest."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._env = {"PYTHONPATH": f"{directory}:{ROOT}", "PATH": "/usr/bin:/bin"}
        self._worker: subprocess.Popen[bytes] | None = None
        self._log = directory / "worker.log"
        self._is_reloading = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    async def write(self, title: str, text: str) -> None:
        """Write the file `name.py`, or add to it: `name.py, added`.

        A worker that starts again whenever a file changes has done so at the end: it shall not do
        so while it runs the next task.
        """
        name, _, added = title.partition(", ")
        before = self._log.read_text().count(RELOADS) if self._is_reloading else 0
        with (self.directory / name).open("a" if added else "w") as file:
            file.write(f"\n\n{text}" if added else text)
        if self._is_reloading:
            await eventually(partial(self._has_reloaded, before), 60, f"a reload after {title}")

    def _has_reloaded(self, times: int) -> bool:
        parts = self._log.read_text().split(RELOADS)
        return len(parts) > times + 1 and CONSUMES in parts[-1]

    async def run(self, line: str) -> tuple[int, str]:
        """Run a command; its exit code and what it prints."""
        words = shlex.split(line, comments=True)
        if tuple(words[:2]) in GIVEN:
            return 0, ""
        command = [*PROGRAMS.get(words[0], words[:1]), *words[1:]]
        if tuple(words[:2]) not in LASTING or words[2] == "list":
            return self._execute(command)
        self.stop()
        self._start(command)
        self._is_reloading = "--reload" in words
        if self._is_reloading:
            await eventually(partial(self._has_reloaded, -1), 60, "a worker that consumes")
        return 0, ""

    def _start(self, command: Sequence[str]) -> None:
        with self._log.open("w") as log:
            self._worker = subprocess.Popen(command, cwd=self.directory, env=self._env, stderr=log)

    def _execute(self, command: Sequence[str]) -> tuple[int, str]:
        done = subprocess.run(
            command,
            cwd=self.directory,
            env=self._env,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def stop(self) -> None:
        """Press Ctrl-C in the worker's terminal."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.terminate()
            code = worker.wait(30)
            # One that was started a moment ago may not have come to handle signals yet.
            if code not in (0, -signal.SIGTERM):
                raise AssertionError(f"the worker ended with {code}\n{self._log.read_text()}")
