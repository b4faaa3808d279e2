"""Tasks that nobody runs: those of a task that was renamed or removed, or that is not there yet."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence

from ltq._aio.clock import Clock, Jitter, jittered
from ltq._aio.service import Service
from ltq.broker import Inspector, namespace_of, stands_still
from ltq.errors import BrokerError
from ltq.message import own_lane
from ltq.names import queue_of
from ltq.state import QueueStats

logger = logging.getLogger("ltq.worker")

FIRST_LOOKS = (5.0, 60.0)
"""Seconds from the start of a worker to its first look, and from there to the second."""

LOOK_EVERY = 600.0
"""Seconds between two looks after that."""

PATIENCE = 10.0
"""Seconds for which the oldest task of a queue must have waited: its worker may be starting."""

LOOK_AGAIN = 60.0
"""Seconds after which it is looked again whether anybody serves a lane that gets more tasks."""

MOST_AT_ONCE = 10
"""Most names of a queue that one look tells of. The next one tells of more."""

MOST_TOLD = 1000
"""Most queues and names that one run of a worker warns of: names may come from anywhere."""


_UNKNOWN = (
    "%s: %d waiting in queue %s, and no live worker knows this task. They wait until one starts "
    "that declares it, or names it in `aliases` of the task that has replaced it"
)

_UNREAD = (
    "%s: %d waiting in queue %s, and no live worker knows this task with this serializer. They "
    "wait until one starts that has both"
)


class Lookout(Service):
    """Warns of what nobody runs in the namespaces of the served queues, of each once.

    In served queues these are tasks that no live worker knows, of other queues all tasks if they
    stand still. `served` are the queues of the worker; `sleep` waits for a number of seconds.
    """

    def __init__(
        self,
        broker: Inspector,
        served: Collection[str],
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        jitter: Jitter = jittered,
        clock: Clock = time.monotonic,
    ) -> None:
        super().__init__("ltq-lookout", logger)
        self._broker = broker
        self._served = frozenset(served)
        self._namespaces = {namespace_of(queue) for queue in served}
        self._sleep = sleep
        self._jitter = jitter
        self._clock = clock
        self._told: set[str] = set()
        """Queues and lanes."""
        self._looked: dict[str, float] = {}
        """When it was looked last whether anybody serves a lane."""

    async def moved(self, lanes: Sequence[str]) -> None:
        """The worker moved tasks, which it does not know, to these lanes: see who does."""
        now = self._clock()
        recent = {lane for lane, moment in self._looked.items() if now - moment < LOOK_AGAIN}
        new = [lane for lane in lanes if lane not in self._told | recent]
        if new and len(self._told) < MOST_TOLD:
            self._looked = {lane: self._looked[lane] for lane in recent} | dict.fromkeys(new, now)
            await self._try(self._look_at(sorted(set(map(queue_of, new)))))

    async def _run(self) -> None:
        for pause in _pauses():
            await self._sleep(self._jitter(pause))
            await self._try(self._look())

    async def _try(self, look: Awaitable[None]) -> None:
        try:
            await look
        except BrokerError as error:
            logger.debug("looking for tasks that nobody runs was skipped: %s", error)
        except Exception:
            logger.exception("looking for tasks that nobody runs failed")

    async def _look(self) -> None:
        queues = [
            queue
            for queue in await self._broker.queues()
            if namespace_of(queue) in self._namespaces and queue not in self._told
        ]
        for stats in await self._broker.stats(queues) if queues else []:
            if stats.queue not in self._served:
                self._tell_of_queue(stats)
            elif (stats.unserved_oldest or 0.0) >= PATIENCE:
                self._tell_of_tasks(stats)

    async def _look_at(self, queues: Sequence[str]) -> None:
        for stats in await self._broker.stats(queues):
            self._tell_of_tasks(stats)

    def _tell_of_queue(self, stats: QueueStats) -> None:
        if stands_still(stats) and (stats.oldest or 0.0) >= PATIENCE and self._is_new(stats.queue):
            logger.warning(
                "%d tasks wait in queue %s, the oldest for %.0f s, and none runs; this worker "
                "does not serve it. If no other worker does, declare its task again, or name "
                "it in `aliases` of the task that has replaced it",
                stats.pending,
                stats.queue,
                stats.oldest,
            )

    def _tell_of_tasks(self, stats: QueueStats) -> None:
        names = [one for one in stats.unserved if own_lane(stats.queue, one) not in self._told]
        for task_name in names[:MOST_AT_ONCE]:
            if self._is_new(own_lane(stats.queue, task_name)):
                logger.warning(
                    _UNREAD if "/" in task_name else _UNKNOWN,
                    task_name,
                    stats.unserved[task_name],
                    stats.queue,
                )

    def _is_new(self, name: str) -> bool:
        """Whether a queue or a lane has not been told of; note that it is told of now."""
        is_new = name not in self._told and len(self._told) < MOST_TOLD
        if is_new:
            self._told.add(name)
        return is_new


def _pauses() -> Iterator[float]:
    yield from FIRST_LOOKS
    while True:
        yield LOOK_EVERY
