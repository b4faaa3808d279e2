"""Programs that get signals: each with a log that a test waits for."""

import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

from devtools.forks import STDOUT, Forked, start_python
from ltq._aio.signals import SAME_SIGNAL
from tests.elapse import elapse
from tests.eventually import eventually

ROOT = Path(__file__).parents[2]

A_FEW = 20.0
"""Seconds that something may take that comes at once, on a busy machine."""


class Program:
    """A program that runs."""

    def __init__(self, process: Forked, log_file: Path) -> None:
        self._process = process
        self._log_file = log_file

    @property
    def pid(self) -> int:
        return self._process.pid

    def log(self) -> str:
        """What it has printed and logged so far."""
        return self._log_file.read_text("utf-8", "replace")

    async def told(self, text: str, count: int = 1, *, by_children: bool = False) -> None:
        """Wait until a text is in its log, `count` times; its children may write it as well."""
        await eventually(
            lambda: (
                self.log().count(text) >= count
                or (self._process.returncode is not None and not by_children)
            ),
            A_FEW,
            f"{text!r} in {self.log()}",
        )
        assert self.log().count(text) >= count, f"no {text!r} in {self.log()}"

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def later(self) -> None:
        """Wait until the next signal is another one."""
        await elapse(4 * SAME_SIGNAL, "the next signal is another one")

    async def end(self) -> int:
        """Wait until it has ended; the exit code, negative for a signal."""
        await eventually(lambda: self._process.returncode is not None, A_FEW, self.log())
        return await self._process.wait()

    async def aclose(self) -> None:
        """Kill it if it still runs, and show its log."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        print(self.log()[-4000:])  # noqa: T201  pytest shows it if the test fails


Start: TypeAlias = Callable[..., Coroutine[Any, Any, Program]]
"""`await start(*arguments_of_python, **environment)`."""


@asynccontextmanager
async def starting(folder: Path) -> AsyncIterator[Start]:
    """Start programs in a folder; they are killed at the end."""
    async with AsyncExitStack() as stack:

        async def start(*arguments: str, **environment: str) -> Program:
            log_file = folder / f"{len(os.listdir(folder))}.log"
            with log_file.open("wb") as log:
                process = await start_python(
                    *arguments,
                    cwd=folder,
                    env={**os.environ, "PYTHONPATH": f"{folder}:{ROOT}", **environment},
                    stdout=log.fileno(),
                    stderr=STDOUT,
                )
            program = Program(process, log_file)
            stack.push_async_callback(program.aclose)
            return program

        yield start
