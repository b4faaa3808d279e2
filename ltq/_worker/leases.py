"""The leases that a worker holds."""

import logging
from collections.abc import Mapping
from contextlib import suppress

from ltq._aio.service import Service
from ltq.broker import Consumer
from ltq.errors import BrokerError
from ltq.message import Delivery, Lease

logger = logging.getLogger("ltq.worker")


class HeldLeases(Service):
    """The leases of one run: from the claim until the outcome is written, or the lease is lost.

    The heartbeat's thread reads them. `limited` names the lane of each task that only so many
    workers may run at once: when such a lease is released, the consumer is told in the background
    that its lane is free for another one.
    """

    def __init__(self, consumer: Consumer, limited: Mapping[str, str]) -> None:
        super().__init__("ltq-leases", logger)
        self._consumer = consumer
        self._limited = limited
        self._held: dict[Lease, str | None] = {}

    def __contains__(self, lease: Lease) -> bool:
        return lease in self._held

    def all(self) -> list[Lease]:
        """The leases held now. From any thread."""
        return list(self._held)  # one atomic step, while the other thread goes on

    def hold(self, delivery: Delivery) -> None:
        """Renew the lease of a delivery from now on."""
        self._held[delivery.lease] = self._limited.get(delivery.task_name)

    def release(self, lease: Lease) -> None:
        """Renew it no longer; nothing happens where it is not held."""
        lane = self._held.pop(lease, None)
        if lane is not None:
            self._spawn(self._free(lane), "free")

    async def _free(self, lane: str) -> None:
        with suppress(BrokerError):  # the others look by themselves now and then
            await self._consumer.freed(lane)
