"""A consumer of a memory broker's store."""

import asyncio
from collections import deque
from functools import partial
from math import inf
from typing import Self

from ltq._aio.threads import call_in
from ltq.broker import Claim, ClaimBudget, ConsumerConfig
from ltq.broker.consumer_config import SAY_AGAIN
from ltq.brokers.memory._store import MemoryStore, Waiter


class MemoryConsumer:
    """Claims tasks from a memory broker's store, which does not know it between its calls."""

    def __init__(self, store: MemoryStore, config: ConsumerConfig) -> None:
        self.name: str = config.name
        self._store = store
        self._config = config
        self._turns = deque(config.turns())
        self._waits: set[asyncio.Future[bool]] = set()
        self._closed = False
        self._say_again_at = -inf
        """When the store should be told again that it lives, by the clock of the event loop."""

    async def claim(self, limit: int, running: int = 0, *, ignore_isolation: bool = False) -> Claim:
        await asyncio.sleep(0)
        now, lease = asyncio.get_running_loop().time(), self._config.lease
        if now >= self._say_again_at:
            self._store.serve(self._config.announced, lease)
            self._say_again_at = now + lease * SAY_AGAIN
        budget = ClaimBudget(limit, running, ignore_isolation)
        revoke = None
        if self._config.revoked is not None:
            revoke = partial(call_in, asyncio.get_running_loop(), self._config.revoked)
        turn = self._turns[0]
        self._turns.rotate(-1)
        return self._store.claim_for(turn, budget, revoke)

    async def wait(self, timeout: float | None, room: int = 0, running: int = 0) -> bool:
        loop = asyncio.get_running_loop()
        over: asyncio.Future[bool] = loop.create_future()
        waiter = Waiter(self._config.serves, partial(call_in, loop, partial(_end, over), True))
        timers = [] if timeout is None else [loop.call_later(timeout, _end, over, False)]
        self._waits.add(over)
        try:
            due_in = self._store.wait(waiter, self._config)
            if due_in is not None:
                timers.append(loop.call_later(due_in, _end, over, True))
            return not self._closed and await over
        finally:
            self._store.forget(waiter)
            self._waits.discard(over)
            for timer in timers:
                timer.cancel()

    async def freed(self, lane: str) -> None:
        """The store notices by itself when a task ends."""

    async def aclose(self) -> None:
        self._closed = True
        for over in tuple(self._waits):
            _end(over, False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()


def _end(over: "asyncio.Future[bool]", result: bool) -> None:
    if not over.done():
        over.set_result(result)
