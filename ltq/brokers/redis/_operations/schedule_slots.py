"""Slots of schedules in Redis."""

from collections.abc import Sequence
from operator import attrgetter

from ltq._aio.batcher import Batcher
from ltq.broker.schedule_slots import ScheduleSlot, SlotReceipt
from ltq.brokers.redis._operations.chunks import CALL_TASKS, chunks, envelope_size
from ltq.brokers.redis._operations.registry import Registry
from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._scripts.arguments import slot_arguments
from ltq.brokers.redis._server.link import Link
from ltq.brokers.redis._server.refusals import RefusedError, is_lasting

_CALLS = 4
"""Most calls that are under way at once: the network may be slower than the server. The slots of a
schedule stay in their order, because they go through the same one."""


class Firer:
    """Fires slots of the schedules of one namespace.

    A call that is repeated after a lost reply finds its own slots kept.
    """

    def __init__(self, namespace: str, link: Link, registry: Registry) -> None:
        self._namespace = namespace
        self._link = link
        self._registry = registry
        self._batchers = [Batcher(self._fire_batch, CALL_TASKS, is_lasting) for _ in range(_CALLS)]

    async def fire(self, slot: ScheduleSlot) -> SlotReceipt:
        """See `ScheduleStore.fire`. Slots that come at the same time share calls."""
        batcher = self._batchers[hash(slot.schedule) % _CALLS]
        return await batcher.submit(slot) or (await self._fire([slot]))[0]

    async def _fire_batch(self, slots: Sequence[ScheduleSlot]) -> Sequence[SlotReceipt | None]:
        """Fire slots in as few calls as possible.

        The answer is None for each slot of a call that was refused, perhaps because of one of them:
        each has to go alone.
        """
        if len(slots) == 1:
            return await self._fire(slots)
        receipts: list[SlotReceipt | None] = []
        for _, chunk in chunks(slots, _queue_of_slot, _slot_size):
            try:
                receipts += await self._fire([slots[i] for i in chunk])
            except RefusedError:
                receipts += [None] * len(chunk)
        return receipts

    async def _fire(self, slots: Sequence[ScheduleSlot]) -> list[SlotReceipt]:
        """Fire slots in one call, at once."""
        if self._namespace not in self._registry:
            await self._registry.add(self._namespace)
        arguments = [argument for slot in slots for argument in slot_arguments(slot)]
        reply = await self._link.evaluate(
            calls.FireCall(prefix=self._link.keys.prefix(self._namespace), slots=arguments)
        )
        if reply.new_queues:  # perhaps the server was emptied
            await self._registry.add_again(self._namespace)
        return reply.receipts


_queue_of_slot = attrgetter("queue")


def _slot_size(slot: ScheduleSlot) -> int:
    return len(slot.spec) + (0 if slot.envelope is None else envelope_size(slot.envelope))
