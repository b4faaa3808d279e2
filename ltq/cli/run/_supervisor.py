"""`ltq run --processes N`: run child processes, and start those again that end unasked."""

import asyncio
import signal
from collections.abc import Sequence
from contextlib import suppress

from ltq._aio.signals import LAST_RESORT, stop_on_signals
from ltq._aio.threads import call_in
from ltq.cli.run._link import Child
from ltq.logger import get_logger

logger = get_logger("cli")

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds before a child is started again. The pause doubles until one has run for a while."""

STEADY = 10.0
"""Seconds after which a child counts as having run for a while."""

_END_WITHIN = 2 * LAST_RESORT
"""Seconds after a second signal at which a child that has not ended is killed."""


def exit_text(code: int) -> str:
    """Return `"exited with 1"`, or `"was killed by SIGKILL"` for a negative code."""
    if code >= 0:
        return f"exited with {code}"
    with suppress(ValueError):  # real-time signals have no name
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"


class Supervisor:
    """Runs a command in several child processes, and starts those again that end unasked.

    Only a child that says so is done: it may have ended with 0 because a task did so. If a child
    says that it can never run before any has, all are stopped: none would get further. Each child
    has its own session, and is stopped through its link, so that one signal counts once there,
    whether or not it gets that signal as well.
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
        with stop_on_signals(lambda now: call_in(loop, self.stop, now), lasts=True):
            await asyncio.gather(*(self._keep_running(index) for index in range(self._count)))
        return self._exit_code

    def stop(self, now: bool = False) -> None:
        """Tell the children to stop; with `now`, to requeue their tasks at once."""
        self._stopping.set()
        self._now = self._now or now
        for child in self._children.values():
            child.stop(now=self._now)
        if now:
            asyncio.get_running_loop().call_later(_END_WITHIN, self._kill_all)

    def _kill_all(self) -> None:
        for child in self._children.values():
            if child.exit_code is None:
                logger.error("pid %d has not ended within %g s: killing it", child.pid, _END_WITHIN)
                child.kill()

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
            if child.hopeless and not self._was_up:
                logger.error("process %d can never run, so all stop: %s", index, child.hopeless)
                self._exit_code = self._exit_code or max(code, 1)
                self.stop()
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
