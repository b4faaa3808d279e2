"""The leases that a worker holds."""

import logging
from collections.abc import Collection
from contextlib import suppress

from ltq._aio.service import Service
from ltq.broker import Consumer
from ltq.errors import BrokerError
from ltq.message import Delivery, Lease, lane_of

logger = logging.getLogger("ltq.worker")


class LeaseTracker(Service):
    """The `HeldLeases` of one run. It frees the lanes of tasks with `max_running` in passing.

    `limited` are the names of tasks with `max_running`. When the lease of such a task is released,
    the consumer is told in the background that its lane has room for another.
    """

    def __init__(self, consumer: Consumer, limited: Collection[str]) -> None:
        super().__init__("ltq-leases", logger)
        self._consumer = consumer
        self._limited = frozenset(limited)
        self._held: dict[Lease, str | None] = {}

    def __contains__(self, lease: Lease) -> bool:
        return lease in self._held

    def all(self) -> list[Lease]:
        """The leases held now. From any thread."""
        return list(self._held)  # one atomic step, so it needs no lock

    def hold(self, delivery: Delivery) -> None:
        """Renew the lease of a delivery from now on."""
        name = delivery.task_name
        is_limited = name in self._limited
        self._held[delivery.lease] = (
            lane_of(delivery.lease.queue, name, limited=True) if is_limited else None
        )

    def release(self, lease: Lease) -> None:
        """Stop renewing a lease. Does nothing if it is not held."""
        lane = self._held.pop(lease, None)
        if lane is not None:
            self._spawn(self._free(lane), "free")

    async def _free(self, lane: str) -> None:
        with suppress(BrokerError):  # the other workers also check at intervals
            await self._consumer.freed(lane)
