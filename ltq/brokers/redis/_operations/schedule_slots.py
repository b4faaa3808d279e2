"""Slots of schedules in Redis."""

from ltq.broker.schedule_slots import ScheduleSlot, SlotReceipt
from ltq.brokers.redis._operations.registry import Registry
from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._scripts.arguments import send_groups
from ltq.brokers.redis._server import keys
from ltq.brokers.redis._server.link import Link
from ltq.names import namespace_of


async def fire(link: Link, registry: Registry, slot: ScheduleSlot) -> SlotReceipt:
    """See `ScheduleStore.fire`. A call repeated after a lost reply finds its own slot kept."""
    namespace = namespace_of(slot.queue)
    await registry.add(namespace)
    reply = await link.evaluate(
        calls.FireCall(
            prefix=keys.prefix(namespace),
            schedule=slot.schedule,
            spec=slot.spec,
            after="" if slot.after is None else slot.after,
            slot=slot.slot,
            due=slot.due,
            group=[] if slot.envelope is None else send_groups([slot.envelope]),
        )
    )
    if reply.new_lanes:  # perhaps the server was emptied
        await registry.add_again(namespace)
    return reply.receipt
