"""Worker processes to be killed, paused and stopped."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from devtools.variables import (
    CRASH_VARIABLE,
    GO_VARIABLE,
    LEASE_VARIABLE,
    LEDGER_VARIABLE,
    SHUTDOWN_VARIABLE,
)
from ltq.broker.default import URL_VARIABLE
from ltq.testing.conformance._support.eventually import eventually

ROOT = Path(__file__).parents[1]


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

    def signal_group(self, number: signal.Signals) -> None:
        """Send it to the process and all in its group, as a terminal does."""
        os.killpg(self.pid, number)

    def signal(self, number: signal.Signals) -> None:
        """Send it; nothing if the process has ended, also if nobody here knows that yet."""
        if self.exit_code is None:
            with suppress(ProcessLookupError):
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


class Fleet:
    """All processes of one run. What they load reads the variables of `devtools.variables`."""

    def __init__(self, ledger_url: str, directory: Path, target: str) -> None:
        self._ledger_url = ledger_url
        self._directory = directory
        self._target = target
        self.workers: list[WorkerProcess] = []

    async def start(
        self,
        url: str,
        *arguments: str,
        target: Sequence[str] = (),
        lease: float = 15.0,
        shutdown: float = 30.0,
        crash: str = "",
        go: str = "",
    ) -> WorkerProcess:
        """Start `ltq run`; it need not be consuming yet.

        `crash` is where it ends itself. With `go` it is ready but does not begin before something
        is pushed to that list of the ledger. Lease and shutdown are in seconds.
        """
        settings = {
            LEASE_VARIABLE: str(lease),
            SHUTDOWN_VARIABLE: str(shutdown),
            CRASH_VARIABLE: crash,
            GO_VARIABLE: go,
        }
        command = ["-m", "ltq", "run", *(target or [self._target]), *arguments]
        return await self.run(url, command, settings)

    async def run(
        self, url: str, arguments: Sequence[str], settings: Mapping[str, str] | None = None
    ) -> WorkerProcess:
        """Start Python with these arguments, `url` as its broker and more environment variables."""
        log_file = self._directory / f"worker-{len(self.workers)}-{token_hex(2)}.log"
        connections = {URL_VARIABLE: url, LEDGER_VARIABLE: self._ledger_url}
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **connections, **(settings or {})}
        with log_file.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *arguments,
                cwd=ROOT,
                env=environment,
                stdin=DEVNULL,
                stdout=log,
                stderr=STDOUT,
                process_group=0,
            )
        worker = WorkerProcess(process, log_file)
        self.workers.append(worker)
        return worker

    async def aclose(self) -> None:
        """Kill what is left, and show the logs: pytest prints them when the test failed."""
        for worker in self.workers:
            worker.signal(signal.SIGKILL)
        for number, worker in enumerate(self.workers):
            await worker.kill()
            sys.stdout.write(f"--- worker {number}, exit code {worker.exit_code}\n")
            sys.stdout.write(worker.log()[-8000:])
