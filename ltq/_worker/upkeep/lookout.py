"""The loop that looks for tasks that nobody runs: those of a task that was renamed or removed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator

from ltq._aio.clock import Jitter, jittered
from ltq._aio.service import Service
from ltq.broker import Inspector, namespace_of, stands_still
from ltq.errors import BrokerError

logger = logging.getLogger("ltq.worker")

FIRST_LOOKS = (5.0, 60.0)
"""Seconds from the start of a worker to its first look, and from there to the second."""

LOOK_EVERY = 600.0
"""Seconds between two looks after that."""

PATIENCE = 10.0
"""Seconds for which the oldest task of a queue must have waited: its worker may be starting."""


class Lookout(Service):
    """Warns of queues beside the served ones, in their namespaces, whose tasks nobody runs.

    Each queue is told of once. `served` are the queues of the worker; `sleep` waits for a number of
    seconds.
    """

    def __init__(
        self,
        broker: Inspector,
        served: Collection[str],
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        jitter: Jitter = jittered,
    ) -> None:
        super().__init__("ltq-lookout", logger)
        self._broker = broker
        self._served = frozenset(served)
        self._namespaces = {namespace_of(queue) for queue in served}
        self._sleep = sleep
        self._jitter = jitter
        self._told: set[str] = set()

    async def _run(self) -> None:
        for pause in _pauses():
            await self._sleep(self._jitter(pause))
            try:
                await self._look()
            except BrokerError as error:
                logger.debug("looking for queues that nobody serves was skipped: %s", error)
            except Exception:
                logger.exception("looking for queues that nobody serves failed")

    async def _look(self) -> None:
        others = [
            queue
            for queue in await self._broker.queues()
            if namespace_of(queue) in self._namespaces and queue not in self._served | self._told
        ]
        for stats in await self._broker.stats(others) if others else []:
            if stands_still(stats) and (stats.oldest or 0.0) >= PATIENCE:
                self._told.add(stats.queue)
                logger.warning(
                    "%d tasks wait in queue %s, the oldest for %.0f s, and none runs; this worker "
                    "does not serve it. If no other worker does, declare its task again, or name "
                    "it in `aliases` of the task that has replaced it",
                    stats.pending,
                    stats.queue,
                    stats.oldest,
                )


def _pauses() -> Iterator[float]:
    yield from FIRST_LOOKS
    while True:
        yield LOOK_EVERY
