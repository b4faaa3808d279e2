"""Waiting for wake-ups, by a blocking pop of the markers that are left when tasks become ready."""

import asyncio
import logging
from collections.abc import Iterable
from contextvars import Context

from ltq._aio.service import Service, cancel_all
from ltq.brokers.redis._consumer.lane_group import LaneGroup
from ltq.errors import BrokerError

logger = logging.getLogger("ltq.broker")

BLOCK = 11.0
"""Seconds of one blocking pop. A wake-up that a frozen consumer took may be late by that."""

_BLOCK_ELSEWHERE = 2.5
"""The same where another server may take the place of one that hangs: an idle worker learns of that
when its pop is late."""

_BLOCK_SLACK = 1.5
"""Seconds by which a blocking pop may be late before its connection counts as broken."""


class WakeUps(Service):
    """Takes the wake-ups of one consumer, and adds their lanes to `woken` of its lane groups.

    One pop for each group runs in the background, also after a wait has timed out. A marker that it
    takes when the consumer does not wait any more is passed on to other consumers.
    """

    def __init__(self) -> None:
        super().__init__("ltq-redis-wake-ups", logger)
        self._pops: dict[str, asyncio.Task[None]] = {}
        """By namespace."""
        self._waiter: asyncio.Future[None] | None = None
        self._error: BrokerError | None = None
        self._has_lost = False
        """Whether the last pop lost its connection."""

    async def next(self, groups: Iterable[LaneGroup], timeout: float | None) -> None:
        """Wait for the next wake-up, at most `timeout` seconds. Raises `BrokerError`.

        The first connection that is lost only ends the wait: it may have been idle for too long,
        and the claim that follows finds out whether the server can be reached.
        """
        groups = list(groups)
        for group in groups:
            pop = self._pops.get(group.namespace)
            if pop is None or pop.done():
                self._pops[group.namespace] = self._spawn(self._pop(group), "pop")
        if any(group.woken for group in groups):
            return
        self._error = None  # an error of an earlier wait is out of date
        await self._wait_for_pop(timeout)
        error, self._error = self._error, None
        if error is not None:
            raise error

    async def give_up(self, within: float) -> None:
        """Stop waiting. Wake-ups that were taken and not used go to others, in so many seconds."""
        self.stop()
        await cancel_all(self._pops.values())
        if not await self.drain(within):
            await cancel_all(self._others())

    def give_back(self, groups: Iterable[LaneGroup]) -> None:
        """Pass on the wake-ups that no claim followed: this consumer ends."""
        for group in groups:
            for lane in group.woken:
                self._spawn(self._pass_on(group, lane), "pass-on")
            group.woken.clear()

    async def _wait_for_pop(self, timeout: float | None) -> None:
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = None
        if timeout is not None:
            timer = loop.call_later(max(timeout, 0), self.end_wait, context=Context())
        try:
            await self._waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def end_wait(self) -> None:
        """Let `next` return."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _pop(self, group: LaneGroup) -> None:
        try:
            await asyncio.sleep(0)  # let tasks that were just claimed run first
            link = group.link
            seconds = BLOCK if link.whereabouts is None else min(BLOCK, _BLOCK_ELSEWHERE)
            patience = seconds + _BLOCK_SLACK
            popped = await link.block("BZPOPMIN", *group.wake_keys, seconds, patience=patience)
            self._has_lost = False
            if popped is not None:
                self._take(group, popped[0].decode().partition("wake:")[2])
        except BrokerError as error:
            if self._has_lost or error.is_refusal:
                self._error = error
            self._has_lost = True
        finally:
            self.end_wait()

    def _take(self, group: LaneGroup, lane: str) -> None:
        if self._waiter is not None:
            group.woken.add(lane)
        else:  # this consumer does not wait any more
            self._spawn(self._pass_on(group, lane), "pass-on")

    async def _pass_on(self, group: LaneGroup, lane: str) -> None:
        try:
            await group.link.call("ZADD", group.link.keys.wake(group.namespace, lane), 0, "1")
        except BrokerError:
            logger.debug("could not pass on a wake-up: other consumers will look by themselves")
