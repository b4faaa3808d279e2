"""Starts Python programs in a tenth of the time: see `devtools.fork_server`.

They are processes of their own, with their own signals, pipes, directory and environment. What
they do not show is whether the imports of LTQ work: where that matters, start a real Python.
"""

import asyncio
import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from secrets import token_hex

ROOT = Path(__file__).parent.parent

__all__ = ["DEVNULL", "PIPE", "STDOUT", "Forked", "run_python", "start_python"]


class Forked:
    """A process: what is needed of `asyncio.subprocess.Process`."""

    def __init__(
        self,
        pid: int,
        answer: asyncio.StreamReader,
        out: asyncio.StreamReader | None,
        err: asyncio.StreamReader | None,
    ) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdout = out
        self.stderr = err
        self._waiting = asyncio.create_task(self._wait(answer))

    async def wait(self) -> int:
        """Its exit code, when it has ended; negative for a signal."""
        return await asyncio.shield(self._waiting)

    async def communicate(self) -> tuple[bytes, bytes]:
        """What is left to be read, when it has ended."""
        out, err = await asyncio.gather(_rest(self.stdout), _rest(self.stderr))
        await self.wait()
        return out, err

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):  # it has ended, and that is not read yet
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def _wait(self, answer: asyncio.StreamReader) -> int:
        self.returncode = int(await answer.readline())
        return self.returncode


async def _rest(stream: asyncio.StreamReader | None) -> bytes:
    return b"" if stream is None else await stream.read()


async def start_python(
    *arguments: str,
    cwd: Path,
    env: Mapping[str, str],
    stdin: int = DEVNULL,
    stdout: int = PIPE,
    stderr: int = PIPE,
) -> Forked:
    """`python *arguments`; the streams as in `asyncio.create_subprocess_exec`."""
    name = _server()
    with socket.socket(socket.AF_UNIX) as ours:
        ours.connect("\0" + name)
        out_reader, out = _opened(stdout)
        err_reader, err = (None, out) if stderr == STDOUT else _opened(stderr)
        null = os.open(os.devnull, os.O_RDWR)
        given = [null if stdin == DEVNULL else stdin, out, err]
        request = {"arguments": arguments, "cwd": str(cwd), "environment": dict(env)}
        socket.send_fds(ours, [json.dumps(request).encode()], given)
        for descriptor in {null, *given} - {stdin, stdout, stderr}:
            os.close(descriptor)
        answer, writer = await asyncio.open_connection(sock=ours.dup())
    pid = int(await answer.readline())
    streams = [None if one is None else await _reading(one) for one in (out_reader, err_reader)]
    forked = Forked(pid, answer, *streams)
    forked._waiting.add_done_callback(lambda _: writer.close())
    return forked


def run_python(
    *arguments: str, cwd: Path, env: Mapping[str, str], text: str = "", timeout: float = 50.0
) -> "subprocess.CompletedProcess[str]":
    """`python *arguments` from start to end, with `text` as its input; not in an event loop.

    Raises `TimeoutError` if it has not ended after `timeout` seconds, and kills it.
    """
    return asyncio.run(_run_python(arguments, cwd, env, text, timeout))


async def _run_python(
    arguments: Sequence[str], cwd: Path, env: Mapping[str, str], text: str, timeout: float
) -> "subprocess.CompletedProcess[str]":
    with tempfile.TemporaryFile() as given:
        given.write(text.encode())
        given.seek(0)
        forked = await start_python(*arguments, cwd=cwd, env=env, stdin=given.fileno())
    try:
        async with asyncio.timeout(timeout):
            out, err = await forked.communicate()
    finally:
        forked.kill()
    code = await forked.wait()
    return subprocess.CompletedProcess(arguments, code, out.decode(), err.decode())


def _opened(wanted: int) -> tuple[int | None, int]:
    """Where to read here, and where to write there."""
    if wanted == PIPE:
        return os.pipe()
    return None, os.open(os.devnull, os.O_WRONLY) if wanted == DEVNULL else wanted


async def _reading(descriptor: int) -> asyncio.StreamReader:
    loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await loop.connect_read_pipe(lambda: protocol, os.fdopen(descriptor, "rb", buffering=0))
    return reader


@cache
def _server() -> str:
    """The name of this process's fork server, which is started by the first to ask."""
    name = f"ltq-forks-{os.getpid()}-{token_hex(4)}"
    server = subprocess.Popen(
        [sys.executable, "-m", "devtools.fork_server", name],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n", "the fork server did not start"
    atexit.register(server.communicate)
    return name
