"""Enqueueing: what the broker's answers mean to who sends, and waiting for room."""

import asyncio
from collections.abc import Callable, Sequence

from ltq._aio.backoff import ExponentialBackoff
from ltq.broker import Broker
from ltq.errors import ConfigurationError, QueueFullError
from ltq.message import Envelope, Published

_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.5

_AT_ONCE = 100
"""Most envelopes tried again together: there is hardly room for all that wait."""

_IS_THERE = frozenset((Published.CREATED, Published.EXISTS))

Answered = Callable[[Sequence[Envelope], Sequence[Published]], None]


async def enqueue(
    broker: Broker,
    envelopes: Sequence[Envelope],
    *,
    full_timeout: float = 0.0,
    answered: Answered | None = None,
) -> list[str]:
    """Publish envelopes; the ids of the tasks that stand for them now, in their order.

    Where a queue is full, tries again for `full_timeout` seconds; then raises `QueueFullError`,
    the others being sent. Raises `ConfigurationError` for an id that another task has. `answered`
    is called with what was published and the broker's answers.
    """
    ids = [envelope.id for envelope in envelopes]
    answers = await broker.publish(envelopes)
    if answered is not None:
        answered(envelopes, answers)
    if _IS_THERE.issuperset(answers):
        return ids
    left = await _refused(broker, envelopes, range(len(ids)), answers, ids)
    deadline = asyncio.get_running_loop().time() + full_timeout
    pauses = ExponentialBackoff(_FIRST_PAUSE, _LONGEST_PAUSE)
    while left:
        rest = deadline - asyncio.get_running_loop().time()
        if rest <= 0 and Published.FULL in answers:
            raise await _full(broker, envelopes[left[0]])
        await asyncio.sleep(min(max(rest, 0), pauses.next()))
        some, others = left[:_AT_ONCE], left[_AT_ONCE:]
        again = [envelopes[i] for i in some]
        answers = await broker.publish(again)
        if answered is not None:
            answered(again, answers)
        refused = await _refused(broker, envelopes, some, answers, ids)
        if refused != some:
            pauses.reset()
        left = refused + others
    return ids


async def _refused(
    broker: Broker,
    envelopes: Sequence[Envelope],
    positions: Sequence[int],
    answers: Sequence[Published],
    ids: list[str],
) -> list[int]:
    """Of what was published, that which is to be tried again; others may get another id."""
    left: list[int] = []
    for i, answer in zip(positions, answers, strict=True):
        envelope = envelopes[i]
        if answer is Published.FULL:
            left.append(i)
        elif answer is Published.ID_CONFLICT:
            raise ConfigurationError(
                f"id {envelope.id!r} is another task's, not {envelope.task_name}'s: "
                "ids are unique within a worker"
            )
        elif answer is Published.DUPLICATE:
            first = await broker.first(envelope.queue, envelope.fingerprint)
            if first is None:  # its time has just ended
                left.append(i)
            else:
                ids[i] = first
    return left


async def _full(broker: Broker, envelope: Envelope) -> QueueFullError:
    (stats,) = await broker.stats([envelope.queue])
    return QueueFullError(envelope.queue, stats.pending + stats.delayed, envelope.max_pending or 0)
