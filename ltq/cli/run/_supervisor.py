"""`ltq run --processes N`: run child processes, and restart those that crash."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress

from ltq.logger import get_logger

logger = get_logger("cli")

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds before a crashed child is restarted. The pause doubles until it has run well."""

STEADY = 10.0
"""Seconds after which a child counts as having run well."""

SUPERVISED = "LTQ_SUPERVISED"
"""Set in the environment of children."""

_WRONG_USE = 2


def stop_with_supervisor() -> None:
    """In a child: stop as on SIGTERM when the supervisor has ended, even if it was killed.

    Does nothing in a process without a supervisor.
    """
    if not os.environ.get(SUPERVISED):
        return
    loop, stdin = asyncio.get_running_loop(), sys.stdin.fileno()

    def gone() -> None:
        loop.remove_reader(stdin)
        logger.warning("the supervisor has ended: stopping")
        signal.raise_signal(signal.SIGTERM)

    loop.add_reader(stdin, gone)


def own_command(*options: str) -> list[str]:
    """Return this command with more options. If an option is given twice, the last one counts."""
    given = sys.argv[1:]
    end = given.index("--") if "--" in given else len(given)
    return [sys.executable, "-m", "ltq", *given[:end], *options, *given[end:]]


def exit_text(code: int) -> str:
    """Return `"exited with 1"`, or `"was killed by SIGKILL"` for a negative code."""
    if code >= 0:
        return f"exited with {code}"
    with suppress(ValueError):  # real-time signals have no name
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"


class Supervisor:
    """Runs a command in several child processes, and restarts those that crash.

    A child that exits with 0 is done, and is not restarted. A child that exits with wrong use (2),
    or with an error before any child ever ran well, would only do so again: then all children are
    stopped. Signals are passed on. Each child has its own session, so Ctrl-C reaches it only once,
    from here.
    """

    def __init__(self, command: Sequence[str], count: int) -> None:
        self._command = list(command)
        self._count = count
        self._children: dict[int, asyncio.subprocess.Process] = {}
        self._stopping = asyncio.Event()
        self._ran_well = False
        self._exit_code = 0

    async def run(self) -> int:
        """Keep the children running until they are done or told to stop. Return the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop_all)
        await asyncio.gather(*(self._keep_running(index) for index in range(self._count)))
        return self._exit_code

    def _stop_all(self) -> None:
        self._stopping.set()
        self._pass_on(signal.SIGTERM)

    def _pass_on(self, number: signal.Signals) -> None:
        for child in self._children.values():
            if child.returncode is None:
                child.send_signal(number)

    async def _keep_running(self, index: int) -> None:
        """Run a child again and again, until it is done, would only fail again, or is stopped."""
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            code, ran_well = await self._run_once(index)
            self._ran_well = self._ran_well or ran_well
            if code == 0 or self._stopping.is_set():
                self._exit_code = self._exit_code or max(code, 0)
                return
            if self._would_fail_again(code):
                self._exit_code = code
                self._stop_all()
                return
            if ran_well:
                pause = FIRST_PAUSE
            logger.error("process %d %s: restarting in %g s", index, exit_text(code), pause)
            await self._wait_stopping(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _would_fail_again(self, code: int) -> bool:
        """Whether a restart is useless: the command is wrong, or nothing has ever run well."""
        return code == _WRONG_USE or (code == 1 and not self._ran_well)

    async def _run_once(self, index: int) -> tuple[int, bool]:
        """Run a child to its end; return its exit code, and whether it ran well before."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        code = await self._wait_child(index)
        return code, loop.time() - started >= STEADY

    async def _wait_child(self, index: int) -> int:
        child = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,  # closed when this ends: see `stop_with_supervisor`
            env={**os.environ, SUPERVISED: "1"},
            start_new_session=True,
        )
        self._children[index] = child
        logger.info("process %d runs as pid %d", index, child.pid)
        if self._stopping.is_set():  # the signal came while the child was starting
            child.terminate()
        return await child.wait()

    async def _wait_stopping(self, timeout: float) -> None:
        """Wait until told to stop, at most `timeout` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._stopping.wait()
