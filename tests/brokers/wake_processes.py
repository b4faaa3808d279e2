"""Real processes that wait for hints of a database file."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from queue import Queue
from threading import Thread

from tests.eventually import eventually

PROGRAM = """
import asyncio, os, sys
from pathlib import Path
from ltq.brokers.sqlite._wake.wakes import Wakes

database, user, count, *topics = sys.argv[1:]


def say(name: str, word: str) -> None:
    os.write(1, f"{name} {word}\\n".encode())  # whole: processes share the pipe


async def listen(name: str) -> None:
    def look() -> None:
        say(name, "looks")
        wakes.tell([f"{topic}:heard" for topic in topics])

    wakes = Wakes(Path(database), look)
    receiver = wakes.enter()
    for topic in [*topics, name]:
        receiver.add(topic)
    say(name, "listens" if receiver.is_reached else "is alone")
    try:
        await asyncio.Event().wait()
    finally:
        wakes.close()


if user:
    os.setgid(int(user))
    os.setuid(int(user))
name = "0"
for number in range(1, int(count)):
    if not os.fork():
        name = str(number)
        break
asyncio.run(listen(name))
"""


class Listening:
    """Processes that print their number, and that they listen, or look."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self._lines: Queue[str] = Queue()
        self.lines: list[str] = []
        """What they have printed, as far as it was read."""
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.strip())

    def counted(self, line: str) -> int:
        """How often they have printed this line."""
        while not self._lines.empty():
            self.lines.append(self._lines.get())
        return self.lines.count(line)

    async def says(self, *lines: str) -> None:
        """Wait until they have printed all of these lines."""
        for line in lines:
            await eventually(partial(self.counted, line), description=f"{line!r} in {self.lines}")

    def close(self) -> None:
        """Kill those that are left, and wait until none writes any more."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join()
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextmanager
def listening(database: Path, *topics: str, count: int = 1, user: str = "") -> Iterator[Listening]:
    """Run `count` processes, each a fork of the first; each also listens to its number."""
    arguments = [sys.executable, "-c", PROGRAM, str(database), user, str(count), *topics]
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        run = Listening(process)
        try:
            yield run
        finally:
            run.close()
