"""Publishing envelopes: what the broker's answers mean to the sender, and waiting for room."""

import asyncio
from collections.abc import Sequence
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
"""Most envelopes tried again in one call: there is rarely room for more."""

_ENQUEUED = frozenset((Published.CREATED, Published.EXISTS))


class CountingPublisher(Publisher, Protocol):
    """What sending needs of a broker: it takes tasks, and knows how many wait."""

    async def stats(self, queues: Sequence[str]) -> list[QueueStats]:
        """Exact counts of each queue."""
        ...


async def publish(
    broker: CountingPublisher,
    envelopes: Sequence[Envelope],
    events: EventStream,
    *,
    full_timeout: float = 0.0,
) -> list[str]:
    """Publish envelopes; returns the ids of the tasks that now stand for them, in order.

    Where a queue is full, tries again for `full_timeout` seconds. Raises `QueueFullError` after
    that (the other envelopes are sent), `ConfigurationError` for an id that belongs to another
    task, and `BrokerError`.
    """
    ids = [envelope.id for envelope in envelopes]
    answers = await broker.publish(envelopes)
    if events.is_heard:
        events.enqueued(envelopes, answers)
    if _ENQUEUED.issuperset(answers):
        return ids
    left = await _refused(broker, envelopes, range(len(ids)), answers, ids)
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
        if events.is_heard:
            events.enqueued(again, answers)
        refused = await _refused(broker, envelopes, positions, answers, ids)
        if refused != positions:
            pauses.reset()
        left = refused + others
    return ids


async def _refused(
    broker: Publisher,
    envelopes: Sequence[Envelope],
    positions: Sequence[int],
    answers: Sequence[Published],
    ids: list[str],
) -> list[int]:
    """The positions of the envelopes to try again.

    A duplicate needs no second attempt: its place in `ids` gets the id of the first task.
    """
    left: list[int] = []
    for i, answer in zip(positions, answers, strict=True):
        envelope = envelopes[i]
        if answer is Published.FULL:
            left.append(i)
        elif answer is Published.ID_CONFLICT:
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
