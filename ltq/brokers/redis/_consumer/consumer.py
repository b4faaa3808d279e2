"""Claiming tasks from Redis."""

import asyncio
import logging
import math
import random
from collections.abc import Callable, Sequence
from typing import Self

from ltq.broker import Claim, ConsumerConfig
from ltq.broker.isolation import ClaimBudget
from ltq.brokers.redis._consumer.lane_group import LaneGroup
from ltq.brokers.redis._consumer.wake_ups import WakeUps
from ltq.brokers.redis._operations.chunks import read_some
from ltq.brokers.redis._operations.registry import Registry
from ltq.brokers.redis._operations.sweep import sweep
from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._scripts.script import flag
from ltq.brokers.redis._server import keys
from ltq.brokers.redis._server.link import Link
from ltq.errors import BrokerError
from ltq.message import Delivery
from ltq.names import namespace_of

logger = logging.getLogger("ltq.broker")

CLAIM_TASKS = 250
"""Most tasks of one script: a long script blocks all other clients."""

_LISTEN_PATIENCE = 1.0
"""Seconds the first claim waits for the channel of cancellations, which heartbeats also report."""

_GRACE_SPREAD = 1.0
"""Seconds over which consumers spread the sweeps of a dead worker's tasks."""

_OUTAGE_HOLD = 2.0
"""Seconds after an outage in which other workers may renew their leases."""


class RedisConsumer:
    """Claims tasks of some lanes, under one name, in one event loop."""

    def __init__(
        self,
        link: Link,
        registry: Registry,
        config: ConsumerConfig,
        *,
        on_close: Callable[[], None],
    ) -> None:
        self.name: str = config.name
        self.listening: Sequence[asyncio.Future[None]] = ()
        """Subscriptions that the first claim waits for."""
        self._link = link
        self._registry = registry
        self._config = config
        self._grace = random.uniform(0, min(_GRACE_SPREAD, config.lease / 10))
        self._on_close = on_close
        self._claiming = asyncio.Lock()  # one call at a time has a claim id
        self._wake_ups = WakeUps(link)
        self._groups = [
            LaneGroup(namespace, lanes, config.limits)
            for namespace, lanes in config.namespaces.items()
        ]

    async def claim(self, limit: int, running: int = 0, *, ignore_isolation: bool = False) -> Claim:
        """See `Consumer.claim`."""
        budget = ClaimBudget(limit, running, ignore_isolation)
        deliveries: list[Delivery] = []
        moments: list[float] = []
        async with self._claiming:
            if self.listening:
                await asyncio.wait(self.listening, timeout=_LISTEN_PATIENCE)
                self.listening = ()
            for group in self._groups:
                due_in = await self._claim_from(group, budget, deliveries)
                if due_in is not None:
                    moments.append(due_in)
            self._groups = self._groups[1:] + self._groups[:1]  # each goes first in turn
        return Claim(
            deliveries,
            min(moments, default=None),
            min((g.start_in for g in self._groups if g.start_in is not None), default=None),
            min((g.isolation for g in self._groups if g.isolation is not None), default=None),
        )

    async def _claim_from(
        self, group: LaneGroup, budget: ClaimBudget, deliveries: list[Delivery]
    ) -> float | None:
        """Add to `deliveries`; return the seconds until there may be more, None if unknown.

        After an error the deliveries that are there already are kept.
        """
        try:
            reply = await self._claim_all(group, budget, deliveries)
            if reply.is_more_due:
                await self._move_due(group)
                reply = await self._claim_all(group, budget, deliveries, has_swept=True)
        except BrokerError:
            if not deliveries:
                raise
            return 0.0
        return reply.due_in

    async def _move_due(self, group: LaneGroup) -> None:
        if self._config.before_sweep is not None:
            await self._config.before_sweep()
        await sweep(self._link, group.namespace, self._grace if self._hold() == 0 else math.inf)

    def _hold(self) -> float:
        """Seconds for which no lease is taken back: after an outage others renew theirs first."""
        since = asyncio.get_running_loop().time() - self._link.back_since
        return max(0.0, _OUTAGE_HOLD - since)

    async def _claim_all(
        self,
        group: LaneGroup,
        budget: ClaimBudget,
        deliveries: list[Delivery],
        *,
        has_swept: bool = False,
    ) -> calls.ClaimReply:
        """Claim in scripts of bounded length until one gives less than it might; return its reply.

        All deliveries are added to `deliveries`.
        """
        group.isolation = None
        if not group.is_registered:
            await self._registry.serve(group.namespace, group.queues)
            group.is_registered = True
        while True:
            reply = await self._claim_some(group, budget, has_swept)
            deliveries += reply.deliveries
            for delivery in reply.deliveries:
                budget.join(delivery.isolation)
            if reply.lost:
                text = "%d tasks of %s were lost: see the dead letters"
                logger.warning(text, reply.lost, group.namespace)
            if len(reply.deliveries) < CLAIM_TASKS:
                return reply

    async def _claim_some(
        self, group: LaneGroup, budget: ClaimBudget, has_swept: bool
    ) -> calls.ClaimReply:
        woken = frozenset(group.woken)
        call = calls.ClaimCall(
            prefix=group.prefix,
            again=group.again,
            claim_id=group.claim_id,
            consumer=self.name,
            lease=self._config.lease,
            limit=min(budget.room, CLAIM_TASKS),
            most_bytes=self._link.reply_limit.bytes,
            known=group.known,
            running=budget.running,
            ignore_isolation=flag(budget.ignores_isolation),
            grace=self._grace,
            hold=self._hold(),
            lanes=group.lanes,
            woken=keys.line_list(woken),
            swept=flag(has_swept),
            limits=group.limits,
        )
        group.again = "1"  # as long as there is no answer: perhaps only the reply was lost
        reply = await read_some(self._link, call)
        group.answered(reply, woken)
        return reply

    async def wait(self, timeout: float | None) -> bool:
        """See `Consumer.wait`."""
        await self._wake_ups.next(self._groups, timeout)
        return any(group.woken for group in self._groups)

    async def freed(self, lane: str) -> None:
        """See `Consumer.freed`."""
        await self._link.call("ZADD", keys.wake(namespace_of(lane), lane), 0, "1")

    async def aclose(self) -> None:
        """See `Consumer.aclose`."""
        self._on_close()
        self._wake_ups.give_back(self._groups)
        await self._wake_ups.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()
