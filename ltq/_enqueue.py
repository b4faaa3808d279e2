"""Enqueueing: what the broker's answers mean to who sends, and waiting for room."""

import asyncio
import random
from collections.abc import Callable, Sequence

from ltq.broker import Broker
from ltq.errors import ConfigurationError, QueueFullError
from ltq.message import Envelope, Published

_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.5


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
    left = list(range(len(envelopes)))
    deadline = asyncio.get_running_loop().time() + full_timeout
    pause = _FIRST_PAUSE
    while left := await _publish(broker, envelopes, left, ids, answered):
        rest = deadline - asyncio.get_running_loop().time()
        if rest <= 0:
            raise await _full(broker, envelopes[left[0]])
        await asyncio.sleep(min(rest, pause * random.uniform(0.5, 1.0)))
        pause = min(2 * pause, _LONGEST_PAUSE)
    return ids


async def _publish(
    broker: Broker,
    envelopes: Sequence[Envelope],
    positions: list[int],
    ids: list[str],
    answered: Answered | None,
) -> list[int]:
    """Publish some of the envelopes; those for which there was no room."""
    left: list[int] = []
    published = [envelopes[i] for i in positions]
    answers = await broker.publish(published)
    if answered is not None:
        answered(published, answers)
    for i, answer in zip(positions, answers, strict=True):
        envelope = envelopes[i]
        if answer is Published.FULL:
            left.append(i)
        elif answer is Published.TAKEN:
            raise ConfigurationError(
                f"id {envelope.id!r} is another task's, not {envelope.task_name}'s: "
                "ids are unique within a worker"
            )
        elif answer is Published.SAME:
            ids[i] = await _first(broker, envelope)
    return left


async def _first(broker: Broker, envelope: Envelope) -> str:
    """The id of the task that was sent before with the same arguments."""
    first = await broker.first(envelope.queue, envelope.fingerprint)
    if first is not None:
        return first
    return (await enqueue(broker, [envelope]))[0]  # its time has just ended


async def _full(broker: Broker, envelope: Envelope) -> QueueFullError:
    (stats,) = await broker.stats([envelope.queue])
    return QueueFullError(envelope.queue, stats.pending + stats.delayed, envelope.max_pending or 0)
