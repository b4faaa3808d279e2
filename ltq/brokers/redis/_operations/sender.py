"""Sending tasks of one namespace."""

import asyncio
from collections.abc import Sequence

from ltq._aio.batcher import Batcher
from ltq.brokers.redis._operations.chunks import (
    CALL_TASKS,
    chunks,
    envelope_size,
    queue_of_envelope,
)
from ltq.brokers.redis._operations.registry import Registry
from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._scripts.arguments import send_groups
from ltq.brokers.redis._server.call import Call
from ltq.brokers.redis._server.link import CALL_PATIENCE, Link
from ltq.brokers.redis._server.refusals import RefusedError, is_lasting
from ltq.brokers.redis._server.replicas import Replicated
from ltq.message import Envelope, Published


class Sender:
    """Sends tasks of one namespace."""

    def __init__(self, namespace: str, link: Link, registry: Registry) -> None:
        self._namespace = namespace
        self._prefix = link.keys.prefix(namespace)
        self._link = link
        self._registry = registry
        self._batcher = Batcher(self._send_batch, CALL_TASKS, is_lasting)

    async def send_soon(self, envelope: Envelope) -> Published:
        """Send a task. Tasks that come while a call is under way share the next call."""
        began = asyncio.get_running_loop().time() if self._link.replicas else 0.0
        answer = await self._batcher.call((envelope, began))
        return answer or (await self.send([envelope]))[0]

    async def _send_batch(
        self, items: Sequence[tuple[Envelope, float]]
    ) -> Sequence[Published | None]:
        """Send tasks in as few calls as possible.

        The answer is None for each task of a call that was refused, perhaps because of one of them:
        each has to go alone.
        """
        envelopes, began = [envelope for envelope, _ in items], items[0][1]
        if len(envelopes) == 1:
            return await self.send(envelopes, began)
        answers: list[Published | None] = []
        for _, chunk in chunks(envelopes, queue_of_envelope, envelope_size):
            try:
                answers += await self.send([envelopes[i] for i in chunk], began)
            except RefusedError:
                answers += [None] * len(chunk)
        return answers

    async def send(self, envelopes: Sequence[Envelope], began: float = 0.0) -> list[Published]:
        """Send tasks in one call, at once. There must not be too many for that, see `chunks`.

        `began` is since when the first one waits, if not since now, by the event loop's clock: for
        all that has to be waited for there is the patience of one call.
        """
        if self._namespace not in self._registry:
            await self._registry.add(self._namespace)
        call: Call[calls.SendReply] = calls.SendCall(
            prefix=self._prefix, groups=send_groups(envelopes)
        )
        link = self._link
        if link.replicas:
            until = (began or asyncio.get_running_loop().time()) + CALL_PATIENCE
            call = Replicated(call, link.replicas, link.keys.replicated(self._namespace), until)
        reply = await link.evaluate(call)
        if reply.new_queues:  # perhaps the server was emptied
            await self._registry.add_again(self._namespace)
        return reply.answers
