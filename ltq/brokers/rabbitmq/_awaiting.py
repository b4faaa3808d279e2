"""Waiting for tasks that are still on their way from RabbitMQ into the store."""

import asyncio
import logging
from collections.abc import Sequence
from copy import copy

from ltq._aio.backoff import ExponentialBackoff
from ltq._aio.service import Service
from ltq.broker import Broker
from ltq.broker.feed import Feed
from ltq.brokers.rabbitmq._sending.gate import Gate
from ltq.brokers.rabbitmq._sending.unstored import TaskRef, Unstored
from ltq.brokers.rabbitmq._server.publisher import Publisher
from ltq.errors import BrokerError

logger = logging.getLogger("ltq.broker")

STORED_WITHIN = 60.0
"""Seconds for which a store that is back is asked for a task that is in no message. Another process
may have taken it out of RabbitMQ and found that it can be no task, or its state is gone already."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5
"""Seconds between two looks for tasks that are waited for."""

_AT_ONCE = 500
"""Most tasks that are looked for in one call."""


class Awaiting(Service):
    """Feeds of tasks sent while the store was away: each begins once the store has its task."""

    def __init__(self, store: Broker, gate: Gate, unstored: Unstored, publisher: Publisher) -> None:
        super().__init__("ltq-rabbitmq-awaiting", logger)
        self._store = store
        self._gate = gate
        self._unstored = unstored
        self._publisher = publisher
        self._readers: dict[Feed, asyncio.Task[None]] = {}
        self._wanted: dict[TaskRef, list[asyncio.Future[bool]]] = {}
        self._since: dict[TaskRef, float] = {}
        """When the store that is there now was first asked for each."""
        self._pauses = ExponentialBackoff(_FIRST_PAUSE, _LONGEST_PAUSE)

    def feed(self, task: TaskRef) -> Feed:
        """Follow a task that is not in the store yet."""
        feed = Feed(self._close)
        self._readers[feed] = self._spawn(self._follow(feed, task), "feed")
        return feed

    async def aclose(self) -> None:
        """See `Service.aclose`. Feeds that are still open fail."""
        for feed in self._readers:
            feed.fail(BrokerError("the broker was closed while the task was watched"))
        self._readers.clear()
        await super().aclose()
        self._wanted.clear()
        self._since.clear()

    def _close(self, feed: Feed) -> None:
        reader = self._readers.pop(feed, None)
        if reader is not None:
            reader.cancel()

    async def _follow(self, feed: Feed, task: TaskRef) -> None:
        try:
            while await self._is_stored(task):
                if await self._pass_on(feed, task):
                    return
        except Exception as error:
            feed.fail(error)
        else:
            feed.put(None)

    async def _pass_on(self, feed: Feed, task: TaskRef) -> bool:
        """Give the reader what the store tells, to the end.

        Returns False if the store is away again, before anything was told.
        """
        own = self._store.feed(*task)
        own.only_end = feed.only_end
        try:
            while True:
                state = await own.get()
                feed.put(state)
                if state is None:
                    return True
        except BrokerError as error:
            if feed.started or error.is_refusal:
                raise
            self._gate.close(error)
            return False
        finally:
            own.close()

    async def _is_stored(self, task: TaskRef) -> bool:
        """Wait until the store knows a task. Returns False if it never will.

        Raises `BrokerError` if the store refuses.
        """
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._wanted.setdefault(task, []).append(waiter)
        self._pauses.reset()
        self.start()
        return await waiter

    async def _run(self) -> None:
        while self._wanted:
            await self._gate.wait_open()
            try:
                await self._look()
            except BrokerError as error:
                self._gate.close(error)
                self._since.clear()
                if error.is_refusal:
                    self._fail_all(error)
            await asyncio.sleep(self._pauses.next())
            self._forget_closed()

    async def _look(self) -> None:
        by_queue: dict[str, list[str]] = {}
        for queue, task_id in self._wanted:
            by_queue.setdefault(queue, []).append(task_id)
        for queue, ids in by_queue.items():
            for start in range(0, len(ids), _AT_ONCE):
                await self._look_for(queue, ids[start : start + _AT_ONCE])

    async def _look_for(self, queue: str, ids: Sequence[str]) -> None:
        # What is taken from RabbitMQ during the read is in the store after it.
        is_expected = {task_id: (queue, task_id) in self._unstored for task_id in ids}
        states = await self._store.states(queue, ids)
        overdue = []
        for task_id, state in zip(ids, states, strict=True):
            task = queue, task_id
            if state is not None:
                self._settle(task, is_stored=True)
            elif not is_expected[task_id]:
                self._settle(task, is_stored=False)
            elif self._is_overdue(task):
                overdue.append(task)
        if overdue:
            await self._judge(queue, overdue)

    async def _judge(self, queue: str, overdue: Sequence[TaskRef]) -> None:
        """Tasks that are late may still be in RabbitMQ, if anything is."""
        may_come = await self._publisher.may_hold(queue)
        for task in overdue:
            if may_come:
                del self._since[task]
            else:
                self._settle(task, is_stored=False)

    def _is_overdue(self, task: TaskRef) -> bool:
        now = asyncio.get_running_loop().time()
        return now - self._since.setdefault(task, now) > STORED_WITHIN

    def _settle(self, task: TaskRef, *, is_stored: bool) -> None:
        self._unstored.discard([task])
        self._since.pop(task, None)
        for waiter in self._wanted.pop(task, ()):
            if not waiter.done():
                waiter.set_result(is_stored)

    def _fail_all(self, error: BrokerError) -> None:
        for waiters in self._wanted.values():
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_exception(copy(error))  # each reader adds its frames
        self._wanted.clear()

    def _forget_closed(self) -> None:
        """Drop those for whom nobody waits any more."""
        for task, waiters in [*self._wanted.items()]:
            if all(waiter.done() for waiter in waiters):
                del self._wanted[task]
                self._since.pop(task, None)
