"""Claiming: from the store, while what is in RabbitMQ goes there."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

from ltq._aio.closing import close_all
from ltq.broker import Claim, Consumer, ConsumerConfig
from ltq.brokers.rabbitmq._intake.pump import Pump
from ltq.brokers.rabbitmq._session import Session

_CATCH_UP_WITHIN = 2.0
"""Seconds that the first claim without a task waits for what was in RabbitMQ before it: a worker
that is to end once nothing is left must see that."""


class RabbitConsumer:
    """A consumer of the store. While it is open, RabbitMQ's queues are emptied into the store."""

    def __init__(self, consumer: Consumer, session: Session, config: ConsumerConfig) -> None:
        self.name: str = consumer.name
        self._consumer = consumer
        self._session = session
        self._config = config
        self._pumps: Sequence[Pump] = session.pumps(config)
        self._has_caught_up = False

    async def claim(self, limit: int, running: int = 0, *, ignore_isolation: bool = False) -> Claim:
        """See `Consumer.claim`."""
        claim = await self._claim(limit, running, ignore_isolation=ignore_isolation)
        if self._has_caught_up or claim.deliveries or claim.moved or limit == 0:
            return claim
        await self._catch_up()
        return await self._claim(limit, running, ignore_isolation=ignore_isolation)

    async def _claim(self, limit: int, running: int, *, ignore_isolation: bool) -> Claim:
        claim = await self._consumer.claim(limit, running, ignore_isolation=ignore_isolation)
        if claim.deliveries:
            self._session.teller.started(claim.deliveries, self.name)
        return claim

    async def _catch_up(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_CATCH_UP_WITHIN):
                await asyncio.gather(*(pump.caught_up() for pump in self._pumps))
        self._has_caught_up = True

    async def wait(self, timeout: float | None, room: int = 0, running: int = 0) -> bool:
        """See `Consumer.wait`."""
        return await self._consumer.wait(timeout, room, running)

    async def freed(self, lane: str) -> None:
        """See `Consumer.freed`."""
        await self._consumer.freed(lane)

    async def aclose(self) -> None:
        """See `Consumer.aclose`."""
        pumps, self._pumps = self._pumps, ()
        await close_all((self._consumer.aclose, lambda: self._session.release(self._config, pumps)))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()
