"""Waiting for wake-ups, by a blocking pop of the markers that are left when tasks become ready."""

import asyncio
import logging
import math
from collections.abc import Iterable
from contextvars import Context

from redis.exceptions import RedisError

from ltq._aio.service import Service, cancel_all
from ltq.brokers.redis._consumer.lane_group import LaneGroup
from ltq.brokers.redis._scripts.calls import ClaimCall
from ltq.brokers.redis._server.call import Argument, Reply
from ltq.brokers.redis._server.refusals import read, unanswered
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

    def is_popping(self, group: LaneGroup) -> bool:
        """Whether a pop of an earlier wait goes on."""
        pop = self._pops.get(group.namespace)
        return pop is not None and not pop.done()

    async def next_claim(self, group: LaneGroup, ahead: ClaimCall, timeout: float | None) -> None:
        """`next`, with a claim behind the pop, which puts its reply into `came` of the group."""
        pop = self._pop(group, ahead, math.inf if timeout is None else timeout)
        self._pops[group.namespace] = self._spawn(pop, "pop")
        await self.next([group], None)

    def break_off(self, group: LaneGroup) -> None:
        """End the pop of a group, and close its connection."""
        if self.is_popping(group):
            self._pops[group.namespace].cancel()

    async def next(self, groups: Iterable[LaneGroup], timeout: float | None) -> None:
        """Wait for the next wake-up, at most `timeout` seconds. Raises `BrokerError`.

        The first connection that is lost only ends the wait: it may have been idle for too long,
        and the claim that follows finds out whether the server can be reached.
        """
        groups = list(groups)
        for group in groups:
            if not self.is_popping(group):
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

    async def _pop(
        self, group: LaneGroup, ahead: ClaimCall | None = None, most: float = math.inf
    ) -> None:
        try:
            await asyncio.sleep(0)  # let tasks that were just claimed run first
            link = group.link
            seconds = BLOCK if link.whereabouts is None else min(BLOCK, _BLOCK_ELSEWHERE)
            popped = await self._popped(group, min(seconds, most), ahead)
            self._has_lost = False
            if popped is not None:
                self._take(group, popped[0].decode().partition("wake:")[2])
        except BrokerError as error:
            if self._has_lost or error.is_refusal:
                self._error = error
            self._has_lost = True
        finally:
            self.end_wait()

    async def _popped(self, group: LaneGroup, seconds: float, ahead: ClaimCall | None) -> Reply:
        command: tuple[Argument, ...] = ("BZPOPMIN", *group.wake_keys, seconds)
        patience = seconds + _BLOCK_SLACK
        if ahead is None:
            return await group.link.block(*command, patience=patience)
        popped, claimed = await group.link.block(*command, patience=patience, behind=ahead)
        if not isinstance(claimed, Exception):  # else the next claim repeats it
            group.came = read(ahead, claimed, group.link.name)
        if isinstance(popped, RedisError):
            raise unanswered(popped, group.link.name) from popped
        return popped

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
