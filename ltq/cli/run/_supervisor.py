"""`ltq run --processes N`: run child processes, and start those again that end unasked."""

import asyncio
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress

from ltq._aio.signals import stop_on_signals
from ltq._aio.threads import call_in
from ltq.cli.run._link import Child
from ltq.logger import get_logger

logger = get_logger("cli")

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds before a child is started again. The pause doubles until one has run for a while."""

STEADY = 10.0
"""Seconds after which a child counts as having run for a while."""

_ERROR, _WRONG_USE = 1, 2


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


def fails_at_start(child: Child) -> bool:
    """Whether a child has ended with an error message before its workers ran."""
    return child.exit_code in {_ERROR, _WRONG_USE} and not child.was_up


class Supervisor:
    """Runs a command in several child processes, and starts those again that end unasked.

    Only a child that says so is done: it may have ended with 0 because a task did so. If a child
    fails at its start before any has ever run, all would fail again: then they are stopped. So they
    are when one fails with wrong use (2). Each child has its own session, and is stopped through
    its link, so that one signal counts once there, whether or not it gets that signal as well.
    """

    def __init__(self, command: Sequence[str], count: int) -> None:
        self._command = list(command)
        self._count = count
        self._children: dict[int, Child] = {}
        self._stopping = asyncio.Event()
        self._now = False
        self._was_up = False
        self._exit_code = 0

    async def run(self) -> int:
        """Keep the children running until they are done or told to stop. Return the exit code."""
        loop = asyncio.get_running_loop()
        with stop_on_signals(lambda now: call_in(loop, self._stop_all, now)):
            await asyncio.gather(*(self._keep_running(index) for index in range(self._count)))
        return self._exit_code

    def _stop_all(self, now: bool) -> None:
        self._stopping.set()
        self._now = self._now or now
        for child in self._children.values():
            child.stop(now=self._now)

    async def _keep_running(self, index: int) -> None:
        """Run a child again and again, until it is done, would only fail again, or is stopped."""
        loop, pause = asyncio.get_running_loop(), FIRST_PAUSE
        while not self._stopping.is_set():
            started = loop.time()
            child = await self._start(index)
            code = await child.wait()
            self._was_up = self._was_up or child.was_up
            if child.is_done or self._stopping.is_set():
                self._exit_code = self._exit_code or max(code, 0)
                return
            if fails_at_start(child) and (code == _WRONG_USE or not self._was_up):
                self._exit_code = code
                self._stop_all(now=False)
                return
            if loop.time() - started >= STEADY:
                pause = FIRST_PAUSE
            logger.error("process %d %s: restarting in %g s", index, exit_text(code), pause)
            await self._wait_stopping(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _start(self, index: int) -> Child:
        child = self._children[index] = await Child.start(self._command)
        logger.info("process %d runs as pid %d", index, child.pid)
        if self._stopping.is_set():  # the signal came while the child was starting
            child.stop(now=self._now)
        return child

    async def _wait_stopping(self, timeout: float) -> None:
        """Wait until told to stop, at most `timeout` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._stopping.wait()
