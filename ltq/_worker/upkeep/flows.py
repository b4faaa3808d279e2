"""Carrying on from endings: of tasks that end here at once, and those that others have left."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress

from ltq._aio.backoff import ExponentialBackoff
from ltq._aio.batcher import Batcher
from ltq._aio.clock import Clock, Jitter, jittered
from ltq._aio.service import Service
from ltq._aio.threads import call_in
from ltq._flow.apart import LEFT_AFTER, Left, carry_apart, carry_left, namespaces_of
from ltq._flow.followed import FollowedFinish, Sends
from ltq._flow.protocols import FlowBroker
from ltq.broker.flows import Ending
from ltq.errors import BrokerError
from ltq.logger import ThrottledLogger
from ltq.message import Finish, Outcome, Published
from ltq.names import namespace_of

logger = logging.getLogger("ltq.worker")

LOOK_EVERY = 60.0
"""Most seconds between two looks for what others have left. Mostly the broker says sooner that
there is something, when the worker is announced."""

_MOST_TOGETHER = 500
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
    """Sends what follows tasks, and carries workflows on, in the namespaces of the served queues.

    It does so when the outcome of such a task is written (`wrote`). If its worker dies before that,
    or the task ended elsewhere, its ending is found by one of the looks: at the start, soon after
    `look_soon`, and from time to time.
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
        self._loop = asyncio.get_running_loop()
        self._heard = asyncio.Event()
        """Whether there are endings, perhaps of others."""
        self._sends: dict[str, Sends] = {}
        """Who wants to know what became of what follows, by the key of the ending."""

    def wrote(self, outcome: Finish) -> None:
        """An outcome is written of a task of a workflow, or one that something follows."""
        ending = Ending.of(outcome)
        if isinstance(outcome, FollowedFinish) and outcome.sends is not None:
            self._sends[ending.key] = outcome.sends
        self._batcher_of(namespaces_of(ending)).add(ending)

    def dropped(self, outcome: Outcome) -> None:
        """An outcome is not written: what should follow it is not sent."""
        if isinstance(outcome, FollowedFinish) and outcome.sends is not None:
            outcome.sends.end(False)

    def look_soon(self) -> None:
        """There are endings: look for those that are left. From any thread."""
        call_in(self._loop, self._heard.set)

    async def drain(self, timeout: float | None = None) -> bool:
        """Wait at most `timeout` seconds until all is carried on; return whether it is."""
        batchers = [*self._batchers.values()]
        return all(await asyncio.gather(*(one.drain(timeout) for one in batchers)))

    async def aclose(self) -> None:
        """Stop. What is not carried on yet, others find."""
        await asyncio.gather(*(one.aclose() for one in self._batchers.values()))
        for sends in self._sends.values():
            sends.end(None)
        self._sends.clear()
        await super().aclose()

    def _batcher_of(self, namespaces: frozenset[str]) -> Batcher[Ending, None]:
        if namespaces not in self._batchers and len(self._batchers) >= _MOST_APART:
            namespaces = frozenset()
        batcher = self._batchers.get(namespaces)
        if batcher is None:
            batcher = self._batchers[namespaces] = Batcher(
                self._carry, _MOST_TOGETHER, name=self.name
            )
        return batcher

    async def _carry(self, endings: list[Ending]) -> list[None]:
        begun = time.perf_counter()
        backoff, endings_left = ExponentialBackoff(*_BACKOFF), endings
        for attempt in range(_ATTEMPTS):
            if attempt:
                await self._sleep(backoff.next())
            lefts = await carry_apart(self._broker, endings_left, self._answered)
            for left in lefts:
                self._tell(left)
            endings_left = [
                one for left in lefts if isinstance(left.error, BrokerError) for one in left.endings
            ]
            if not endings_left:
                break
        for ending in endings:
            if ending.follow and (sends := self._sends.pop(ending.key, None)) is not None:
                sends.end(None)
        if len(endings) >= _MANY:
            factor, longest = _GATHERING
            await asyncio.sleep(min(factor * (time.perf_counter() - begun), longest))
        return [None] * len(endings)

    def _answered(self, ending: Ending, answers: Sequence[Published]) -> None:
        if (sends := self._sends.pop(ending.key, None)) is not None:
            sends.answered(answers)

    def _tell(self, left: Left) -> None:
        count, error = len(left.endings), left.error
        if isinstance(error, BrokerError):
            self._throttled.warning("what follows %d tasks cannot go on yet: %s", count, error)
        else:
            logger.error("what follows %d tasks cannot go on", count, exc_info=error)

    async def _run(self) -> None:
        while True:
            for queue in self._queues:
                await self._look(queue)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._jitter(LOOK_EVERY)):
                    await self._heard.wait()
            if self._heard.is_set():
                self._heard.clear()
                await self._sleep(LEFT_AFTER)  # until what is there now is old enough

    async def _look(self, queue: str) -> None:
        try:
            count = await carry_left(self._broker, queue, older_than=LEFT_AFTER)
        except BrokerError as error:
            if error.is_refusal:
                self._throttled.warning("what follows some tasks cannot go on: %s", error)
            logger.debug("a look for endings is skipped: %s", error)
        except Exception:
            logger.exception("what follows some tasks cannot go on")
        else:
            if count:
                logger.info(
                    "carried workflows on after %d tasks, which other workers had left", count
                )
