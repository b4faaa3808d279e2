"""The loop that repairs queues: it puts tasks back that are in no list of their queue."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection

from ltq._aio.clock import Jitter, jittered
from ltq._aio.service import Service
from ltq.broker import Settler
from ltq.errors import BrokerError

logger = logging.getLogger("ltq.worker")

REPAIR_EVERY = 600.0
"""Seconds between two repairs. One repair serves all workers of a queue."""

FIRST_REPAIR = 2.0
"""Seconds after its start at which a worker first repairs, unless another one has just done so."""


class RepairLoop(Service):
    """Repairs the queues of a worker: an eviction or a deleted key may strand a task.

    `lease` is the duration, in seconds, of the lease that a task without one gets. `sleep` waits
    for a number of seconds.
    """

    def __init__(
        self,
        settler: Settler,
        queues: Collection[str],
        *,
        lease: float,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        jitter: Jitter = jittered,
    ) -> None:
        super().__init__("ltq-repair", logger)
        self._settler = settler
        self._queues = queues
        self._lease = lease
        self._sleep = sleep
        self._jitter = jitter

    async def _run(self) -> None:
        pause, every = FIRST_REPAIR, FIRST_REPAIR
        while True:
            await self._sleep(self._jitter(pause))
            await self._repair(every)
            pause, every = REPAIR_EVERY, REPAIR_EVERY / 2

    async def _repair(self, every: float) -> None:
        try:
            repaired = await self._settler.repair(self._queues, lease=self._lease, every=every)
        except BrokerError as error:
            logger.debug("repair skipped: %s", error)
        except Exception:
            logger.exception("repair failed")
        else:
            if repaired:
                logger.warning("repaired %d tasks that had lost their place in a queue", repaired)
