"""The part of the Redis broker that keeps the items of streams."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from ltq.broker import check_task
from ltq.brokers.redis._item_calls import Appended, Part
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
        calls = self._here().item_calls(namespace_of(lease.queue))
        return await calls.append(Appended(lease, first, items, most))

    async def items(
        self, queue: str, task_id: str, *, attempt: int = 0, after: int = 0, limit: int = 1000
    ) -> Items | None:
        """See `Watcher.items`."""
        check_task(queue, task_id)
        calls = self._here().item_calls(namespace_of(queue))
        return await calls.read(Part(task_id, attempt, after, limit))
