"""The terminals of somebody who follows a page: files are written, commands are run."""

import shlex
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.docs.pages import ROOT

LASTING = {("ltq", "run"), ("ltq", "schedule")}
"""Commands that go on until they are stopped."""

GIVEN = {("pip", "install")}
"""What is there already."""

PROGRAMS = {
    "ltq": [sys.executable, "-m", "ltq"],
    "pytest": [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
    "python": [sys.executable],
}


class Terminals:
    """Two of them: one where the worker runs, and one for the rest."""

    def __init__(self, directory: Path, broker_url: str) -> None:
        self.directory = directory
        path = f"{directory}:{ROOT}"
        self._env = {"PYTHONPATH": path, "LTQ_BROKER_URL": broker_url, "PATH": "/usr/bin:/bin"}
        self._worker: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def write(self, title: str, text: str) -> None:
        """Write the file `name.py`, or add to it: `name.py, added`."""
        name, _, added = title.partition(", ")
        with (self.directory / name).open("a" if added else "w") as file:
            file.write(f"\n\n{text}" if added else text)

    def run(self, line: str) -> tuple[int, str]:
        """Run a command; its exit code and what it prints."""
        words = shlex.split(line, comments=True)
        if tuple(words[:2]) in GIVEN:
            return 0, ""
        command = [*PROGRAMS.get(words[0], words[:1]), *words[1:]]
        if tuple(words[:2]) in LASTING and words[2] != "list":
            self.stop()
            self._worker = subprocess.Popen(
                command, cwd=self.directory, env=self._env, stderr=subprocess.DEVNULL
            )
            return 0, ""
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
            # One that was started a moment ago may not have come to handle signals yet.
            assert worker.wait(30) in (0, -signal.SIGTERM)
