"""Slots of schedules in Redis."""

from ltq._names import namespace_of
from ltq.broker.schedule_slots import ScheduleSlot, SlotReceipt
from ltq.brokers.redis import _keys
from ltq.brokers.redis._link import Argument, Link
from ltq.brokers.redis._repair import register
from ltq.brokers.redis._wire import PUBLISHED, envelope_arguments


async def time(link: Link) -> float:
    """See `ScheduleStore.time`."""
    seconds, micros = await link.call("TIME")
    return int(seconds) + int(micros) / 1_000_000


async def fire(link: Link, tick: ScheduleSlot, registered: set[str]) -> SlotReceipt:
    """See `ScheduleStore.fire`. Repeated after a lost reply it finds its own slot kept.

    `registered` are the namespaces that tools know.
    """
    namespace = namespace_of(tick.queue)
    if namespace not in registered:
        await register(link, namespace)
        registered.add(namespace)
    after: Argument = "" if tick.after is None else tick.after
    arguments: list[Argument] = [tick.schedule, tick.spec, after, tick.slot, tick.due]
    if tick.envelope is not None:
        arguments += envelope_arguments([tick.envelope])
    last, answer, is_new = await link.run("fire", _keys.prefix(namespace), *arguments)
    if is_new:  # perhaps the server was emptied
        registered.discard(namespace)
    return SlotReceipt(last, PUBLISHED.get(answer), is_other=answer == b"other")
