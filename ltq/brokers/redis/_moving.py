"""The part of the Redis broker that hands tasks to another store, and takes them over."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from ltq.broker import check_parcels, check_tasks
from ltq.broker.moving import Parcel
from ltq.brokers.redis._operations import moving
from ltq.brokers.redis._session import Session
from ltq.message import Published


class MovesTasks(ABC):
    """What `RedisBroker` does with tasks that are moved."""

    @abstractmethod
    def _here(self) -> Session:
        """The session of the running event loop."""

    async def pack(self, queue: str, ids: Sequence[str]) -> list[Parcel | None]:
        """See `Mover.pack`."""
        return await moving.pack(
            self._here().link(queue), queue, check_tasks(queue, ids), dead=False
        )

    async def pack_dead(self, queue: str, ids: Sequence[str]) -> list[Parcel | None]:
        """See `Mover.pack_dead`."""
        return await moving.pack(
            self._here().link(queue), queue, check_tasks(queue, ids), dead=True
        )

    async def adopt(self, parcels: Sequence[Parcel]) -> list[Published]:
        """See `Mover.adopt`."""
        check_parcels(parcels)
        session = self._here()
        return await moving.adopt(session.links, session.registry, parcels)

    async def drop(self, parcels: Sequence[Parcel]) -> list[str]:
        """See `Mover.drop`."""
        check_parcels(parcels)
        return await moving.drop(self._here().links, parcels)
