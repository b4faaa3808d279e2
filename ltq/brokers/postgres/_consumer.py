"""Claiming tasks from PostgreSQL."""

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine
from math import inf
from operator import itemgetter
from typing import Any, Self, TypeVar

from msgspec.structs import replace

from ltq.broker import Claim, ClaimBudget, ConsumerConfig
from ltq.broker.consumer_config import SAY_AGAIN
from ltq.brokers.postgres._claim_size import ClaimSize
from ltq.brokers.postgres._operations.sweep import take_back, upkeep
from ltq.brokers.postgres._server.ears import Ears
from ltq.brokers.postgres._server.link import Link
from ltq.errors import BrokerError
from ltq.message import Delivery, Lease
from ltq.names import namespace_of, queue_of

logger = logging.getLogger("ltq.broker")

T = TypeVar("T")

_TOKEN = itemgetter(2)
"""Of a row of a claim."""

_SECOND_LOOK = 0.05
"""Seconds after it is said that somebody waits, when all have noticed who were about to send."""

_SELDOM = 10.0
"""Seconds between looks while messages arrive."""

_FASTEST_POLL, _SLOWEST_POLL = 0.01, 1.0
"""Seconds between looks while none arrive."""

_SLOWDOWN = 1.5

_UPKEEP_EVERY = 5.0
"""Seconds between calls of upkeep."""


class PostgresConsumer:
    """Claims tasks of some lanes, under one name, in one event loop."""

    def __init__(self, link: Link, ears: Ears, config: ConsumerConfig) -> None:
        self.name: str = config.name
        self._link = link
        self._ears = ears
        self._config = config
        self._loop = asyncio.get_running_loop()
        self._turns = deque(config.turns())
        self._limits = _limits(config)
        self._knows = None if config.knows is None else sorted(config.knows)
        self._size = ClaimSize()
        self._waits: set[asyncio.Future[bool]] = set()
        self._nudge: asyncio.Future[None] = self._loop.create_future()
        """Done when all waits should look again."""
        self._has_heard = False
        """Whether there may be tasks since the last claim began."""
        self._due_at: float | None = None
        """When the last claim said to come again; None if another look is needed."""
        self._last: tuple[float, list[str]] = (0.0, [])
        """When a claim gave something last, by the clock of the server, and what."""
        self._lost_since: float | None = None
        """Where the answer of a claim was lost, so that nobody has its tasks: since when they may
        have been claimed."""
        self._known: list[str] = []
        """The tasks that were delivered since then."""
        self._is_closed = False
        self._say_again_at = self._upkeep_at = -inf
        self._topics = [f"lane {queue}" for queue in dict.fromkeys(map(queue_of, config.lanes))]
        limited = [lane for lane, limit in config.limits.items() if limit.running is not None]
        self._topics += [f"freed {one}" for one in dict.fromkeys(map(namespace_of, limited))]
        self._is_listening = config.revoked is not None
        self._is_settled = False
        """Whether it has claimed before."""
        if self._is_listening:
            ears.listen(self._hear, self._changed)

    async def claim(self, limit: int, running: int = 0, *, ignore_isolation: bool = False) -> Claim:
        """See `Consumer.claim`."""
        turn, limit = self._turns[0], self._size.of(limit)
        self._turns.rotate(-1)
        self._has_heard, self._due_at = False, None
        await self._say_again(turn)
        if self._is_listening and not self._is_settled:
            self._is_settled = True
            await self._ears.settle()  # else a cancel that comes at once would not be heard of
        try:
            rows = await self._take(turn, limit)
        except BrokerError:
            self._size.failed(limit)
            raise
        deliveries = _deliveries(rows)
        self._size.arrived(deliveries)
        info = rows[-1][-1]
        try:
            await self._note(deliveries)
            if info["special"]:
                budget = ClaimBudget(limit, running, ignore_isolation)
                for _ in deliveries:
                    budget.join(None)
                return await self._claim_by_rules(turn, budget, deliveries)
        except BaseException:
            self._link.undo(self._unclaim([delivery.lease for delivery in deliveries]))
            raise
        if len(deliveries) < limit and not info["ready"]:
            self._due_at = self._loop.time() + (inf if info["due"] is None else info["due"])
        return Claim(deliveries, info["due"], info["start"])

    async def _take(self, turn: ConsumerConfig, limit: int) -> list[tuple[Any, ...]]:
        """A claim, after all tasks of dead workers were taken back."""
        rows = await self._call(turn, limit)
        while rows[-1][-1].get("lost"):
            if self._config.before_sweep is not None:
                await self._config.before_sweep("")
            for namespace in turn.namespaces:
                await take_back(self._link, namespace)
            rows = await self._call(turn, limit)
        return rows

    async def _say_again(self, turn: ConsumerConfig) -> None:
        """Tell that this lives, from time to time."""
        now = self._loop.time()
        if now >= self._say_again_at:
            lease = self._config.lease
            await self._link.call("serve", turn.announced, lease)
            self._say_again_at = now + lease * SAY_AGAIN
        if now >= self._upkeep_at:
            self._upkeep_at = now + _UPKEEP_EVERY
            self._link.soon(upkeep(self._link))

    async def _call(self, turn: ConsumerConfig, limit: int) -> list[tuple[Any, ...]]:
        return await self._link.call(
            "claim",
            [*turn.namespaces],
            [*turn.lanes],
            self._knows,
            self.name,
            self._config.lease,
            limit,
            *self._limits,
            self._link.is_held,
            self._link.settings.keeps_history,
            on_lost=self._lose_claim,
            undo=self._give_back_rows,
        )

    def _lose_claim(self) -> None:
        if self._lost_since is None:
            self._lost_since, self._known = self._last[0], [*self._last[1]]

    async def _note(self, deliveries: list[Delivery]) -> None:
        """Note what is delivered, and let tasks wait again that a lost claim has leased."""
        ids = [delivery.lease.id for delivery in deliveries]
        if ids:
            self._last = deliveries[-1].dequeue_time, ids  # one claim takes all at one moment
        since = self._lost_since
        if since is None:
            return
        self._known += ids
        namespaces, known = self._config.namespaces, self._known
        try:
            # No other claim is under way now: what is not known is that of a lost one.
            await self._link.run(lambda store: store.take_lost(namespaces, self.name, since, known))
        except BrokerError as error:  # the next claim tries again
            logger.debug("tasks of a lost claim are not found yet: %s", error)
        else:
            self._lost_since, self._known = None, []

    async def _claim_by_rules(
        self, turn: ConsumerConfig, budget: ClaimBudget, before: list[Delivery]
    ) -> Claim:
        claim = await self._link.run(lambda store: store.claim(turn, budget), self._give_back)
        await self._note([*claim.deliveries])
        return replace(claim, deliveries=[*before, *claim.deliveries])

    async def _give_back_rows(self, rows: list[tuple[Any, ...]]) -> None:
        await self._unclaim([delivery.lease for delivery in _deliveries(rows)])

    async def _give_back(self, claim: Claim) -> None:
        await self._unclaim([delivery.lease for delivery in claim.deliveries])

    async def _unclaim(self, leases: list[Lease]) -> None:
        """Put tasks back that nobody gets: their claim was cancelled."""
        if leases:
            await self._link.run(lambda store: store.unclaim(leases))

    # Waiting

    async def wait(self, timeout: float | None, room: int = 0, running: int = 0) -> bool:
        """See `Consumer.wait`."""
        deadline = inf if timeout is None else self._loop.time() + timeout
        over: asyncio.Future[bool] = self._loop.create_future()
        self._waits.add(over)
        if not self._is_listening:
            self._is_listening = True
            self._ears.listen(self._hear, self._changed)
        try:
            return await self._wait(over, deadline)
        finally:
            self._waits.discard(over)
            self._ears.leave(self._topics)

    async def _wait(self, over: "asyncio.Future[bool]", deadline: float) -> bool:
        is_new = await self._until(over, self._ears.attend(self._topics), deadline)
        poll = _FASTEST_POLL
        if self._has_heard and not over.done():
            return not self._is_closed
        is_known = self._due_at is not None and not is_new and self._ears.is_hearing
        look: dict[str, Any] | None
        while not self._is_closed and not over.done() and self._loop.time() < deadline:
            if is_known and self._due_at is not None:
                look = {"ready": False, "due": max(0.0, self._due_at - self._loop.time())}
            else:
                look = await self._until(over, self._look(), deadline)
            if over.done() or look is None:
                break
            is_known = False
            if look["ready"]:
                return True
            due = inf if look["due"] is None else look["due"]
            pause = (_SECOND_LOOK if is_new else _SELDOM) if self._ears.is_hearing else poll
            is_new, poll = False, min(poll * _SLOWDOWN, _SLOWEST_POLL)
            left = deadline - self._loop.time()
            nudge = self._nudge
            both: list[asyncio.Future[Any]] = [over, nudge]
            await asyncio.wait(
                both,
                timeout=max(0.0, min(due, pause, left)),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if nudge.done():
                continue
            if due <= min(pause, left) and not over.done():
                return not self._is_closed
        return over.result() if over.done() and not over.cancelled() else False

    async def _look(self) -> dict[str, Any]:
        config = self._config
        ((info,),) = await self._link.call(
            "next_claim", [*config.namespaces], [*config.lanes], self._knows, *self._limits
        )
        found: dict[str, Any] = info
        return found

    async def _until(
        self, over: "asyncio.Future[bool]", work: Coroutine[Any, Any, T], deadline: float
    ) -> T | None:
        """What a call gives; None if the wait is over before."""
        call = self._link.started(work)
        left = deadline - self._loop.time()
        try:
            both: list[asyncio.Future[Any]] = [call, over]
            await asyncio.wait(
                both,
                timeout=None if left == inf else max(0.0, left),
                return_when=asyncio.FIRST_COMPLETED,
            )
            return call.result() if call.done() else None
        finally:
            if not call.done():
                call.cancel()

    def _hear(self, kind: str, of: str, names: list[str]) -> None:
        if kind == "revoked" and of == self.name and self._config.revoked is not None:
            for task_id in names:
                self._config.revoked(task_id)
        is_lane = kind == "lane" and (names == ["*"] or any(map(self._config.serves, names)))
        if is_lane or (kind == "freed" and of in self._config.namespaces):
            self._has_heard = True
            self._end(is_over=True)

    def _changed(self) -> None:
        nudge, self._nudge = self._nudge, self._loop.create_future()
        nudge.set_result(None)  # something may have been missed
        self._due_at = None

    def _end(self, *, is_over: bool) -> None:
        for over in tuple(self._waits):
            if not over.done():
                over.set_result(is_over)

    async def freed(self, lane: str) -> None:
        """The store notices by itself when a task ends."""

    async def aclose(self) -> None:
        """See `Consumer.aclose`."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._is_listening:
            self._is_listening = False
            self._ears.unlisten(self._hear, self._changed)
        self._end(is_over=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()


def _limits(config: ConsumerConfig) -> list[list[Any]]:
    """The values of `sql/claim.sql` about limits."""
    lanes = [lane for lane, limit in config.limits.items() if limit.rate or limit.running]
    limits = [config.limits[lane] for lane in lanes]
    rates = [limit.rate for limit in limits]
    return [
        lanes,
        [None if rate is None else float(rate.interval) for rate in rates],
        [None if rate is None else float(rate.burst) for rate in rates],
        [limit.running for limit in limits],
    ]


def _deliveries(rows: list[tuple[Any, ...]]) -> list[Delivery]:
    """What `sql/claim.sql` gives, in the order of the tokens."""
    return [_delivery(row) for row in sorted(rows[:-1], key=_TOKEN)]


def _delivery(row: tuple[Any, ...]) -> Delivery:
    (
        task_id,
        queue,
        token,
        task_name,
        serializer,
        body,
        ctx,
        tries,
        deaths,
        dequeue_count,
        enqueue_time,
        dequeue_time,
        timeout,
        max_tries,
        result_ttl,
        max_deliveries,
        max_items,
        tags,
        _,
    ) = row
    return Delivery(
        Lease(task_id, queue, token),
        task_name,
        body,
        ctx,
        tries,
        dequeue_count,
        deaths,
        enqueue_time,
        dequeue_time,
        timeout,
        max_tries,
        result_ttl,
        None,
        max_deliveries,
        serializer,
        tuple(tags.split()) if tags else (),
        max_items,
    )
