"""The part of a Redis broker that keeps what workflows need."""

from abc import abstractmethod
from collections.abc import Sequence

from ltq.broker import check_name, check_task, check_tasks
from ltq.broker.flows import Arrival, Arrived, Ending, Flows, Ready, WaitingTask
from ltq.brokers.redis._operations import flows
from ltq.brokers.redis._session import Session


class CarriesFlows(Flows):
    """See `Flows`."""

    @abstractmethod
    def _here(self) -> Session: ...

    async def endings(
        self, queue: str, *, limit: int = 500, older_than: float = 0.0
    ) -> list[Ending]:
        """See `Flows.endings`."""
        check_name("queue", queue)
        return await flows.endings(self._here().link(queue), queue, limit, older_than)

    async def carried(self, queue: str, keys: Sequence[str]) -> None:
        """See `Flows.carried`."""
        check_name("queue", queue)
        await flows.carried(self._here().link(queue), queue, keys)

    async def arrive(self, queue: str, arrivals: Sequence[Arrival]) -> list[Arrived]:
        """See `Flows.arrive`."""
        check_tasks(queue, [arrival.id for arrival in arrivals])
        return await flows.arrive(self._here().link(queue), queue, arrivals)

    async def held(self, queue: str, task_id: str, slots: Sequence[int]) -> WaitingTask | None:
        """See `Flows.held`."""
        check_task(queue, task_id)
        return await flows.held(self._here().link(queue), queue, task_id, slots)

    async def ctx(self, queue: str, task_id: str) -> bytes | None:
        """See `Flows.ctx`."""
        check_task(queue, task_id)
        return await flows.read_ctx(self._here().link(queue), queue, task_id)

    async def go_on(self, queue: str, task_id: str, ready: Ready) -> bool:
        """See `Flows.go_on`."""
        check_task(queue, task_id)
        return await flows.go_on(self._here().link(queue), queue, task_id, ready)

    async def cancel_each(self, queue: str, ids: Sequence[str], result_ttl: float) -> int:
        """See `Flows.cancel_each`."""
        ids = check_tasks(queue, ids)
        return await flows.cancel_each(self._here().link(queue), queue, ids, result_ttl)

    async def restart(self, queue: str, ids: Sequence[str], held: bool) -> int:
        """See `Flows.restart`."""
        ids = check_tasks(queue, ids)
        return await flows.restart(self._here().link(queue), queue, ids, is_held=held)
