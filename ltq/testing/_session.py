"""Running the workers and schedules of a box in one event loop."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import inf
from typing import Any
from weakref import WeakKeyDictionary

from ltq._aio.clock import Clock
from ltq._aio.loops import loop_here
from ltq._aio.service import first_of
from ltq._scheduler.loop import LONGEST_SLEEP, SchedulerLoop
from ltq.broker import Broker
from ltq.schedule import Schedule
from ltq.testing._box_broker import Gate
from ltq.testing._loops import WORLD
from ltq.worker import Worker

_LEAVE_TIMEOUT = 10.0
"""Real seconds that workers get to end with their block."""

_leaving: WeakKeyDictionary[asyncio.AbstractEventLoop, set[asyncio.Task[None]]] = (
    WeakKeyDictionary()
)
"""Tasks that still have to end, by event loop, after blocks that could not wait for them."""


class Session:
    """The workers and schedules of a box that run in one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, gate: Gate) -> None:
        self.loop = loop
        self.gate = gate
        self.tasks: list[asyncio.Task[None]] = []
        self._over = asyncio.Event()

    async def run(self, worker: Worker[Any]) -> None:
        """Run a worker until the end."""
        async with worker:
            try:
                await self._over.wait()
            except asyncio.CancelledError:
                _release()
                raise
            finally:
                worker._stop_here()  # noqa: SLF001  other event loops may run it as well

    async def schedule(
        self,
        broker: Broker,
        schedules: Sequence[Schedule],
        clock: Clock,
        on_schedules: list[Callable[[], object]],
    ) -> None:
        """Fire schedules until the end: these, and those that are put meanwhile.

        `on_schedules` gets what is to be called when one of them is changed.
        """
        changed = asyncio.Event()

        def tell() -> None:
            with suppress(RuntimeError):  # the loop is closed
                self.loop.call_soon_threadsafe(changed.set)

        async def news() -> None:
            await changed.wait()
            changed.clear()

        async def sleep(pause: float) -> None:
            if pause >= LONGEST_SLEEP:  # the broker's clock is this one: no need to read it again
                now = clock()
                pause = max(pause, loop.next_at(now) - now)
            if pause == inf:
                await asyncio.Event().wait()
            await asyncio.sleep(pause)

        loop = SchedulerLoop(broker, schedules, keeper=broker, sleep=sleep, news=news, beats=False)
        on_schedules.append(tell)
        loop.start()
        try:
            await first_of(loop.wait(), self._over.wait(), name="ltq-testing-schedule")
        finally:
            on_schedules.remove(tell)
            loop.stop()

    def end(self) -> None:
        """Tell workers and schedules to end. It may be called outside the event loop."""
        with suppress(RuntimeError):  # the loop is closed, so all have ended
            self.loop.call_soon_threadsafe(self._end)

    async def aclose(self) -> None:
        """Tell workers and schedules to end, and wait until they have."""
        self.end()
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=_LEAVE_TIMEOUT)

    def leave(self) -> None:
        """Let workers and schedules end, and wait for it where their event loop does not run.

        Otherwise the next session of this event loop waits for them.
        """
        if not (self.loop.is_closed() or self.loop.is_running() or loop_here() is not None):
            self.loop.run_until_complete(self.aclose())  # between two tests that share it
            return
        self.end()
        left = {task for task in self.tasks if not task.done()}
        _leaving.setdefault(self.loop, set()).update(left)

    def _end(self) -> None:
        self._over.set()
        self.gate.end()


def _release() -> None:
    """Let the rest end in real time: the clock no longer moves."""
    world = WORLD.get()
    if world is not None:
        world.release()


async def others_left() -> None:
    """Wait until earlier sessions of this event loop have ended."""
    leaving = _leaving.pop(asyncio.get_running_loop(), set())
    if leaving:
        await asyncio.wait(leaving, timeout=_LEAVE_TIMEOUT)
