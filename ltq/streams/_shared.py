"""Reading items once for all who want the same ones at the same time."""

import asyncio
from weakref import WeakKeyDictionary

from ltq._aio.service import drop_error, spawn
from ltq.broker import Broker
from ltq.state import Items

PAGE = 1000
"""Most items of one read."""

_Wanted = tuple[asyncio.AbstractEventLoop, str, str, int, int]

_reads: "WeakKeyDictionary[Broker, dict[_Wanted, asyncio.Task[Items | None]]]" = WeakKeyDictionary()
"""The reads under way. A news of a task wakes all its readers at once, who want the same."""


async def read_items(
    broker: Broker, queue: str, task_id: str, attempt: int, after: int
) -> Items | None:
    """`broker.items`. A read of the same that is under way is joined, so it may be a little old."""
    wanted = asyncio.get_running_loop(), queue, task_id, attempt, after
    reads = _reads.setdefault(broker, {})
    reading = reads.get(wanted)
    if reading is None:
        work = broker.items(queue, task_id, attempt=attempt, after=after, limit=PAGE)
        reading = reads[wanted] = spawn(work, name="ltq-items")
        reading.add_done_callback(drop_error)  # its readers may all be gone
        reading.add_done_callback(lambda _: reads.pop(wanted, None))
    return await asyncio.shield(reading)
