"""The consumer: claims tasks of some lanes, and waits for them."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import cycle
from typing import Self

from examples.tiny_broker.store import Store, step
from ltq.broker import Claim, ClaimBudget, ConsumerConfig
from ltq.names import namespace_of, queue_of
from ltq.state import Status

_MOST_MOVED = 100
"""Most tasks that one claim moves to other lanes, so that it stays short."""


class TinyConsumer:
    """Claims tasks from a store."""

    def __init__(self, store: Store, config: ConsumerConfig) -> None:
        self.name: str = config.name
        self._store = store
        self._config = config
        self._turns = cycle(config.turns())
        self._wakes: set[Callable[[], None]] = set()
        self._is_closed = False

    async def claim(self, limit: int, running: int = 0, *, ignore_isolation: bool = False) -> Claim:
        config = self._config
        async with step(self._store) as now:
            self._store.serve(config.announced, config.lease, now)
            self._store.sweep(config.namespaces, now)
            budget = ClaimBudget(limit, running, ignore_isolation)
            deliveries = []
            moved = _move_strangers(self._store, config) if limit else []
            lanes = _served_lanes(self._store, config)
            for namespace in next(self._turns).namespaces:
                own = [lane for lane in lanes if namespace_of(lane) == namespace]
                for task, isolation in self._store.pick(own, config, budget, now):
                    self._store.lend(task, self.name, config.lease, now)
                    if config.revoked is not None:
                        loop = asyncio.get_running_loop()
                        task.revoke = partial(_call_in, loop, config.revoked, task.envelope.id)
                    deliveries.append(task.delivery(isolation))
            due, starts = self._store.moments(lanes, config.limits, now)
            due += [now] if moved else []
            starts = [start for start in starts if start > now]
            due_in = max(0.0, min(due + starts) - now) if due + starts else None
            start_in = min(starts) - now if starts else None
            return Claim(deliveries, due_in, start_in, budget.refused, tuple(moved))

    async def wait(self, timeout: float | None, room: int = 0, running: int = 0) -> bool:
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
                    lanes = _served_lanes(self._store, config)
                    due, starts = self._store.moments(lanes, config.limits, now)
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


def _move_strangers(store: Store, config: ConsumerConfig) -> list[str]:
    """Move pending tasks that a consumer does not run to other lanes, in their order."""
    found = [t for t in store.tasks.values() if t.status is Status.PENDING]
    served = _served_lanes(store, config)
    found = [t for t in sorted(found, key=lambda t: t.order) if t.lane in served]
    moves = [(task, lane) for task in found if (lane := task.lane_for(config)) is not None]
    for task, lane in moves[:_MOST_MOVED]:
        store.change_lane(task, lane)
    return list(dict.fromkeys(lane for _, lane in moves[:_MOST_MOVED]))


def _served_lanes(store: Store, config: ConsumerConfig) -> list[str]:
    """Its lanes, with those in which tasks wait that it knows, but none of paused queues."""
    lanes = (t.lane for t in store.tasks.values() if config.serves(t.lane))
    found = dict.fromkeys([*config.lanes, *lanes])
    return [lane for lane in found if queue_of(lane) not in store.paused]


def _call_in(loop: asyncio.AbstractEventLoop, call: Callable[..., object], *args: object) -> None:
    """Call something in an event loop, from any thread, unless that loop has ended."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(call, *args)
