"""The consumer: claims tasks of some lanes, and waits for them."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Self

from examples.tiny_broker.store import Store, step
from ltq.broker import Claim, ClaimBudget, ConsumerConfig


class TinyConsumer:
    """Claims tasks from a store."""

    def __init__(self, store: Store, config: ConsumerConfig) -> None:
        self.name: str = config.name
        self._store = store
        self._config = config
        self._wakes: set[Callable[[], None]] = set()
        self._is_closed = False

    async def claim(self, limit: int, running: int = 0, *, ignore_isolation: bool = False) -> Claim:
        config = self._config
        async with step(self._store) as now:
            self._store.queues.update(lane.partition("/")[0] for lane in config.lanes)
            self._store.sweep(config.namespaces, now)
            budget = ClaimBudget(limit, running, ignore_isolation)
            deliveries = []
            for task in self._store.pick(config.lanes, config.limits, budget, now):
                self._store.lend(task, self.name, config.lease, now)
                if config.revoked is not None:
                    loop = asyncio.get_running_loop()
                    task.revoke = partial(_call_in, loop, config.revoked, task.envelope.id)
                deliveries.append(task.delivery())
            due, starts = self._store.moments(config.lanes, config.limits, now)
            starts = [start for start in starts if start > now]
            due_in = max(0.0, min(due + starts) - now) if due + starts else None
            start_in = min(starts) - now if starts else None
            return Claim(deliveries, due_in, start_in, budget.refused)

    async def wait(self, timeout: float | None) -> bool:
        config, loop = self._config, asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        woken = asyncio.Event()
        wake = partial(_call_in, loop, woken.set)
        self._wakes.add(wake)
        try:
            while not self._is_closed:
                woken.clear()
                with self._store.lock:
                    self._store.wakes.add(wake)
                    now = time.time()
                    due, starts = self._store.moments(config.lanes, config.limits, now)
                if any(moment <= now for moment in due + starts):
                    return True
                left = None if deadline is None else deadline - loop.time()
                if left is not None and left <= 0:
                    return False
                pauses = [moment - now for moment in due + starts]
                pauses += [] if left is None else [left]
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(pauses, default=None)):
                        await woken.wait()
            return False
        finally:
            self._wakes.discard(wake)
            with self._store.lock:
                self._store.wakes.discard(wake)

    async def freed(self, lane: str) -> None:
        """The store sees by itself how many run."""

    async def aclose(self) -> None:
        self._is_closed = True
        for wake in tuple(self._wakes):
            wake()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()


def _call_in(loop: asyncio.AbstractEventLoop, call: Callable[..., object], *args: object) -> None:
    """Call something in an event loop, from any thread, unless that loop has ended."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(call, *args)
