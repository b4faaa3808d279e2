"""The calls that are the store's alone."""

from collections.abc import Iterable, Mapping, Sequence

from ltq.broker import DEFAULT_LEASE, Broker, Enlisted, WorkerEntry
from ltq.broker.feed import Feed
from ltq.broker.flows import Arrival, Arrived, Ending, Ready, WaitingTask
from ltq.broker.moving import Parcel
from ltq.broker.schedule_slots import ScheduleSlot, SlotReceipt
from ltq.broker.schedules import KeptSchedule, ScheduleChanges, ScheduleRecord
from ltq.message import DeadLetter, Lease, Published, Swept
from ltq.state import (
    Items,
    Minute,
    Page,
    Progress,
    QueueStats,
    Status,
    TaskDetail,
    TaskState,
    WorkerInfo,
)


class Delegating(Broker):
    """A broker that leaves to its store all but sending and claiming."""

    def __init__(self, store: Broker) -> None:
        self._store = store

    @property
    def is_local(self) -> bool:
        return self._store.is_local

    @property
    def exists(self) -> bool:
        return self._store.exists

    @property
    def migration(self) -> str:
        return self._store.migration

    async def hazards(self) -> list[str]:
        return await self._store.hazards()

    async def migrate(self) -> bool:
        return await self._store.migrate()

    def enlist(self, connection: object) -> Enlisted:
        """The store's: what goes over a connection of the caller's is there when that commits."""
        return self._store.enlist(connection)

    async def first(self, queue: str, fingerprint: str) -> str | None:
        return await self._store.first(queue, fingerprint)

    async def serve(self, lanes: Sequence[str], duration: float) -> None:
        await self._store.serve(lanes, duration)

    async def served(self, lanes: Sequence[str]) -> list[float | None]:
        return await self._store.served(lanes)

    async def announce(self, worker: WorkerEntry) -> bool:
        return await self._store.announce(worker)

    async def leave(self, worker: WorkerEntry, lanes: Sequence[str] = ()) -> None:
        await self._store.leave(worker, lanes)

    def shard(self, queue: str) -> str:
        return self._store.shard(queue)

    async def heartbeat(self, leases: Sequence[Lease], duration: float) -> list[Lease]:
        return await self._store.heartbeat(leases, duration)

    async def progress(self, lease: Lease, progress: Progress) -> bool:
        return await self._store.progress(lease, progress)

    async def append(self, lease: Lease, first: int, items: Sequence[bytes], most: int) -> bool:
        return await self._store.append(lease, first, items, most)

    async def sweep(self, queues: Iterable[str]) -> Swept:
        return await self._store.sweep(queues)

    async def repair(
        self, queues: Iterable[str], *, lease: float = DEFAULT_LEASE, every: float = 0.0
    ) -> int:
        return await self._store.repair(queues, lease=lease, every=every)

    async def states(self, queue: str, ids: Sequence[str]) -> list[TaskState[bytes] | None]:
        return await self._store.states(queue, ids)

    async def items(
        self, queue: str, task_id: str, *, attempt: int = 0, after: int = 0, limit: int = 1000
    ) -> Items | None:
        return await self._store.items(queue, task_id, attempt=attempt, after=after, limit=limit)

    def feed(self, queue: str, task_id: str) -> Feed:
        return self._store.feed(queue, task_id)

    async def queues(self) -> list[str]:
        return await self._store.queues()

    async def stats(self, queues: Sequence[str]) -> list[QueueStats]:
        return await self._store.stats(queues)

    async def clear(self, queue: str) -> int:
        return await self._store.clear(queue)

    async def pause(self, queue: str) -> None:
        await self._store.pause(queue)

    async def resume(self, queue: str) -> None:
        await self._store.resume(queue)

    async def promote(self, queue: str, ids: Sequence[str]) -> int:
        return await self._store.promote(queue, ids)

    async def cancel_many(
        self,
        queue: str,
        *,
        status: Status | None = None,
        task_name: str | None = None,
        tag: str | None = None,
        older_than: float | None = None,
    ) -> int:
        return await self._store.cancel_many(
            queue, status=status, task_name=task_name, tag=tag, older_than=older_than
        )

    async def rerun(self, queue: str, ids: Sequence[str]) -> list[str]:
        return await self._store.rerun(queue, ids)

    async def adopt(self, parcels: Sequence[Parcel]) -> list[Published]:
        return await self._store.adopt(parcels)

    async def drop(self, parcels: Sequence[Parcel]) -> list[str]:
        return await self._store.drop(parcels)

    async def adopt_schedule(self, record: ScheduleRecord, due: int) -> bool:
        return await self._store.adopt_schedule(record, due)

    async def find(self, task_id: str) -> TaskState[bytes] | None:
        return await self._store.find(task_id)

    async def body(self, queue: str, task_id: str) -> bytes | None:
        return await self._store.body(queue, task_id)

    async def tasks(
        self,
        queue: str,
        *,
        status: Status | str | Iterable[Status | str] | None = None,
        task_name: str | None = None,
        tag: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[TaskDetail]:
        return await self._store.tasks(
            queue, status=status, task_name=task_name, tag=tag, limit=limit, cursor=cursor
        )

    async def workers(self) -> list[WorkerInfo]:
        return await self._store.workers()

    async def history(self, queue: str, minutes: int = 60) -> list[Minute]:
        return await self._store.history(queue, minutes)

    async def dead_letters(
        self, queue: str, *, limit: int = 100, offset: int = 0
    ) -> list[DeadLetter]:
        return await self._store.dead_letters(queue, limit=limit, offset=offset)

    async def dead_letter(self, queue: str | None, task_id: str) -> DeadLetter:
        return await self._store.dead_letter(queue, task_id)

    async def replay(self, queue: str, ids: Sequence[str]) -> list[Published]:
        return await self._store.replay(queue, ids)

    async def purge(
        self, queue: str, ids: Sequence[str] | None = None, *, older_than: float = 0.0
    ) -> int:
        return await self._store.purge(queue, ids, older_than=older_than)

    async def time(self) -> float:
        return await self._store.time()

    async def fire(self, slot: ScheduleSlot) -> SlotReceipt:
        return await self._store.fire(slot)

    async def put_schedule(self, schedule: KeptSchedule, due: int) -> bool:
        return await self._store.put_schedule(schedule, due)

    async def remove_schedule(self, queue: str, name: str) -> bool:
        return await self._store.remove_schedule(queue, name)

    async def pause_schedule(self, queue: str, name: str) -> bool:
        return await self._store.pause_schedule(queue, name)

    async def resume_schedule(self, queue: str, name: str) -> bool:
        return await self._store.resume_schedule(queue, name)

    async def schedule_marks(self) -> Mapping[str, int]:
        return await self._store.schedule_marks()

    async def changed_schedules(self, queue: str, after: int) -> ScheduleChanges:
        return await self._store.changed_schedules(queue, after)

    async def schedules(
        self, names: Sequence[str], queue: str | None = None
    ) -> list[ScheduleRecord]:
        return await self._store.schedules(names, queue)

    async def endings(
        self, queue: str, *, limit: int = 500, older_than: float = 0.0
    ) -> list[Ending]:
        return await self._store.endings(queue, limit=limit, older_than=older_than)

    async def carried(self, queue: str, keys: Sequence[str]) -> None:
        await self._store.carried(queue, keys)

    async def arrive(self, queue: str, arrivals: Sequence[Arrival]) -> list[Arrived]:
        return await self._store.arrive(queue, arrivals)

    async def held(self, queue: str, task_id: str, slots: Sequence[int]) -> WaitingTask | None:
        return await self._store.held(queue, task_id, slots)

    async def ctx(self, queue: str, task_id: str) -> bytes | None:
        return await self._store.ctx(queue, task_id)

    async def go_on(self, queue: str, task_id: str, ready: Ready) -> bool:
        return await self._store.go_on(queue, task_id, ready)

    async def cancel_each(self, queue: str, ids: Sequence[str], result_ttl: float) -> int:
        return await self._store.cancel_each(queue, ids, result_ttl)

    async def restart(self, queue: str, ids: Sequence[str], held: bool) -> int:
        return await self._store.restart(queue, ids, held=held)
