"""Sending what follows tasks that have completed."""

import logging
from collections.abc import Callable, Sequence

from ltq._flow.protocols import FlowBroker
from ltq._flow.slots import MOST_AT_ONCE
from ltq.broker.flows import Ending, unpack_follow
from ltq.message import Envelope, Published

logger = logging.getLogger("ltq.worker")

_MOST_BYTES = 1_000_000
"""Bytes of arguments from which no further envelope is put in a call."""

Answered = Callable[[Ending, Sequence[Published]], object]
"""Called with what the broker answered to the envelopes of an ending, in their order."""


async def send_all(
    broker: FlowBroker, endings: Sequence[Ending], answered: Answered | None
) -> None:
    """Send what follows these endings. An envelope that was sent before is known by its id.

    Raises `BrokerError`, and `msgspec.DecodeError` for a spoilt ending.
    """
    meant = [unpack_follow(one.follow) for one in endings]
    answers = await _publish(broker, [one for envelopes in meant for one in envelopes])
    first = 0
    for ending, envelopes in zip(endings, meant, strict=True):
        own = answers[first : first + len(envelopes)]
        first += len(envelopes)
        _log_conflicts(ending, envelopes, own)
        if answered is not None:
            answered(ending, own)


async def _publish(broker: FlowBroker, envelopes: Sequence[Envelope]) -> list[Published]:
    answers: list[Published] = []
    while len(answers) < len(envelopes):
        some, size = list[Envelope](), 0
        for envelope in envelopes[len(answers) : len(answers) + MOST_AT_ONCE]:
            size += len(envelope.body)
            if some and size > _MOST_BYTES:
                break
            some.append(envelope)
        answers += await broker.publish(some)
    return answers


def _log_conflicts(
    ending: Ending, envelopes: Sequence[Envelope], answers: Sequence[Published]
) -> None:
    for envelope, answer in zip(envelopes, answers, strict=True):
        if answer is Published.ID_CONFLICT:
            logger.error(
                "%s %s was not sent after task %s: another task has this id",
                envelope.task_name,
                envelope.id,
                ending.id,
            )
