"""The part of the Redis broker that keeps the items of streams."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from ltq.broker import check_task
from ltq.brokers.redis._operations.chunks import read_some
from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._session import Session
from ltq.message import Lease
from ltq.names import namespace_of
from ltq.state import Items


class KeepsItems(ABC):
    """What `RedisBroker` does with the items of streams."""

    @abstractmethod
    def _here(self) -> Session:
        """The session of the running event loop."""

    async def append(self, lease: Lease, first: int, items: Sequence[bytes], most: int) -> bool:
        """See `Settler.append`."""
        link = self._here().link(lease.queue)
        call = calls.AppendCall(
            prefix=link.keys.prefix(namespace_of(lease.queue)),
            id=lease.id,
            token=lease.token,
            first=first,
            most=most,
            items=[*items],
        )
        return await link.evaluate(call)

    async def items(
        self, queue: str, task_id: str, *, attempt: int = 0, after: int = 0, limit: int = 1000
    ) -> Items | None:
        """See `Watcher.items`."""
        check_task(queue, task_id)
        link = self._here().link(queue)
        call = calls.ItemsCall(
            prefix=link.keys.prefix(namespace_of(queue)),
            most_bytes=link.reply_limit.bytes,
            id=task_id,
            attempt=attempt,
            after=after,
            limit=limit,
        )
        return await read_some(link, call)
