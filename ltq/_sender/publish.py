"""Publishing envelopes: waiting for room, and what the broker's answers mean to the sender."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol

from ltq._aio.backoff import ExponentialBackoff
from ltq._aio.loops import loop_here
from ltq._sender.sent import Sent
from ltq.broker import Publisher
from ltq.errors import ConfigurationError, QueueFullError
from ltq.events import EventStream
from ltq.message import Envelope, Published
from ltq.state import QueueStats

_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.5
"""Seconds between two attempts to send to a full queue."""

_RETRY_BATCH = 100
"""Most envelopes that one further attempt sends: there is rarely room for more."""

_ENQUEUED = frozenset((Published.CREATED, Published.EXISTS))

IsSame = Callable[[Envelope], Awaitable[bool]]


class CountingPublisher(Publisher, Protocol):
    """What sending needs of a broker: to take tasks, and to count those that wait."""

    async def stats(self, queues: Sequence[str]) -> list[QueueStats]:
        """Exact counts of the tasks in each queue."""
        ...


def publish(
    broker: CountingPublisher,
    envelopes: Sequence[Envelope],
    events: EventStream,
    *,
    sent: Sent | None = None,
    is_same: IsSame | None = None,
    may_wait: bool = True,
) -> Coroutine[Any, Any, list[str]]:
    """Publish envelopes; return the ids of their tasks, in order.

    The id of a duplicate is that of the task that was sent first. Envelopes for a full queue are
    tried again until their own `full_timeout` is over, if they `may_wait`. What becomes of one does
    not change what becomes of the others: when all have been sent or given up, the error of the
    first one that was given up is raised. That is `QueueFullError`, or `ConfigurationError` for an
    id that belongs to another task. Raises `BrokerError` at once. `is_same` says whether the task
    that has the id of an envelope is the same one under another name. `sent` and the listeners of
    `events` are told what was enqueued.
    """
    work = _publish(broker, envelopes, events, sent, is_same, may_wait=may_wait)
    return work if sent is None else _watched(work, sent)


def id_conflict(envelope: Envelope) -> ConfigurationError:
    """The error for an envelope whose id belongs to another task."""
    return ConfigurationError(
        f"id {envelope.id!r} belongs to another task, not to {envelope.task_name}: "
        "ids are unique within a worker"
    )


async def _watched(work: Coroutine[Any, Any, list[str]], sent: Sent) -> list[str]:
    """Publish, and tell those who wait in the end what became of the rest."""
    try:
        ids = await work
    except BaseException as error:
        sent.fail(error)
        raise
    sent.end(False)
    return ids


async def _publish(
    broker: CountingPublisher,
    envelopes: Sequence[Envelope],
    events: EventStream,
    sent: Sent | None,
    is_same: IsSame | None,
    *,
    may_wait: bool,
) -> list[str]:
    answers = await broker.publish(envelopes)
    _report(events, sent, envelopes, answers)
    if _ENQUEUED.issuperset(answers):
        return [envelope.id for envelope in envelopes]
    sending = _Sending(broker, envelopes, is_same, may_wait=may_wait)
    await sending.heed(range(len(envelopes)), answers)
    pauses = ExponentialBackoff(_FIRST_PAUSE, _LONGEST_PAUSE)
    while sending.give_up_late():
        await asyncio.sleep(min(sending.patience(), pauses.next()))
        positions = sending.waiting[:_RETRY_BATCH]
        again = [envelopes[i] for i in positions]
        answers = await broker.publish(again)
        _report(events, sent, again, answers)
        if await sending.heed(positions, answers):
            pauses.reset()
    if sending.given_up:
        raise await sending.error()
    return sending.ids


class _Sending:
    """What has become of the envelopes of one call, by position."""

    def __init__(
        self,
        broker: CountingPublisher,
        envelopes: Sequence[Envelope],
        is_same: IsSame | None,
        *,
        may_wait: bool,
    ) -> None:
        self.ids = [envelope.id for envelope in envelopes]
        self.waiting: list[int] = []
        """Those to try again, in order."""
        self.given_up: dict[int, Published] = {}
        """Those that are not sent, with the last answer of the broker."""
        self._broker = broker
        self._envelopes = envelopes
        self._is_same = is_same
        self._may_wait = may_wait
        loop = loop_here()  # in a transaction of the caller's none need run
        self._clock = time.monotonic if loop is None else loop.time
        self._began = self._clock()
        self._full: set[int] = set()
        """Those that wait for room."""
        self._is_full = False
        """Whether the broker had no room at the last attempt."""
        self._first_late = math.inf
        """When the first of those that wait for room has waited long enough."""

    async def heed(self, positions: Sequence[int], answers: Sequence[Published]) -> bool:
        """Note the answers of an attempt; return whether any envelope need not be tried again."""
        left: list[int] = []
        self._is_full = Published.FULL in answers
        self._full.difference_update(positions)
        for i, answer in zip(positions, answers, strict=True):
            if answer is Published.FULL:
                left.append(i)
                self._full.add(i)
                self._first_late = min(self._first_late, self._late(i))
            elif answer is Published.ID_CONFLICT:
                await self._conflict(i)
            elif answer is Published.DUPLICATE and not await self._found_first(i):
                left.append(i)
        self.waiting = left + self.waiting[len(positions) :]
        return len(left) < len(positions)

    def give_up_late(self) -> bool:
        """Give up the envelopes that have waited long enough; return whether others wait."""
        now = self._clock()
        if self._is_full and self._first_late <= now:
            late = {i for i in self._full if self._late(i) <= now}
            self.given_up.update(dict.fromkeys(late, Published.FULL))
            self._full -= late
            self.waiting = [i for i in self.waiting if i not in late]
            self._first_late = min(map(self._late, self._full), default=math.inf)
        return bool(self.waiting)

    def patience(self) -> float:
        """Seconds until the first envelope has waited long enough."""
        return max(0.0, self._first_late - self._clock()) if self._full else 0.0

    async def error(self) -> Exception:
        """The error of the first envelope that was given up."""
        i = min(self.given_up)
        envelope = self._envelopes[i]
        if self.given_up[i] is Published.FULL:
            (stats,) = await self._broker.stats([envelope.queue])
            depth = stats.pending + stats.delayed
            return QueueFullError(envelope.queue, depth, envelope.max_pending or 0)
        return id_conflict(envelope)

    def _late(self, i: int) -> float:
        """When an envelope has waited for room long enough."""
        envelope = self._envelopes[i]
        waits = self._may_wait and envelope.on_full == "wait"
        return self._began + (envelope.full_timeout if waits else 0.0)

    async def _conflict(self, i: int) -> None:
        """Give up an envelope whose id belongs to another task, unless that is the same one."""
        if self._is_same is None or not await self._is_same(self._envelopes[i]):
            self.given_up[i] = Published.ID_CONFLICT

    async def _found_first(self, i: int) -> bool:
        """Let a duplicate have the id of the first task; False if `unique_for` has ended since."""
        envelope = self._envelopes[i]
        first = await self._broker.first(envelope.queue, envelope.fingerprint)
        if first is not None:
            self.ids[i] = first
        return first is not None


def _report(
    events: EventStream,
    sent: Sent | None,
    envelopes: Sequence[Envelope],
    answers: Sequence[Published],
) -> None:
    """Tell middleware, and the listeners of the worker's events if there are any."""
    if sent is not None:
        sent.answered(envelopes, answers)
    if events.is_heard:
        events.enqueued(envelopes, answers)
