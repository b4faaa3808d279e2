"""The leases that a worker holds."""

import logging
from collections.abc import Mapping
from contextlib import suppress

from ltq._aio.service import Service
from ltq.broker import Consumer
from ltq.errors import BrokerError
from ltq.message import Delivery, Lease

logger = logging.getLogger("ltq.worker")


class LeaseTracker(Service):
    """The `HeldLeases` of one run. It frees the lanes of tasks with `max_running` in passing.

    `limited` maps the name of each task with `max_running` to its lane. When the lease of such a
    task is released, the consumer is told in the background that the lane has room for another.
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
        return list(self._held)  # one atomic step, so it needs no lock

    def hold(self, delivery: Delivery) -> None:
        """Renew the lease of a delivery from now on."""
        self._held[delivery.lease] = self._limited.get(delivery.task_name)

    def release(self, lease: Lease) -> None:
        """Stop renewing a lease. Does nothing if it is not held."""
        lane = self._held.pop(lease, None)
        if lane is not None:
            self._spawn(self._free(lane), "free")

    async def _free(self, lane: str) -> None:
        with suppress(BrokerError):  # the other workers also check at intervals
            await self._consumer.freed(lane)
