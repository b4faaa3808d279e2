"""Worker processes to be killed, paused and stopped."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, STDOUT, Process
from pathlib import Path

from ltq.worker import URL_VARIABLE
from tests.eventually import eventually
from tests.faults.ledger import LEDGER_VARIABLE

ROOT = Path(__file__).parents[2]
TARGET = "tests.faults.jobs:worker"


class WorkerProcess:
    """`ltq run`, with its log in a file."""

    def __init__(self, process: Process, log_file: Path) -> None:
        self._process = process
        self._log_file = log_file

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.returncode

    def log(self) -> str:
        """What it has logged so far."""
        return self._log_file.read_text("utf-8", "replace")

    def lines(self, containing: str = "") -> list[str]:
        """The lines it has logged that contain a text."""
        return [line for line in self.log().splitlines() if containing in line]

    async def logged(self, text: str, timeout: float = 10.0) -> None:
        """Wait until it has logged a text."""
        await eventually(lambda: text in self.log(), timeout, f"{text!r} in the worker's log")

    def signal(self, number: signal.Signals) -> None:
        if self.exit_code is None:
            os.kill(self.pid, number)

    async def kill(self) -> None:
        """What `kill -9` does."""
        self.signal(signal.SIGKILL)
        await self._process.wait()

    async def end(self, timeout: float) -> int:
        """Wait until it ends by itself; the exit code."""
        try:
            async with asyncio.timeout(timeout):
                return await self._process.wait()
        except TimeoutError:
            raise AssertionError(f"the worker had not ended after {timeout:g} s") from None


class Crew:
    """All the worker processes of one test."""

    def __init__(self, ledger_url: str, directory: Path) -> None:
        self._ledger_url = ledger_url
        self._directory = directory
        self.workers: list[WorkerProcess] = []

    async def start(
        self, url: str, *arguments: str, lease: float = 15.0, shutdown: float = 30.0
    ) -> WorkerProcess:
        """Start one; it need not be consuming yet."""
        log_file = self._directory / f"worker-{len(self.workers)}.log"
        settings = {
            "PYTHONPATH": str(ROOT),
            URL_VARIABLE: url,
            LEDGER_VARIABLE: self._ledger_url,
            "LTQ_FAULTS_LEASE": str(lease),
            "LTQ_FAULTS_SHUTDOWN": str(shutdown),
        }
        with log_file.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "ltq", "run", TARGET, *arguments),
                cwd=ROOT,
                env={**os.environ, **settings},
                stdin=DEVNULL,
                stdout=log,
                stderr=STDOUT,
            )
        worker = WorkerProcess(process, log_file)
        self.workers.append(worker)
        return worker

    async def aclose(self) -> None:
        """Kill what is left, and show the logs: pytest prints them when the test failed."""
        for number, worker in enumerate(self.workers):
            await worker.kill()
            sys.stdout.write(f"--- worker {number}, exit code {worker.exit_code}\n")
            sys.stdout.write(worker.log()[-8000:])
