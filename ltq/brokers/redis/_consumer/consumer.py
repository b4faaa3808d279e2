"""Claiming tasks from Redis."""

import asyncio
import logging
import math
import random
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Self

from msgspec.structs import replace

from ltq._aio.closing import Closing
from ltq.broker import Claim, ConsumerConfig
from ltq.broker.consumer_config import SAY_AGAIN
from ltq.broker.isolation import ClaimBudget
from ltq.brokers.redis._consumer.away import Away
from ltq.brokers.redis._consumer.lane_group import LaneGroup
from ltq.brokers.redis._consumer.unclaimed import Unclaimed
from ltq.brokers.redis._consumer.wake_ups import BLOCK, WakeUps
from ltq.brokers.redis._operations.chunks import read_some
from ltq.brokers.redis._operations.registry import Registry
from ltq.brokers.redis._operations.spread import shard_of
from ltq.brokers.redis._operations.sweep import sweep
from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._scripts.script import flag
from ltq.brokers.redis._server.keys import line_list
from ltq.brokers.redis._server.links import Links
from ltq.errors import BrokerError
from ltq.message import Delivery
from ltq.names import namespace_of

logger = logging.getLogger("ltq.broker")

CLAIM_TASKS = 250
"""Most tasks of one script: a long script blocks all other clients."""

_LISTEN_PATIENCE = 1.0
"""Seconds the first claim waits for the channel of cancellations, which heartbeats also report."""

_GRACE_SPREAD = 1.0
"""Seconds over which consumers spread the sweeps of a dead worker's tasks."""

_OUTAGE_HOLD = 2.0
"""Seconds after an outage in which other workers may renew their leases."""

_BACK_PATIENCE = 1.0
"""Seconds for which the first claim from a node waits that was away: other nodes wait with it."""

_GIVEN_BACK_WITHIN, _WITHIN_AWAY = 1.0, 0.1
"""Seconds that a consumer which ends waits until its tasks and wake-ups are given back; and the
same if the last calls have failed, as the server is probably away."""

_MOST_AHEAD = 1
"""Most tasks of a claim that goes out behind a pop. If the consumer's host is gone, or frozen, the
server does not know: so many wait until their leases end, and count a death. None while tasks run:
one that blocks the event loop would keep what comes."""

_MOST_LANES_AHEAD = 16
"""Most lanes of a consumer whose claims go out behind a pop: the claim does not know which of them
it will be, and names them all."""

_SHORTEST_BLOCK = 0.005
"""Seconds for which a server has to block at least, as it takes 0 for endless."""

_KNOWN_FOR = 300.0
"""Seconds after which a consumer tells the server again which queues it serves."""


class RedisConsumer:
    """Claims tasks of some lanes, under one name, in one event loop."""

    def __init__(
        self,
        links: Links,
        registry: Registry,
        config: ConsumerConfig,
        *,
        on_close: Callable[[], None],
    ) -> None:
        self.name: str = config.name
        self.listening: Sequence[asyncio.Future[None]] = ()
        """Subscriptions that the first claim waits for."""
        self._links = links
        self._registry = registry
        self._config = config
        spread = min(_GRACE_SPREAD, config.lease / 10)
        self._grace = round(random.uniform(0, spread), 3)  # scripts read it: short is quick
        self._on_close = on_close
        self._claiming = asyncio.Lock()  # one call at a time has the claim id of a group
        self._wake_ups = WakeUps()
        self._patience = _patience(config.max_deliveries)
        self._unclaimed = Unclaimed(links, config.name)
        self._withdrawing: asyncio.Task[None] | None = None
        """Takes back a claim that was sent behind a pop."""
        self._away = Away(config.lease, self._wake_ups.end_wait)
        self._closing = Closing(self._close, "ltq-redis-consumer-close")
        self._groups = [
            LaneGroup(namespace, config, links.of(namespace)) for namespace in config.namespaces
        ]
        self._claiming_beside = asyncio.Lock()
        self._beside: LaneGroup | None = None
        """The same lanes once more, for a second claim at once; None before the first of these."""

    async def claim(self, limit: int, running: int = 0, *, ignore_isolation: bool = False) -> Claim:
        """See `Consumer.claim`."""
        budget = ClaimBudget(limit, running, ignore_isolation)
        beside = self._group_beside()
        if beside is not None:
            async with self._claiming_beside:
                return await self._claim([beside], budget)
        async with self._claiming:
            await self._settle_ahead()
            if self.listening:
                await asyncio.wait(self.listening, timeout=_LISTEN_PATIENCE)
                self.listening = ()
            claim = await self._claim(self._groups, budget)
            self._groups = self._groups[1:] + self._groups[:1]  # each goes first in turn
        return claim

    def _group_beside(self) -> LaneGroup | None:
        """The group for a claim beside another one; None if that has to wait for the other.

        It is for the next claim in any case if its last one has to be repeated.
        """
        is_one = len(self._groups) == 1 and not self.listening and self._withdrawing is None
        if not is_one or self._claiming_beside.locked():
            return None
        (group,) = self._groups
        if self._beside is None and self._claiming.locked():
            self._beside = LaneGroup(group.namespace, self._config, group.link, 2)
            self._beside.known_at, self._beside.told_at = group.known_at, group.told_at
        has_to = self._beside is not None and self._beside.again and group.came is None
        return self._beside if has_to or self._claiming.locked() else None

    async def _claim(self, groups: Sequence[LaneGroup], budget: ClaimBudget) -> Claim:
        deliveries: list[Delivery] = []
        moments: list[float] = []
        try:
            for group in self._present(groups):
                group.moved.clear()
                group.left_some, group.age = False, 0.0
                due_in = await self._claim_from(group, budget, deliveries)
                if due_in is not None:
                    moments.append(due_in)
        except BrokerError:
            raise
        except BaseException:  # it was cancelled: nobody gets what is there already
            self._unclaimed.give_back(deliveries)
            raise
        return Claim(
            deliveries,
            min(moments, default=None),
            min((g.start_in for g in groups if g.start_in is not None), default=None),
            min((g.isolation for g in groups if g.isolation is not None), default=None),
            tuple(lane for group in groups for lane in group.moved),
            max((group.age for group in groups), default=0.0),
        )

    async def _claim_from(
        self, group: LaneGroup, budget: ClaimBudget, deliveries: list[Delivery]
    ) -> float | None:
        """Add to `deliveries`; return the seconds until there may be more, None if unknown.

        After an error the deliveries that are there already are kept.
        """
        try:
            reply = await self._claim_all(group, budget, deliveries)
            if reply.is_more_due:
                await self._move_due(group)
                reply = await self._claim_all(group, budget, deliveries, has_swept=True)
        except BrokerError as error:
            if self._links.is_split and error.is_away and len(self._groups) > 1:
                self._away.note(group, error)
                return None
            if not deliveries:
                raise
            return 0.0
        return 0.0 if group.moved or group.left_some else reply.due_in

    def _present(self, groups: Sequence[LaneGroup]) -> list[LaneGroup]:
        """Those whose server is not known to be away. Raises `BrokerError` if that are none."""
        errors = self._away.errors
        present = [group for group in groups if group not in errors]
        if groups and not present:
            raise copy(errors[groups[0]])
        return present

    async def _move_due(self, group: LaneGroup) -> None:
        if self._config.before_sweep is not None:
            await self._config.before_sweep(shard_of(self._links, group.namespace))
        grace = self._grace if self._hold(group) == 0 else math.inf
        await sweep(group.link, group.namespace, grace)

    def _hold(self, group: LaneGroup) -> float:
        """Seconds for which no lease is taken back: after an outage others renew theirs first."""
        since = asyncio.get_running_loop().time() - group.link.outage.ended
        return max(0.0, _OUTAGE_HOLD - since)

    async def _claim_all(
        self,
        group: LaneGroup,
        budget: ClaimBudget,
        deliveries: list[Delivery],
        *,
        has_swept: bool = False,
    ) -> calls.ClaimReply:
        """Claim in scripts of bounded length until one gives less than it might; return its reply.

        All deliveries are added to `deliveries`.
        """
        group.isolation = None
        await self._make_known(group)
        while True:
            reply = await self._claim_some(group, budget, has_swept)
            deliveries += reply.deliveries
            for delivery in reply.deliveries:
                budget.join(delivery.isolation)
            if reply.lost:
                text = "%d tasks of %s were lost: see the dead letters"
                logger.warning(text, reply.lost, group.namespace)
            if len(reply.deliveries) < CLAIM_TASKS or not budget.room:
                return reply

    async def _make_known(self, group: LaneGroup) -> None:
        """Tell the server which queues are served: perhaps it was emptied meanwhile."""
        now = asyncio.get_running_loop().time()
        if group.known_at is None or now - group.known_at >= _KNOWN_FOR:
            await self._registry.serve(group.namespace, group.served, self._config.lease)
            group.known_at = group.told_at = now

    async def _claim_some(
        self, group: LaneGroup, budget: ClaimBudget, has_swept: bool
    ) -> calls.ClaimReply:
        if group.came is not None:
            return self._take_ahead(group, group.came, budget)
        woken, sent_at = frozenset(group.woken), asyncio.get_running_loop().time()
        says = self._says_served(group, sent_at)
        call = self._claim_call(group, budget, says, line_list(woken), has_swept)
        group.again = "1"  # as long as there is no answer: perhaps only the reply was lost
        patience = _BACK_PATIENCE if group.was_away else None
        reply = await read_some(group.link, call, patience)
        group.answered(reply, woken)
        if reply.answer is calls.ClaimAnswer.CLAIMED:
            group.offset = sent_at - reply.moment
            if says:
                group.told_at = sent_at
        return reply

    def _says_served(self, group: LaneGroup, now: float) -> bool:
        """Whether a claim at this time says again which lanes are served."""
        return now - group.told_at >= self._config.lease * SAY_AGAIN

    def _claim_call(
        self, group: LaneGroup, budget: ClaimBudget, says: bool, woken: str, has_swept: bool = False
    ) -> calls.ClaimCall:
        return calls.ClaimCall(
            prefix=group.prefix,
            again=group.again,
            claim_id=group.claim_id,
            consumer=self.name,
            lease=self._config.lease,
            limit=min(budget.room, CLAIM_TASKS),
            most_bytes=group.link.reply_limit.bytes,
            known=group.known,
            running=budget.running,
            ignore_isolation=flag(budget.ignores_isolation),
            grace=self._grace,
            hold=self._hold(group),
            lanes=group.lanes,
            knows=group.knows,
            served=line_list(group.served) if says else "",
            woken=woken,
            swept=flag(has_swept),
            patience=self._patience,
            history=flag(group.link.keeps_history),
            limits=group.limits,
        )

    async def wait(self, timeout: float | None, room: int = 0, running: int = 0) -> bool:
        """See `Consumer.wait`."""
        groups = self._present(self._groups)
        if not running and self._may_claim_ahead(groups, timeout, room):
            await self._wait_ahead(groups[0], timeout, ClaimBudget(min(room, _MOST_AHEAD), 0))
        elif not any(group.came for group in groups):
            await self._wake_ups.next(groups, timeout)
        return any(group.woken or group.came for group in self._groups)

    # A claim behind the pop: it is carried out as soon as that ends, which spares a round trip

    def _may_claim_ahead(
        self, groups: Sequence[LaneGroup], timeout: float | None, room: int
    ) -> bool:
        """Whether a claim can go out behind the pop: one that is as usual, and stays so."""
        if room < 1 or len(self._groups) != 1 or self.listening or self._withdrawing is not None:
            return False
        (group,) = groups
        is_known = group.known_at is not None and group.offset is not None
        if not is_known or group.again or group.woken or group.came or group.was_away:
            return False
        now = asyncio.get_running_loop().time()
        is_due = timeout is not None and timeout < _SHORTEST_BLOCK
        return not (
            is_due
            or now + BLOCK - (group.known_at or 0.0) >= _KNOWN_FOR
            or len(group.wake_keys) > _MOST_LANES_AHEAD
            or self._hold(group) > 0
            or group.link.is_failing
            or self._wake_ups.is_popping(group)
            or (self._beside is not None and self._beside.again)
        )

    async def _wait_ahead(
        self, group: LaneGroup, timeout: float | None, budget: ClaimBudget
    ) -> None:
        says = self._says_served(group, asyncio.get_running_loop().time() + BLOCK)
        call = self._claim_call(group, budget, says, group.wakes_for)
        group.again = "1"
        try:
            await self._wake_ups.next_claim(group, replace(call, again="late"), timeout)
        except BrokerError:
            raise  # the next claim repeats it, or has its reply
        except BaseException:
            self._withdraw_ahead(group)
            raise
        if says and group.came is not None:
            group.told_at = asyncio.get_running_loop().time()

    def _take_ahead(
        self, group: LaneGroup, reply: calls.ClaimReply, budget: ClaimBudget
    ) -> calls.ClaimReply:
        """The reply of a claim that came during a wait, as far as there is room."""
        group.came = None
        group.link.reply_limit.arrived()
        group.answered(reply, frozenset(group.woken))
        if group.offset is not None:
            group.age = asyncio.get_running_loop().time() - reply.moment - group.offset
        group.left_some = reply.is_cut
        surplus = reply.deliveries[budget.room :]
        self._unclaimed.give_back(surplus)
        return replace(reply, deliveries=reply.deliveries[: budget.room])

    def _withdraw_ahead(self, group: LaneGroup) -> None:
        """Nobody gets what a claim gives that was sent behind a pop: the wait was cancelled."""
        came, group.came = group.came, None
        if came is not None:
            group.answered(came, frozenset(group.woken))
            self._unclaimed.give_back(came.deliveries)
        else:
            self._wake_ups.break_off(group)
            self._withdrawing = self._unclaimed.withdraw(group)

    async def _settle_ahead(self) -> None:
        """Another claim has to wait until it is certain what became of the one before it."""
        if self._withdrawing is not None:
            await asyncio.wait([self._withdrawing])
            self._withdrawing = None

    async def freed(self, lane: str) -> None:
        """See `Consumer.freed`."""
        link = self._links.of(namespace_of(lane))
        key = link.keys.wake(namespace_of(lane), lane)
        await link.call("ZADD", key, 0, "1")

    async def aclose(self) -> None:
        """See `Consumer.aclose`. If this is cancelled the closing goes on; a call waits for it."""
        await self._closing()

    async def _close(self) -> None:
        self._on_close()
        beside = [] if self._beside is None else [self._beside]
        self._unclaimed.give_back_unread([*self._groups, *beside])
        self._wake_ups.give_back(self._groups)
        is_away = all(group.link.is_failing for group in self._groups)
        within = _WITHIN_AWAY if is_away else _GIVEN_BACK_WITHIN
        await asyncio.gather(
            self._away.aclose(), self._wake_ups.give_up(within), self._unclaimed.give_up(within)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()


def _patience(max_deliveries: Mapping[str, int] | None) -> str:
    """From how many deaths on the consumer itself rejects tasks, as the script reads it."""
    if max_deliveries is None:
        return ""
    return line_list(f"{name} {most}" for name, most in max_deliveries.items()) or "\n"
