"""Processes of their own: what a user would have in other terminals."""

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol, Self

from devtools.forks import DEVNULL, PIPE, STDOUT, Forked, start_python
from tests.eventually import eventually

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 30.0

_UNWANTED = ("LTQ_BROKER_URL", "LTQ_GITHUB_URL", "FORCE_COLOR", "TTY_COMPATIBLE")
_ENVIRONMENT = {
    "COLUMNS": "160",
    "NO_PROXY": "127.0.0.1",
    "PYTHONPATH": str(ROOT),
    "PYTHONUNBUFFERED": "1",
    "PYTHONUTF8": "1",
    "no_proxy": "127.0.0.1",
}


class Program:
    """A running `python ...`. Its output is read as it comes, stdout and stderr in one."""

    def __init__(self, process: Forked | Process) -> None:
        self.process = process
        self.output = ""
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, *arguments: str, cwd: Path, environment: dict[str, str]) -> Self:
        """Start `python` with these arguments."""
        inherited = {name: value for name, value in os.environ.items() if name not in _UNWANTED}
        merged = {**inherited, **_ENVIRONMENT, **environment}
        if arguments[0] in ("-m", "-c") or arguments[0].endswith(".py"):
            return cls(await start_python(*arguments, cwd=cwd, env=merged, stderr=STDOUT))
        return cls(
            await asyncio.create_subprocess_exec(
                *(sys.executable, *arguments),
                cwd=cwd,
                env=merged,
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=STDOUT,
            )
        )

    async def says(self, text: str) -> None:
        """Wait until the output has this text."""

        def is_said() -> bool:
            assert text in self.output or not self._reader.done(), f"no {text!r}:\n{self.output}"
            return text in self.output

        await eventually(is_said, PATIENCE, f"{text!r} in the output")

    async def ends(self) -> int:
        """Wait for its end; the exit code."""
        async with asyncio.timeout(PATIENCE):
            await self._reader
            return await self.process.wait()

    async def stop(self) -> int:
        """Ask it to end, as a service manager does; the exit code."""
        self.process.terminate()
        return await self.ends()

    async def aclose(self) -> None:
        """End it, whatever it does."""
        if self.process.returncode is None:
            self.process.kill()
        await self._reader
        await self.process.wait()

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.output += line.decode(errors="replace")


class StartProgram(Protocol):
    """Starts `python` with arguments; it is ended after the test."""

    async def __call__(
        self, *arguments: str, cwd: Path = ROOT, environment: dict[str, str] | None = None
    ) -> Program: ...


@asynccontextmanager
async def open_programs(**environment: str) -> AsyncIterator[StartProgram]:
    """Gives a `StartProgram` whose programs have this environment, besides what a test adds."""
    async with AsyncExitStack() as stack:
        common = environment

        async def start(
            *arguments: str, cwd: Path = ROOT, environment: dict[str, str] | None = None
        ) -> Program:
            merged = {**common, **(environment or {})}
            program = await Program.start(*arguments, cwd=cwd, environment=merged)
            stack.push_async_callback(program.aclose)
            return program

        yield start
