"""Celery on Redis, its results too: `celery worker` with its default pool, a process for each core.

Its processes tell this one of each run, through a socket.
"""

import asyncio
import importlib
import os
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.peers.contender import Contender

celery = importlib.import_module("celery")

ROOT = str(Path(__file__).resolve().parents[2])

URL, TELL = "BENCH_URL", "BENCH_TELL"
"""Variables for the worker: where its broker is, and the socket for those who ran a task."""

app: Any = celery.Celery("bench")
app.conf.update(broker_url=os.environ.get(URL), result_backend=os.environ.get(URL))

_lines: list[socket.socket] = []
"""The connection of a process of the pool."""


def noop(number: int) -> int:
    """The task: says that it ran, in a process of the pool."""
    if not _lines:
        _lines.append(socket.socket(socket.AF_UNIX))
        _lines[0].connect(os.environ[TELL])
    _lines[0].sendall(b"%d\n" % number)
    return number


task: Any = app.task(name="noop")(noop)


class Celery(Contender):
    """An app with one task. Its calls block, so they are made in place."""

    packages = ("celery", "kombu")

    async def open(self) -> None:
        app.conf.update(broker_url=self.url, result_backend=self.url)
        self._folder = tempfile.TemporaryDirectory(prefix="ltq-bench-")
        self._path = str(Path(self._folder.name) / "tell")
        self._server = await asyncio.start_unix_server(self._hear, self._path)

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for line in reader:
            self.delivered(int(line))
        writer.close()

    async def send(self, number: int) -> Any:
        await asyncio.sleep(0)
        return task.delay(number)

    async def result(self, sent: Any) -> object:
        result: object = sent.get(timeout=20)
        return result

    async def work(self) -> None:
        command = [sys.executable, "-P", "-m", "celery", "-A", f"{__name__}:app", "worker"]
        variables = {"PYTHONPATH": ROOT, URL: self.url, TELL: self._path}
        process = await asyncio.create_subprocess_exec(
            *command, "--loglevel", "ERROR", env=os.environ | variables, stdout=sys.stderr
        )
        try:
            await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()

    async def aclose(self) -> None:
        self._server.close()
        app.close()
        self._folder.cleanup()


CONTENDER = Celery
