"""Claiming from Redis: one script a claim, a blocking pop of markers as the wake-up."""

import asyncio
import logging
import math
import os
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Self

from ltq._names import consumer_name, namespace_of
from ltq.broker import Claim
from ltq.broker.isolation import ClaimBudget
from ltq.brokers.redis import _keys
from ltq.brokers.redis._link import Argument, Link
from ltq.brokers.redis._wire import delivery
from ltq.errors import BrokerError
from ltq.message import Delivery
from ltq.options import DEFAULT_MAX_DELIVERIES, Limit

logger = logging.getLogger("ltq.broker")

BLOCK = 8.4
"""Seconds of one blocking pop: how late a wake-up may come that a paused consumer swallowed."""

BATCH = 250
"""Most tasks of one script: a long one would make everybody else wait."""

_SLACK = 1.5
"""Seconds a blocking pop may come back late before its connection counts as broken."""

_LISTENING = 1.0
"""Seconds the first claim waits for the channel of cancellations; heartbeats tell of them too."""

_SPREAD = 1.0
"""Seconds over which consumers spread taking back a dead one's tasks: not all at one moment."""

_AFTER_OUTAGE = 2.0
"""Seconds after an outage that its other survivors get to renew their leases."""

_AT_ONCE = b"0"
"""What `claim` answers where it must be called again: something is due, or it was a repetition."""

Sweep = Callable[[str, float], Any]


class _Group:
    """The served lanes of one namespace, and the state of claiming from it."""

    def __init__(self, namespace: str, lanes: list[str], limits: Mapping[str, Limit]) -> None:
        self.namespace = namespace
        self.prefix = _keys.prefix(namespace)
        self.lanes = _keys.line_list(lanes)
        self.wake_keys = [_keys.wake(namespace, lane) for lane in lanes]
        self.limits: list[Argument] = []
        for lane in lanes:
            if lane in limits:
                self.limits += _limit_arguments(lane, limits[lane])
        self.woken: set[str] = set()
        self.start_in: float | None = None
        self.isolation: int | None = None
        self.claim_id = _claim_id()
        self.again = ""
        """`"1"` if a call with this claim id may have been carried out, but for its reply."""
        self.blocked: asyncio.Task[None] | None = None


class RedisConsumer:
    """Claims tasks of some lanes, under one name, in one event loop."""

    def __init__(
        self,
        link: Link,
        lanes: Iterable[str],
        *,
        name: str | None,
        lease: float,
        limits: Mapping[str, Limit],
        sweep: Sweep,
        before_sweep: Callable[[], Awaitable[None]] | None,
        on_close: Callable[[], None],
    ) -> None:
        self.name: str = name or consumer_name()
        self._link = link
        self._lease = lease
        self._grace = random.uniform(0, min(_SPREAD, lease / 10))
        self._sweep = sweep
        self._before_sweep = before_sweep
        self._on_close = on_close
        self._claiming = asyncio.Lock()  # a claim id stands for one call at a time
        self._waiter: asyncio.Future[None] | None = None
        self._error: BrokerError | None = None
        self.listening: Sequence[asyncio.Future[None]] = ()
        """Subscriptions that shall stand before the first claim."""
        self._passing: set[asyncio.Task[Any]] = set()
        by_namespace: dict[str, list[str]] = {}
        for lane in dict.fromkeys(lanes):
            by_namespace.setdefault(namespace_of(lane), []).append(lane)
        self._groups = [_Group(name, own, limits) for name, own in by_namespace.items()]

    async def claim(self, limit: int, running: int = 0, *, ignore_isolation: bool = False) -> Claim:
        """See `Consumer.claim`."""
        budget = ClaimBudget(limit, running, ignore_isolation)
        deliveries: list[Delivery] = []
        moments: list[float] = []
        async with self._claiming:
            if self.listening:
                await asyncio.wait(self.listening, timeout=_LISTENING)
                self.listening = ()
            for group in self._groups:
                due_in = await self._claim_from(group, budget, deliveries)
                if due_in is not None:
                    moments.append(due_in)
            self._groups = self._groups[1:] + self._groups[:1]  # none always goes first
        return Claim(
            deliveries,
            min(moments, default=None),
            min((g.start_in for g in self._groups if g.start_in is not None), default=None),
            min((g.isolation for g in self._groups if g.isolation is not None), default=None),
        )

    async def _claim_from(
        self, group: _Group, budget: ClaimBudget, deliveries: list[Delivery]
    ) -> float | None:
        """Add to `deliveries`; an error after the first of them does not take them away."""
        try:
            due_in = await self._claim(group, budget, deliveries)
            if due_in == 0:
                if self._before_sweep is not None:
                    await self._before_sweep()
                await self._sweep(group.namespace, self._grace if self._hold() == 0 else math.inf)
                due_in = await self._claim(group, budget, deliveries, swept="1")
        except BrokerError:
            if not deliveries:
                raise
            return 0.0
        return due_in

    def _hold(self) -> float:
        """Seconds in which no lease is taken back: others held theirs through the outage too."""
        since = asyncio.get_running_loop().time() - self._link.back_since
        return max(0.0, _AFTER_OUTAGE - since)

    async def _claim(
        self,
        group: _Group,
        budget: ClaimBudget,
        deliveries: list[Delivery],
        *,
        swept: str = "",
    ) -> float | None:
        group.isolation = None
        while True:
            wanted = min(max(0, budget.room), BATCH)
            woken = frozenset(group.woken)
            again, group.again = group.again, "1"
            due_in, lost, tasks, now, start_in, isolation = await self._link.run(
                "claim",
                group.prefix,
                again,
                group.claim_id,
                self.name,
                self._lease,
                wanted,
                budget.running,
                "1" if budget.ignores_isolation else "",
                self._grace,
                self._hold(),
                group.lanes,
                _keys.line_list(woken),
                swept,
                DEFAULT_MAX_DELIVERIES,
                *group.limits,
                if_repeated="1",
            )
            # Both are kept when the call fails: its reply may only be lost.
            group.claim_id, group.again = _claim_id(), ""
            if due_in != _AT_ONCE:  # which gave no tasks but told to come again
                group.woken -= woken
            given = [delivery(task, float(now)) for task in tasks]
            deliveries += given
            for one in given:
                budget.join(one.isolation)
            if lost:
                logger.warning("%d tasks of %s were lost: see the dead letters", lost, group.prefix)
            group.start_in = float(start_in) if start_in else None
            if isolation:
                group.isolation = min(int(isolation), group.isolation or int(isolation))
            if len(tasks) < BATCH:
                return max(0.0, float(due_in)) if due_in else None

    async def wait(self, timeout: float | None) -> bool:
        """See `Consumer.wait`."""
        for group in self._groups:
            if group.blocked is None:
                group.blocked = asyncio.create_task(self._block(group))
        if any(group.woken for group in self._groups):
            return True
        self._error = None  # of a wait before; calls have been made since
        self._waiter = asyncio.get_running_loop().create_future()
        timer = None
        if timeout is not None:
            timer = self._waiter.get_loop().call_later(max(timeout, 0), _settle, self._waiter)
        try:
            await self._waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()
        error, self._error = self._error, None
        if error is not None:
            raise error
        return any(group.woken for group in self._groups)

    async def _block(self, group: _Group) -> None:
        """One blocking pop. It outlives a `wait` that timed out, so that no marker is lost."""
        try:
            await asyncio.sleep(0)  # what was just claimed may be over at once: it goes out first
            popped = await self._link.block(
                "BZPOPMIN", *group.wake_keys, BLOCK, patience=BLOCK + _SLACK
            )
            if popped is not None:
                self._woken(group, popped[0].decode().partition("wake:")[2])
        except BrokerError as error:
            self._error = error
        finally:
            group.blocked = None
            if self._waiter is not None:
                _settle(self._waiter)

    def _woken(self, group: _Group, lane: str) -> None:
        if self._waiter is not None:
            group.woken.add(lane)
            return
        # Nobody waits here any more: the wake-up is for another consumer.
        passing = self._link.call("ZADD", _keys.wake(group.namespace, lane), 0, "1")
        task = asyncio.create_task(_ignore_broker_error(passing))
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)

    async def freed(self, lane: str) -> None:
        """See `Consumer.freed`."""
        await self._link.call("ZADD", _keys.wake(namespace_of(lane), lane), 0, "1")

    async def aclose(self) -> None:
        """See `Consumer.aclose`."""
        self._on_close()
        tasks = [group.blocked for group in self._groups if group.blocked is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *self._passing, return_exceptions=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()


async def _ignore_broker_error(call: Any) -> None:
    try:
        await call
    except BrokerError:
        logger.debug("a wake-up could not be passed on; the other consumers look by themselves")


def _limit_arguments(lane: str, limit: Limit) -> list[Argument]:
    rate, most = limit.rate, "" if limit.running is None else limit.running
    return [lane, *(("", "") if rate is None else (repr(rate.interval), rate.burst)), most]


def _settle(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _claim_id() -> str:
    return os.urandom(8).hex()
