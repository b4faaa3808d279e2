"""The command as users have it: a process of its own, with pipes or on a terminal."""

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import termios
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devtools.forks import Forked, start_python

ROOT = Path(__file__).parents[2]
PATIENCE = 20.0

_STYLES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_INHERITED = {
    name: value
    for name, value in os.environ.items()
    if name not in {"LTQ_BROKER_URL", "NO_COLOR", "FORCE_COLOR", "COLUMNS"}
}
_ENVIRONMENT = {**_INHERITED, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}


@dataclass(frozen=True)
class Done:
    """What a command left behind: its exit code and output."""

    code: int
    out: str
    err: str


class Running:
    """A command that runs."""

    def __init__(self, process: Forked) -> None:
        self.process = process

    async def out_line(self) -> str:
        """The next line on stdout, empty at its end."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            return (await self.process.stdout.readline()).decode()

    async def err_line(self, containing: str) -> str:
        """The next line on stderr that contains a text."""
        assert self.process.stderr is not None
        async with asyncio.timeout(PATIENCE):
            async for line in self.process.stderr:
                if containing in line.decode():
                    return line.decode()
        raise AssertionError(f"stderr ended without {containing!r}")

    async def end(self) -> Done:
        """Wait for the end; return what was not read yet."""
        async with asyncio.timeout(PATIENCE):
            out, err = await self.process.communicate()
        assert self.process.returncode is not None
        return Done(self.process.returncode, out.decode(), err.decode())


@asynccontextmanager
async def start_ltq(
    *arguments: str, cwd: Path = ROOT, env: Mapping[str, str] | None = None
) -> AsyncIterator[Running]:
    """Run `ltq` with these arguments; it is killed at the end of the block if it still runs."""
    environment = {**_ENVIRONMENT, **(env or {})}
    process = await start_python("-m", "ltq", *arguments, cwd=cwd, env=environment)
    try:
        yield Running(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def run_ltq(*arguments: str, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> Done:
    """Run `ltq` with these arguments until it ends."""
    async with start_ltq(*arguments, cwd=cwd, env=env) as running:
        return await running.end()


class Terminal:
    """A command on a terminal."""

    def __init__(self, process: Forked, master: int, modes_before: list[Any]) -> None:
        self.modes_before = modes_before
        """How it took input before the process began."""
        self._process = process
        self._master = master
        self._changed = asyncio.Event()
        self.raw = ""

    @property
    def text(self) -> str:
        """What was written, without its styles."""
        return _STYLES.sub("", self.raw)

    async def until(self, text: str) -> None:
        """Wait until a text was written."""
        async with asyncio.timeout(PATIENCE):
            while text not in self.text:
                self._changed.clear()
                await self._changed.wait()

    def type(self, text: str) -> None:
        """Type on its keyboard."""
        os.write(self._master, text.encode())

    def resize(self, lines: int, columns: int) -> None:
        """Give it another size, as a window manager does."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def modes(self) -> list[Any]:
        """How it takes input: line by line with an echo, or each key at once."""
        return termios.tcgetattr(self._master)

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.send_signal(signal.SIGINT)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the command."""
        self._process.send_signal(number)

    async def end(self) -> int:
        """Wait for the end; return the exit code."""
        async with asyncio.timeout(PATIENCE):
            code = await self._process.wait()
        self.read()
        return code

    def read(self) -> None:
        """Read what was written since the last call."""
        try:
            while data := os.read(self._master, 65536):
                self.raw += data.decode(errors="replace")
        except OSError:
            return  # nothing more now, or never
        finally:
            self._changed.set()


@asynccontextmanager
async def ltq_on_terminal(
    *arguments: str, env: Mapping[str, str] | None = None, size: tuple[int, int] = (40, 120)
) -> AsyncIterator[Terminal]:
    """Run `ltq` on a terminal of some lines and columns; it is killed at the end of the block."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    os.set_blocking(master, False)
    before = termios.tcgetattr(master)
    process = await start_python(
        *("-m", "ltq", *arguments),
        cwd=ROOT,
        env={**_ENVIRONMENT, "TERM": "xterm-256color", **(env or {})},
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    terminal = Terminal(process, master, before)
    loop = asyncio.get_running_loop()
    loop.add_reader(master, terminal.read)
    try:
        yield terminal
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        loop.remove_reader(master)
        os.close(master)
