"""Publishing envelopes: waiting for room, and what the broker's answers mean to the sender."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from ltq._aio.backoff import ExponentialBackoff
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


async def publish(
    broker: CountingPublisher,
    envelopes: Sequence[Envelope],
    events: EventStream,
    *,
    full_timeout: float = 0.0,
    is_same: IsSame | None = None,
) -> list[str]:
    """Publish envelopes; return the ids of their tasks, in order.

    The id of a duplicate is that of the task that was sent first. If a queue is full, it tries
    again for `full_timeout` seconds. Raises `QueueFullError` after that (the other envelopes are
    sent), `ConfigurationError` for an id that belongs to another task, and `BrokerError`. `is_same`
    says whether the task that has the id of an envelope is the same one under another name.
    """
    ids = [envelope.id for envelope in envelopes]
    answers = await broker.publish(envelopes)
    _report(events, envelopes, answers)
    if _ENQUEUED.issuperset(answers):
        return ids
    left = await _refused(broker, envelopes, range(len(ids)), answers, ids, is_same)
    deadline = asyncio.get_running_loop().time() + full_timeout
    pauses = ExponentialBackoff(_FIRST_PAUSE, _LONGEST_PAUSE)
    while left:
        rest = deadline - asyncio.get_running_loop().time()
        if rest <= 0 and Published.FULL in answers:
            raise await _full(broker, envelopes[left[0]])
        await asyncio.sleep(min(max(rest, 0), pauses.next()))
        positions, others = left[:_RETRY_BATCH], left[_RETRY_BATCH:]
        again = [envelopes[i] for i in positions]
        answers = await broker.publish(again)
        _report(events, again, answers)
        refused = await _refused(broker, envelopes, positions, answers, ids, is_same)
        if refused != positions:
            pauses.reset()
        left = refused + others
    return ids


def _report(
    events: EventStream, envelopes: Sequence[Envelope], answers: Sequence[Published]
) -> None:
    """Tell the listeners of the worker's events, if there are any."""
    if events.is_heard:
        events.enqueued(envelopes, answers)


async def _refused(
    broker: Publisher,
    envelopes: Sequence[Envelope],
    positions: Sequence[int],
    answers: Sequence[Published],
    ids: list[str],
    is_same: IsSame | None,
) -> list[int]:
    """The positions of the envelopes to try again.

    A duplicate is not tried again: the id of the first task is written to its place in `ids`.
    """
    left: list[int] = []
    for i, answer in zip(positions, answers, strict=True):
        envelope = envelopes[i]
        if answer is Published.FULL:
            left.append(i)
        elif answer is Published.ID_CONFLICT:
            if is_same is not None and await is_same(envelope):
                continue
            raise ConfigurationError(
                f"id {envelope.id!r} belongs to another task, not to {envelope.task_name}: "
                "ids are unique within a worker"
            )
        elif answer is Published.DUPLICATE:
            first = await broker.first(envelope.queue, envelope.fingerprint)
            if first is None:  # `unique_for` has ended since
                left.append(i)
            else:
                ids[i] = first
    return left


async def _full(broker: CountingPublisher, envelope: Envelope) -> QueueFullError:
    (stats,) = await broker.stats([envelope.queue])
    return QueueFullError(envelope.queue, stats.pending + stats.delayed, envelope.max_pending or 0)
