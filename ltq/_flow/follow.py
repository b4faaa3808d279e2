"""Sending what follows tasks that have completed."""

import logging
from collections.abc import Callable, Sequence

import msgspec

from ltq._flow.protocols import FlowBroker
from ltq._flow.slots import MOST_AT_ONCE
from ltq.broker.flows import Ending, unpack_follow
from ltq.errors import BrokerError
from ltq.message import Envelope, Published

logger = logging.getLogger("ltq.worker")

_MOST_BYTES = 1_000_000
"""Bytes of arguments from which no further envelope is put in a call."""

Answered = Callable[[Ending, Sequence[Published]], object]
"""Called with what the broker answered to the envelopes of an ending, in their order."""


async def send_all(
    broker: FlowBroker, endings: Sequence[Ending], answered: Answered
) -> dict[str, Exception]:
    """Send what follows these endings. Returns the errors of those that have to stay, by key.

    An envelope that was sent before is known by its id. What the broker refuses for one ending
    holds up no other. Raises `BrokerError` if the broker is away.
    """
    unsent: dict[str, Exception] = {}
    meant: list[tuple[Ending, list[Envelope]]] = []
    for ending in endings:
        try:
            meant.append((ending, unpack_follow(ending.follow)))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            unsent[ending.key] = error
    try:
        await _send(broker, meant, answered)
    except BrokerError as error:
        if not error.is_refusal:
            raise
        for one in meant:
            try:
                await _send(broker, [one], answered)
            except BrokerError as refusal:
                if not refusal.is_refusal:
                    raise
                unsent[one[0].key] = refusal
    return unsent


async def _send(
    broker: FlowBroker, meant: Sequence[tuple[Ending, list[Envelope]]], answered: Answered
) -> None:
    answers = await _publish(broker, [one for _, envelopes in meant for one in envelopes])
    first = 0
    for ending, envelopes in meant:
        own = answers[first : first + len(envelopes)]
        first += len(envelopes)
        _log_conflicts(ending, envelopes, own)
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
