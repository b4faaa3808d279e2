"""Whether two brokers are the same store, whatever their URLs say."""

import os
import socket
from secrets import token_hex

from ltq.broker import Broker, WorkerEntry

_LISTED = 30.0
"""Seconds after which a mark that was left behind is gone."""


async def is_same_store(source: Broker, target: Broker, queue: str) -> bool:
    """Whether both are one store: then a worker that one lists, for a moment, the other lists."""
    mark = WorkerEntry(
        name=f"move-{token_hex(8)}",
        host=socket.gethostname()[:255].encode("ascii", "replace").decode(),
        pid=os.getpid(),
        version="move",
        queues=(queue,),
        concurrency=0,
        started=await source.time(),
        silent_after=_LISTED,
        gone_after=_LISTED,
    )
    await source.announce(mark)
    try:
        return any(one.name == mark.name for one in await target.workers())
    finally:
        await source.leave(mark)
