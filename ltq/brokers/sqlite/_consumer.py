"""Claiming tasks from a file."""

import asyncio
from collections import deque
from functools import partial
from math import inf
from typing import Any, Self

from ltq._aio.threads import call_in
from ltq.broker import Claim, ClaimBudget, ConsumerConfig
from ltq.broker.consumer_config import SAY_AGAIN
from ltq.brokers.sqlite._places.listener import lane_topic, revoked_topic
from ltq.brokers.sqlite._places.store import SqliteStore
from ltq.brokers.sqlite._thread.changes import Hear
from ltq.brokers.sqlite._thread.job import Job
from ltq.brokers.sqlite._thread.listening import Listening
from ltq.brokers.sqlite._thread.thread import SqliteThread
from ltq.names import queue_of


class SqliteConsumer:
    """Claims tasks of some lanes, under one name, in one event loop."""

    def __init__(
        self,
        thread: SqliteThread,
        listening: Listening,
        config: ConsumerConfig,
        *,
        keeps_history: bool,
    ) -> None:
        self.name: str = config.name
        self._thread = thread
        self._listening = listening
        self._config = config
        self._keeps_history = keeps_history
        self._loop = asyncio.get_running_loop()
        self._turns = deque(config.turns())
        self._news = _LaneNews(config, self._loop)
        self._seen: int | None = None
        """How many news there were at the last claim, if that left nothing to claim."""
        self._due_at: float | None = None
        """When that may change without news, by the clock of the event loop."""
        self._closed = False
        self._say_again_at = -inf
        """When the store should be told again that it lives, by the clock of the event loop."""
        queues = dict.fromkeys(map(queue_of, config.lanes))
        self._lane_topics = [lane_topic(queue) for queue in queues]
        self._attended = [*self._lane_topics, revoked_topic(config.name)]
        for topic in self._lane_topics:
            thread.changes.listen(topic, self._news.hear)
        thread.changes.on_missed(self._news.add)
        for topic in self._attended:
            listening.attend(topic)
        self._hear_revoked: Hear | None = None
        if config.revoked is not None:
            self._hear_revoked = partial(call_in, self._loop, config.revoked)
            thread.changes.listen(revoked_topic(config.name), self._hear_revoked)

    async def claim(self, limit: int, running: int = 0, *, ignore_isolation: bool = False) -> Claim:
        """See `Consumer.claim`."""
        budget = ClaimBudget(limit, running, ignore_isolation)
        turn = self._turns[0]
        self._turns.rotate(-1)
        before_sweep = self._config.before_sweep
        claim = await self._call(turn, budget, is_patient=before_sweep is not None)
        if claim is None and before_sweep is not None:
            await before_sweep("")
            claim = await self._call(turn, budget, is_patient=False)
        assert claim is not None
        return claim

    async def _call(
        self, turn: ConsumerConfig, budget: ClaimBudget, *, is_patient: bool
    ) -> Claim | None:
        """A claim; None if it would take tasks back, and is to be patient about that."""
        now, lease = self._loop.time(), self._config.lease
        says_again = now >= self._say_again_at
        seen, self._seen = 0, None

        def step(store: SqliteStore) -> Claim | None:
            nonlocal seen
            seen = self._news.count  # what is told from now on may be missing in this claim
            if says_again:
                store.serve(turn.announced, lease)
            if is_patient and store.has_lost(turn.namespaces):
                return None
            return store.claim(turn, budget)

        claim = await self._thread.call(
            step, _give_back, keeps_history=self._keeps_history, is_durable=False
        )
        if says_again:
            self._say_again_at = now + lease * SAY_AGAIN
        if claim is not None and budget.room > 0 and budget.refused is None:
            self._seen = seen
            self._due_at = None if claim.due_in is None else self._loop.time() + claim.due_in
        return claim

    async def wait(self, timeout: float | None, room: int = 0, running: int = 0) -> bool:
        """See `Consumer.wait`."""
        over: asyncio.Future[bool] = self._loop.create_future()
        end = partial(_end, over)
        timers = [] if timeout is None else [self._loop.call_later(timeout, end, False)]
        self._news.waits.add(over)
        try:
            due_in = await self._next_claim(over)
            if due_in is not None:
                timers.append(self._loop.call_later(due_in, end, True))
            return not self._closed and await over
        finally:
            self._news.waits.discard(over)
            for timer in timers:
                timer.cancel()

    async def _next_claim(self, over: "asyncio.Future[bool]") -> float | None:
        """Seconds until a claim may give something, or None; not waited for beyond the end."""
        if self._seen == self._news.count:
            return None if self._due_at is None else max(0.0, self._due_at - self._loop.time())
        config = self._config
        job = Job(lambda store: store.next_claim(config), keeps_history=True, is_durable=False)
        future = self._thread.submit(job).future
        both: list[asyncio.Future[Any]] = [future, over]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            return future.result() if future.done() else None
        finally:
            future.cancel()

    async def freed(self, lane: str) -> None:
        """The store notices by itself when a task ends."""

    async def aclose(self) -> None:
        """See `Consumer.aclose`."""
        self._closed = True
        if self._hear_revoked is not None:
            self._thread.changes.unlisten(revoked_topic(self.name), self._hear_revoked)
        self._thread.changes.off_missed(self._news.add)
        for topic in self._lane_topics:
            self._thread.changes.unlisten(topic, self._news.hear)
        while self._attended:
            self._listening.leave(self._attended.pop())
        self._news.end(False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()


class _LaneNews:
    """What is told of lanes while a consumer is open. It does not hold the consumer."""

    def __init__(self, config: ConsumerConfig, loop: asyncio.AbstractEventLoop) -> None:
        self.count: int = 0
        self.waits: set[asyncio.Future[bool]] = set()
        """Those that end with the next news. Who adds one, looks at `count` afterwards."""
        self._serves = config.serves
        self._loop = loop

    def hear(self, lane: str) -> None:
        """A task of a lane may be claimed. In the thread of the file."""
        if self._serves(lane):
            self.add()

    def add(self) -> None:
        """A task may be claimed. In the thread of the file."""
        self.count += 1
        if self.waits:
            call_in(self._loop, self.end, True)

    def end(self, result: bool) -> None:
        """End all that wait, in the event loop."""
        for over in self.waits:
            _end(over, result)


def _give_back(store: SqliteStore, claim: Claim | None) -> None:
    """Put tasks back that nobody gets: their claim was cancelled."""
    if claim is not None and claim.deliveries:
        store.unclaim([delivery.lease for delivery in claim.deliveries])


def _end(over: "asyncio.Future[bool]", result: bool) -> None:
    if not over.done():
        over.set_result(result)
