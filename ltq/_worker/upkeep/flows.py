"""Carrying workflows on: those whose tasks end here at once, and those that others have left."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection

from ltq._aio.backoff import ExponentialBackoff
from ltq._aio.batcher import Batcher
from ltq._aio.clock import Clock, Jitter, jittered
from ltq._aio.service import Service
from ltq._flow.apart import Left, carry_apart, carry_left, namespaces_of
from ltq._flow.protocols import FlowBroker
from ltq.broker.flows import Ending, ending_key
from ltq.errors import BrokerError
from ltq.logger import ThrottledLogger
from ltq.message import Finish
from ltq.names import namespace_of

logger = logging.getLogger("ltq.worker")

LOOK_EVERY = 60.0
"""Seconds between two looks for what others have left."""

_OLD = 2.0
"""Seconds after which an ending counts as left: until then somebody may be about to carry it on."""

_MOST = 500
"""Most endings that are carried on together."""

_MOST_APART = 100
"""Most sets of namespaces whose endings are carried on apart from others."""

_BACKOFF = 0.1, 1.5
"""Seconds until the next attempt to carry endings on: the first pause and the longest."""

_MANY = 16
"""Endings of one call from which the next waits for more: many elements of a map end together."""

_GATHERING = 2.0, 0.05
"""How long it waits, in times as long as the call took, and in seconds at most."""

_ATTEMPTS = 5
"""How often it is tried. After that they count as left."""


class FlowCarrier(Service):
    """Carries workflows on in the namespaces of the served queues.

    A workflow goes on when an outcome of one of its tasks is written (`wrote`). If its worker dies
    before that, or the task ended elsewhere, its ending is found by one of the looks.
    """

    def __init__(
        self,
        broker: FlowBroker,
        queues: Collection[str],
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        jitter: Jitter = jittered,
        clock: Clock = time.monotonic,
    ) -> None:
        super().__init__("ltq-flows", logger)
        self._broker = broker
        self._queues = [*{namespace_of(queue): queue for queue in queues}.values()]
        self._sleep = sleep
        self._jitter = jitter
        self._throttled = ThrottledLogger(logger, clock=clock)
        self._batchers: dict[frozenset[str], Batcher[Ending, None]] = {}
        """By the namespaces that are needed: one that is away holds up no workflow without it."""

    def wrote(self, outcome: Finish) -> None:
        """An outcome is written of a task of a workflow."""
        lease = outcome.lease
        ending = Ending(
            key=ending_key(lease.id, lease.token),
            id=lease.id,
            queue=lease.queue,
            status=outcome.status,
            ctx=outcome.flow,
            result=outcome.result,
            serializer=outcome.serializer,
        )
        self._batcher_of(namespaces_of(ending)).add(ending)

    async def drain(self, timeout: float | None = None) -> bool:
        """Wait at most `timeout` seconds until all is carried on; return whether it is."""
        batchers = [*self._batchers.values()]
        return all(await asyncio.gather(*(one.drain(timeout) for one in batchers)))

    async def aclose(self) -> None:
        """Stop. What is not carried on yet, others find."""
        await asyncio.gather(*(one.aclose() for one in self._batchers.values()))
        await super().aclose()

    def _batcher_of(self, namespaces: frozenset[str]) -> Batcher[Ending, None]:
        if namespaces not in self._batchers and len(self._batchers) >= _MOST_APART:
            namespaces = frozenset()
        batcher = self._batchers.get(namespaces)
        if batcher is None:
            batcher = self._batchers[namespaces] = Batcher(self._carry, _MOST, name=self.name)
        return batcher

    async def _carry(self, endings: list[Ending]) -> list[None]:
        begun = time.perf_counter()
        backoff, endings_left = ExponentialBackoff(*_BACKOFF), endings
        for attempt in range(_ATTEMPTS):
            if attempt:
                await self._sleep(backoff.next())
            lefts = await carry_apart(self._broker, endings_left)
            for left in lefts:
                self._tell(left)
            endings_left = [
                one for left in lefts if isinstance(left.error, BrokerError) for one in left.endings
            ]
            if not endings_left:
                break
        if len(endings) >= _MANY:
            factor, longest = _GATHERING
            await asyncio.sleep(min(factor * (time.perf_counter() - begun), longest))
        return [None] * len(endings)

    def _tell(self, left: Left) -> None:
        count, error = len(left.endings), left.error
        if isinstance(error, BrokerError):
            self._throttled.warning("%d workflows cannot go on yet: %s", count, error)
        else:
            logger.error("%d workflows cannot go on", count, exc_info=error)

    async def _run(self) -> None:
        while True:
            for queue in self._queues:
                await self._look(queue)
            await self._sleep(self._jitter(LOOK_EVERY))

    async def _look(self, queue: str) -> None:
        try:
            count = await carry_left(self._broker, queue, older_than=_OLD)
        except BrokerError as error:
            if error.is_refusal:
                self._throttled.warning("some workflows cannot go on: %s", error)
            logger.debug("a look for workflows is skipped: %s", error)
        except Exception:
            logger.exception("workflows cannot be carried on")
        else:
            if count:
                logger.info("%d endings of workflows were carried on that others left", count)
