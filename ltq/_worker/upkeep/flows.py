"""Carrying workflows on: those whose tasks end here at once, and those that others have left."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection

from ltq._aio.backoff import ExponentialBackoff
from ltq._aio.batcher import Batcher
from ltq._aio.clock import Clock, Jitter, jittered
from ltq._aio.service import Service
from ltq._flow.carry import carry, carry_left
from ltq._flow.protocols import FlowBroker
from ltq.broker.flows import Ending, ending_key
from ltq.errors import BrokerError
from ltq.logger import ThrottledLogger
from ltq.message import Finish
from ltq.names import namespace_of

logger = logging.getLogger("ltq.worker")

LOOK_EVERY = 5.0
"""Seconds between two looks for what others have left."""

_OLD = 2.0
"""Seconds after which an ending counts as left: until then somebody may be about to carry it on."""

_MOST = 500
"""Most endings that are carried on together."""

_BACKOFF = 0.1, 1.5
"""Seconds until the next attempt to carry endings on: the first pause and the longest."""

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
        self._batcher: Batcher[Ending, None] = Batcher(self._carry, _MOST, name=self.name)

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
        self._batcher.add(ending)

    async def drain(self, timeout: float | None = None) -> bool:
        """Wait at most `timeout` seconds until all is carried on; return whether it is."""
        return await self._batcher.drain(timeout)

    async def aclose(self) -> None:
        """Stop. What is not carried on yet, others find."""
        await self._batcher.aclose()
        await super().aclose()

    async def _carry(self, endings: list[Ending]) -> list[None]:
        backoff = ExponentialBackoff(*_BACKOFF)
        for _ in range(_ATTEMPTS):
            try:
                await carry(self._broker, endings)
            except BrokerError as error:
                self._throttled.warning("%d workflows cannot go on yet: %s", len(endings), error)
            except Exception:
                logger.exception("%d workflows cannot go on", len(endings))
                break
            else:
                break
            await self._sleep(backoff.next())
        return [None] * len(endings)

    async def _run(self) -> None:
        while True:
            for queue in self._queues:
                await self._look(queue)
            await self._sleep(self._jitter(LOOK_EVERY))

    async def _look(self, queue: str) -> None:
        try:
            count = await carry_left(self._broker, queue, older_than=_OLD)
        except BrokerError as error:
            logger.debug("a look for workflows is skipped: %s", error)
        except Exception:
            logger.exception("workflows cannot be carried on")
        else:
            if count:
                logger.info("%d endings of workflows were carried on that others left", count)
