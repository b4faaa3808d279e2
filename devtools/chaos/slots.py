"""What schedulers have fired: each task is taken at once, and leaves no trace.

Only the slot that is kept then stands against a second one.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from devtools.chaos import plans
from ltq.brokers.redis import RedisBroker
from ltq.errors import BrokerError
from ltq.message import Finish
from ltq.state import Status

_AT_ONCE = 500


@dataclass(frozen=True)
class Fired:
    """A task of a slot, as it was claimed: in the order in which they were enqueued."""

    schedule: str
    slot: int
    late: float


@asynccontextmanager
async def collecting(broker: RedisBroker, found: list[Fired]) -> AsyncIterator[None]:
    """Take every task of `plans.tick`, and add what it says to `found`."""

    async def collect() -> None:
        async with broker.consumer([plans.tick.queue]) as consumer:
            while True:
                with suppress(BrokerError):
                    deliveries = await broker.claim(consumer, _AT_ONCE, timeout=5)
                    found.extend(_read(one.lease.id, one.enqueue_time) for one in deliveries)
                    ends = [Finish(one.lease, Status.COMPLETED, result_ttl=0) for one in deliveries]
                    await broker.finish(ends)

    collecting = asyncio.create_task(collect())
    try:
        yield
    finally:
        collecting.cancel()
        with suppress(asyncio.CancelledError):
            await collecting  # what else has ended it is an error of this run


def _read(task_id: str, enqueue_time: float) -> Fired:
    schedule, _, stamp = task_id.rpartition(":")
    slot = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    return Fired(schedule, int(slot), enqueue_time - slot)
