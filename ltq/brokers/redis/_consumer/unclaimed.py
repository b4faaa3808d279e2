"""Giving back what was claimed but never begun, so that nobody takes it for a dead worker's."""

import asyncio
import logging
from collections.abc import Iterable, Sequence

from ltq._aio.service import Service, cancel_all
from ltq.brokers.redis._consumer.lane_group import LaneGroup
from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._scripts.script import flag
from ltq.brokers.redis._server.call import Argument
from ltq.brokers.redis._server.link import Link
from ltq.brokers.redis._server.links import Links
from ltq.errors import BrokerError
from ltq.message import Delivery
from ltq.names import positions_by_namespace

logger = logging.getLogger("ltq.broker")


class Unclaimed(Service):
    """Gives tasks of one consumer back, in the background.

    They wait again in front of their lanes, as before the claim. If that fails, their leases end.
    """

    def __init__(self, links: Links, consumer: str) -> None:
        super().__init__("ltq-redis-unclaimed", logger)
        self._links = links
        self._consumer = consumer

    def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """Give back the tasks of a claim that was cancelled halfway, soon."""
        namespaces = positions_by_namespace(deliveries, lambda delivery: delivery.lease.queue)
        for namespace, positions in namespaces.items():
            words: list[Argument] = []
            for i in positions:
                one = deliveries[i]
                words += (one.lease.id, one.lease.token, f"{one.dequeue_time:.6f}")
            link = self._links.of(namespace)
            give = self._call(link, link.keys.prefix(namespace), leases=words)
            self._spawn(give, "give-back")

    def give_back_unread(self, groups: Iterable[LaneGroup]) -> None:
        """Give back the tasks of claims whose replies have not arrived, or not all, soon."""
        for group in groups:
            if group.came is not None:
                self.give_back(group.came.deliveries)
            elif group.again:
                give = self._call(group.link, group.prefix, group.claim_id, group.known)
                self._spawn(give, "give-back")

    def withdraw(self, group: LaneGroup) -> "asyncio.Task[None]":
        """Give back what a claim gives that may not have been carried out yet, soon.

        If that fails, the next claim repeats it.
        """
        return self._spawn(self._withdraw(group), "withdraw")

    async def _withdraw(self, group: LaneGroup) -> None:
        if await self._call(group.link, group.prefix, group.claim_id, group.known):
            group.begin_anew()

    async def give_up(self, within: float) -> None:
        """Wait for so many seconds until all is given back."""
        if not await self.drain(within):
            await cancel_all(self._others())

    async def _call(
        self,
        link: Link,
        prefix: str,
        claim_id: str = "",
        known: int = 0,
        leases: Sequence[Argument] = (),
    ) -> bool:
        """Return whether it succeeded."""
        call = calls.UnclaimCall(
            prefix=prefix,
            consumer=self._consumer,
            claim_id=claim_id,
            known=known,
            history=flag(link.keeps_history),
            leases=[*leases],
        )
        try:
            count = await link.evaluate(call)
        except BrokerError as error:
            logger.debug("tasks that were not begun could not be given back: %s", error)
            return False
        logger.debug("%d tasks were given back that were not begun", count)
        return True
