"""The calls of brokers that are built on `Store`: each is checked, and then is one step."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from ltq.broker import (
    DEFAULT_LEASE,
    Broker,
    WorkerEntry,
    check_envelopes,
    check_history,
    check_lanes,
    check_name,
    check_names,
    check_schedule,
    check_schedule_name,
    check_slot,
    check_task,
    check_tasks,
    check_worker,
    task_query,
)
from ltq.broker.checks import check_parcels, check_record, check_rerun
from ltq.broker.flows import Arrival, Arrived, Ending, Ready, WaitingTask
from ltq.broker.moving import Parcel
from ltq.broker.schedule_slots import ScheduleSlot, SlotReceipt
from ltq.broker.schedules import KeptSchedule, ScheduleChanges, ScheduleRecord
from ltq.broker.selection import Selection, check_selection
from ltq.brokers._rules.flows import endings, waiting
from ltq.brokers._rules.places import Places
from ltq.brokers._rules.steering.cancel_many import Reached
from ltq.brokers._rules.store import Store
from ltq.errors import TaskNotFoundError
from ltq.message import DeadLetter, Envelope, Lease, Outcome, Published, Receipt, Swept
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

T = TypeVar("T")

_CANCELLED_AT_ONCE, _CLEARED_AT_ONCE = 500, 500
"""Most tasks that one step of `cancel_many` looks at, and that one of `clear` removes, so that
others get their turn."""


class StoreBroker(Broker):
    """A broker whose calls are steps of a `Store`."""

    lists_final: bool = True
    """Whether it lists final tasks."""

    @abstractmethod
    async def _run(self, step: Callable[[Store], T]) -> T:
        """Run a step on the store, and return what it returns.

        It lets other coroutines run first, so that a loop of calls does not block them. A call that
        is cancelled meanwhile has done nothing, or all.
        """

    async def publish(self, envelopes: Sequence[Envelope]) -> list[Published]:
        check_envelopes(envelopes)
        return await self._run(lambda store: store.publish(envelopes))

    async def first(self, queue: str, fingerprint: str) -> str | None:
        check_name("queue", queue)
        return await self._run(lambda store: store.first(queue, fingerprint))

    async def serve(self, lanes: Sequence[str], duration: float) -> None:
        lanes = check_lanes(lanes)
        await self._run(lambda store: store.serve(lanes, duration))

    async def served(self, lanes: Sequence[str]) -> list[float | None]:
        lanes = check_lanes(lanes)
        return await self._run(lambda store: store.served(lanes))

    async def announce(self, worker: WorkerEntry) -> bool:
        check_worker(worker)
        return await self._run(lambda store: store.announce(worker))

    async def leave(self, worker: WorkerEntry, lanes: Sequence[str] = ()) -> None:
        check_worker(worker)
        lanes = check_lanes(lanes)
        await self._run(lambda store: store.leave(worker, lanes))

    async def finish(self, outcomes: Sequence[Outcome]) -> list[Receipt]:
        return await self._run(lambda store: store.finish(outcomes))

    async def heartbeat(self, leases: Sequence[Lease], duration: float) -> list[Lease]:
        return await self._run(lambda store: store.heartbeat(leases, duration))

    async def progress(self, lease: Lease, progress: Progress) -> bool:
        return await self._run(lambda store: store.progress(lease, progress))

    async def append(self, lease: Lease, first: int, items: Sequence[bytes], most: int) -> bool:
        return await self._run(lambda store: store.append(lease, first, items, most))

    async def sweep(self, queues: Iterable[str]) -> Swept:
        queues = check_names("queue", queues)
        return await self._run(lambda store: store.sweep(queues))

    async def repair(
        self, queues: Iterable[str], *, lease: float = DEFAULT_LEASE, every: float = 0.0
    ) -> int:
        """Do nothing: in such a store, tasks do not lose their place."""
        queues = check_names("queue", queues)
        return 0

    async def states(self, queue: str, ids: Sequence[str]) -> list[TaskState[bytes] | None]:
        ids = check_tasks(queue, ids)
        return await self._run(lambda store: store.states(queue, ids))

    async def items(
        self, queue: str, task_id: str, *, attempt: int = 0, after: int = 0, limit: int = 1000
    ) -> Items | None:
        check_task(queue, task_id)
        return await self._run(lambda store: store.items(queue, task_id, attempt, after, limit))

    async def queues(self) -> list[str]:
        return await self._run(lambda store: store.queues())

    async def stats(self, queues: Sequence[str]) -> list[QueueStats]:
        queues = check_names("queue", queues)
        return await self._run(lambda store: store.stats(queues))

    async def clear(self, queue: str) -> int:
        check_name("queue", queue)
        cleared = 0
        while some := await self._run(lambda store: store.clear(queue, _CLEARED_AT_ONCE)):
            cleared += some
        return cleared

    async def cancel(self, queue: str, task_id: str, result_ttl: float) -> bool:
        check_task(queue, task_id)
        return await self._run(lambda store: store.cancel(queue, task_id, result_ttl))

    async def pause(self, queue: str) -> None:
        check_name("queue", queue)
        await self._run(lambda store: store.pause(queue))

    async def resume(self, queue: str) -> None:
        check_name("queue", queue)
        await self._run(lambda store: store.resume(queue))

    async def promote(self, queue: str, ids: Sequence[str]) -> int:
        ids = check_tasks(queue, ids)
        return await self._run(lambda store: store.promote(queue, ids))

    async def cancel_many(
        self,
        queue: str,
        *,
        status: Status | None = None,
        task_name: str | None = None,
        tag: str | None = None,
        older_than: float | None = None,
    ) -> int:
        selection = check_selection(queue, status, task_name, tag, older_than)
        cancelled, reached = await self._cancel_some(queue, selection, None)
        while reached is not None:
            some, reached = await self._cancel_some(queue, selection, reached)
            cancelled += some
        return cancelled

    async def rerun(self, queue: str, ids: Sequence[str]) -> list[str]:
        ids = check_rerun(queue, ids)
        return await self._run(lambda store: store.rerun(queue, ids))

    async def find(self, task_id: str) -> TaskState[bytes] | None:
        check_name("task id", task_id)
        return await self._run(lambda store: store.find(task_id))

    async def body(self, queue: str, task_id: str) -> bytes | None:
        check_task(queue, task_id)
        return await self._run(lambda store: store.body(queue, task_id))

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
        query = task_query(queue, status, task_name, tag, limit, cursor)
        return await self._run(lambda store: store.tasks(query, lists_final=self.lists_final))

    async def workers(self) -> list[WorkerInfo]:
        return await self._run(lambda store: store.workers())

    async def history(self, queue: str, minutes: int = 60) -> list[Minute]:
        check_history(queue, minutes)
        return await self._run(lambda store: store.history(queue, minutes))

    async def dead_letters(
        self, queue: str, *, limit: int = 100, offset: int = 0
    ) -> list[DeadLetter]:
        check_name("queue", queue)
        return await self._run(lambda store: store.dead_letters(queue, limit, offset))

    async def dead_letter(self, queue: str | None, task_id: str) -> DeadLetter:
        check_name("task id", task_id)
        if queue is not None:
            check_name("queue", queue)
        letter = await self._run(lambda store: store.dead_letter(queue, task_id))
        if letter is None:
            raise TaskNotFoundError(task_id)
        return letter

    async def replay(self, queue: str, ids: Sequence[str]) -> list[Published]:
        ids = check_tasks(queue, ids)
        return await self._run(lambda store: store.replay(queue, ids))

    async def purge(
        self, queue: str, ids: Sequence[str] | None = None, *, older_than: float = 0.0
    ) -> int:
        check_name("queue", queue)
        if ids is not None:
            ids = check_names("task id", ids)
        return await self._run(lambda store: store.purge(queue, ids, older_than))

    async def fire(self, slot: ScheduleSlot) -> SlotReceipt:
        check_slot(slot)
        return await self._run(lambda store: store.fire(slot))

    async def put_schedule(self, schedule: KeptSchedule, due: int) -> bool:
        check_schedule(schedule)
        return await self._run(lambda store: store.put_schedule(schedule, due))

    async def remove_schedule(self, queue: str, name: str) -> bool:
        check_schedule_name(queue, name)
        return await self._run(lambda store: store.remove_schedule(queue, name))

    async def pause_schedule(self, queue: str, name: str) -> bool:
        check_schedule_name(queue, name)
        return await self._run(lambda store: store.pause_schedule(queue, name))

    async def resume_schedule(self, queue: str, name: str) -> bool:
        check_schedule_name(queue, name)
        return await self._run(lambda store: store.resume_schedule(queue, name))

    async def schedule_marks(self) -> Mapping[str, int]:
        return await self._run(lambda store: store.schedule_marks())

    async def changed_schedules(self, queue: str, after: int) -> ScheduleChanges:
        check_name("queue", queue)
        return await self._run(lambda store: store.changed_schedules(queue, after))

    async def schedules(
        self, names: Sequence[str], queue: str | None = None
    ) -> list[ScheduleRecord]:
        names = check_names("schedule", names)
        if queue is not None:
            check_name("queue", queue)
        return await self._run(lambda store: store.schedules(names, queue))

    async def pack(self, queue: str, ids: Sequence[str]) -> list[Parcel | None]:
        ids = check_tasks(queue, ids)
        return await self._run(lambda store: store.pack(queue, ids))

    async def pack_dead(self, queue: str, ids: Sequence[str]) -> list[Parcel | None]:
        ids = check_tasks(queue, ids)
        return await self._run(lambda store: store.pack_dead(queue, ids))

    async def adopt(self, parcels: Sequence[Parcel]) -> list[Published]:
        check_parcels(parcels)
        return await self._run(lambda store: store.adopt(parcels))

    async def drop(self, parcels: Sequence[Parcel]) -> list[str]:
        check_parcels(parcels)
        return await self._run(lambda store: store.drop(parcels))

    async def adopt_schedule(self, record: ScheduleRecord, due: int) -> bool:
        schedule = check_record(record)
        return await self._run(lambda store: store.adopt_schedule(record, schedule, due))

    async def endings(
        self, queue: str, *, limit: int = 500, older_than: float = 0.0
    ) -> list[Ending]:
        check_name("queue", queue)
        rule = partial(endings.oldest, limit=limit, older_than=older_than)
        return await self._run(lambda store: store.seen_in_places(queue, rule))

    async def carried(self, queue: str, keys: Sequence[str]) -> None:
        check_name("queue", queue)
        await self._flow(queue, partial(endings.remove, keys=keys))

    async def arrive(self, queue: str, arrivals: Sequence[Arrival]) -> list[Arrived]:
        check_tasks(queue, [arrival.id for arrival in arrivals])
        return await self._flow(queue, partial(waiting.arrive, arrivals=arrivals))

    async def held(self, queue: str, task_id: str, slots: Sequence[int]) -> WaitingTask | None:
        check_task(queue, task_id)
        rule = partial(waiting.read, task_id=task_id, slots=slots)
        return await self._run(lambda store: store.seen_in_places(queue, rule))

    async def ctx(self, queue: str, task_id: str) -> bytes | None:
        check_task(queue, task_id)
        return await self._run(lambda store: store.ctx(queue, task_id))

    async def go_on(self, queue: str, task_id: str, ready: Ready) -> bool:
        check_task(queue, task_id)
        return await self._flow(queue, partial(waiting.go_on, task_id=task_id, ready=ready))

    async def cancel_each(self, queue: str, ids: Sequence[str], result_ttl: float) -> int:
        ids = check_tasks(queue, ids)
        return await self._run(lambda store: store.cancel_each(queue, ids, result_ttl))

    async def restart(self, queue: str, ids: Sequence[str], held: bool) -> int:
        ids = check_tasks(queue, ids)
        return await self._flow(queue, partial(waiting.restart, ids=ids, waits=held))

    async def _flow(self, queue: str, rule: Callable[[Places, float], T]) -> T:
        return await self._run(lambda store: store.in_places(queue, rule))

    async def _cancel_some(
        self, queue: str, selection: Selection, reached: Reached | None
    ) -> tuple[int, Reached | None]:
        return await self._run(
            lambda store: store.cancel_some(queue, selection, reached, _CANCELLED_AT_ONCE)
        )
