"""Processes of both versions of the shop, which share a broker and a record."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from devtools.variables import LEDGER_VARIABLE
from devtools.workers import ROOT, Fleet, WorkerProcess
from ltq.broker.default import URL_VARIABLE
from tests.rolling.console import Console
from tests.rolling.record import Record

HERE: Final = Path(__file__).parent
STARTED, ENDED = 20.0, 20.0
"""Seconds that a process may take for that."""


@dataclass(frozen=True)
class Addresses:
    """The URLs of the broker and of the record."""

    broker: str
    record: str

    def environment(self, version: str) -> dict[str, str]:
        """What tells a process which version it is, and where the servers are."""
        return {
            "PYTHONPATH": os.pathsep.join([str(HERE / version), str(ROOT)]),
            URL_VARIABLE: self.broker,
            LEDGER_VARIABLE: self.record,
        }


class Stage:
    """Starts and ends processes; each has one of the versions on its path."""

    def __init__(
        self,
        addresses: Addresses,
        record: Record,
        directory: Path,
        consoles: Mapping[str, Console] | None = None,
    ) -> None:
        self.record = record
        self.fleet = Fleet(addresses.record, directory, "shop.jobs:app")
        self._addresses = addresses
        self._consoles = consoles or {}

    @property
    def url(self) -> str:
        """Of the broker."""
        return self._addresses.broker

    async def work(self, version: str, *arguments: str, ready: str = "shop") -> WorkerProcess:
        """A process of workers that consumes."""
        what = arguments or ("--app", "shop.jobs:app", "--with-scheduler")
        worker = await self.run(version, "-m", "ltq", "run", *what)
        await worker.logged(f"worker {ready}:", STARTED)
        return worker

    async def run(self, version: str, *arguments: str) -> WorkerProcess:
        """A process of Python."""
        return await self.fleet.run(self.url, arguments, self._addresses.environment(version))

    async def stop(self, worker: WorkerProcess) -> None:
        """End a process as a deployment does."""
        worker.signal(signal.SIGTERM)
        assert await worker.end(ENDED) == 0, worker.log()

    async def ask(self, version: str, expression: str) -> str:
        """What an expression gives in a version, as a text, or the name of its error."""
        return await asyncio.to_thread(self._consoles[version].ask, expression)

    async def send(self, version: str, *calls: str) -> list[str]:
        """The ids of what is sent by these expressions, such as `order.send(7)`, in turn."""
        return [await self.ask(version, call) for call in calls]

    def ltq(self, *words: str) -> str:
        """What a command prints."""
        return subprocess.run(
            [sys.executable, "-m", "ltq", *words],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), URL_VARIABLE: self.url},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        ).stdout

    def stats(self) -> dict[str, dict[str, Any]]:
        """What `ltq stats` says, by queue."""
        return {row["queue"]: row for row in json.loads(self.ltq("stats", "--json"))}
