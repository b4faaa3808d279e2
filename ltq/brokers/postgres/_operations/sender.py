"""Sending tasks of one namespace."""

from collections.abc import Sequence
from typing import Any

from ltq._aio.batcher import Batcher
from ltq.brokers._rules.constants import CALL_BYTES
from ltq.brokers.postgres._server.errors import RefusedError
from ltq.brokers.postgres._server.link import Link
from ltq.errors import BrokerError
from ltq.message import Envelope, Published, kind_of

CALL_TASKS = 500
"""Most tasks of one call."""


class Sender:
    """Sends tasks of one namespace."""

    def __init__(self, namespace: str, link: Link) -> None:
        self._namespace = namespace
        self._link = link
        self._batcher = Batcher(self._send_batch, CALL_TASKS, _is_lasting)

    async def send_soon(self, envelope: Envelope) -> Published:
        """Send a task. Tasks that come while a call is under way share the next call."""
        answer = await self._batcher.call(envelope)
        return answer or (await self.send([envelope]))[0]

    async def _send_batch(self, envelopes: Sequence[Envelope]) -> Sequence[Published | None]:
        """Send tasks. The answer is None for each of a refused call: each has to go alone."""
        if len(envelopes) == 1:
            return await self.send(envelopes)
        try:
            return await self.send_all(envelopes)
        except RefusedError:
            return [None] * len(envelopes)

    async def send_all(self, envelopes: Sequence[Envelope]) -> list[Published]:
        """Send tasks in as few calls as possible."""
        answers: list[Published] = []
        for some in pieces(envelopes):
            answers += await self.send(some)
        return answers

    async def send(self, envelopes: Sequence[Envelope]) -> list[Published]:
        """Send tasks in one call."""
        again: list[str] = []
        is_lost = False

        def lose() -> None:
            nonlocal is_lost
            is_lost = True
            again[:] = [one.id for one in envelopes if one.has_new_id]

        values = arguments(self._namespace, envelopes, again=again)
        size = sum(len(one.body) for one in envelopes)
        ((answers,),) = await self._link.call("send", *values, on_lost=lose, size=size)
        if not is_lost:
            return list(map(Published, answers))
        return [
            _answer(envelope, answer) for envelope, answer in zip(envelopes, answers, strict=True)
        ]

    async def aclose(self) -> None:
        """Send nothing more."""
        await self._batcher.aclose()

    def abandon(self) -> None:
        """Send nothing more, without waiting."""
        self._batcher.abandon()


def pieces(envelopes: Sequence[Envelope]) -> list[Sequence[Envelope]]:
    """Tasks in groups for one call each."""
    found: list[Sequence[Envelope]] = []
    start = size = 0
    for index, envelope in enumerate(envelopes):
        if index - start == CALL_TASKS or (size >= CALL_BYTES and index > start):
            found.append(envelopes[start:index])
            start, size = index, 0
        size += len(envelope.body)
    return [*found, envelopes[start:]] if start < len(envelopes) else found


def arguments(
    namespace: str,
    envelopes: Sequence[Envelope],
    *,
    is_joined: bool = False,
    again: Sequence[str] = (),
) -> list[Any]:
    """The values of `sql/send.sql`."""
    return [
        namespace,
        is_joined,
        again,
        [one.id for one in envelopes],
        [one.queue for one in envelopes],
        [one.lane or one.queue for one in envelopes],
        [kind_of(one.task_name, one.serializer) for one in envelopes],
        [int(one.priority) for one in envelopes],
        [one.timeout for one in envelopes],
        [one.max_tries for one in envelopes],
        [one.result_ttl for one in envelopes],
        [one.max_deliveries for one in envelopes],
        [one.max_items for one in envelopes],
        [one.keep_body for one in envelopes],
        [one.task_name for one in envelopes],
        [one.serializer for one in envelopes],
        [" ".join(one.tags) for one in envelopes],
        [one.ctx for one in envelopes],
        [one.body for one in envelopes],
        [one.delay for one in envelopes],
        [one.eta for one in envelopes],
        [one.fingerprint for one in envelopes],
        [one.unique_for for one in envelopes],
        [one.max_pending for one in envelopes],
    ]


def _answer(envelope: Envelope, answer: str) -> Published:
    """The answer to a call that may have been carried out before, as its first answer was lost."""
    if envelope.has_new_id and answer == Published.EXISTS:
        return Published.CREATED
    return Published(answer)


def _is_lasting(error: Exception) -> bool:
    return isinstance(error, BrokerError) and not isinstance(error, RefusedError)
