"""The broker: each call is one step of its store, under the store's lock."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from examples.tiny_broker import moving, steering
from examples.tiny_broker.consumer import TinyConsumer
from examples.tiny_broker.store import Store, step
from ltq.broker import (
    DEFAULT_LEASE,
    DEFAULT_SCAN,
    Broker,
    ConsumerConfig,
    Feed,
    Finding,
    HeldTask,
    KeptSchedule,
    Parcel,
    ScheduleChanges,
    ScheduleRecord,
    ScheduleSlot,
    SeenWorker,
    Severity,
    SlotReceipt,
    WorkerEntry,
    check_envelopes,
    check_history,
    check_lanes,
    check_name,
    check_names,
    check_parcels,
    check_record,
    check_rerun,
    check_schedule,
    check_schedule_name,
    check_selection,
    check_slot,
    check_task,
    check_tasks,
    check_worker,
    examine_queues,
    list_workers,
    namespace_of,
    task_query,
)
from ltq.broker.flows import Arrival, Arrived, Ending, Ready, WaitingTask
from ltq.errors import TaskNotFoundError
from ltq.message import DeadLetter, Envelope, Lease, Outcome, Published, Receipt, Swept
from ltq.options import Priority
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

_stores: dict[str, Store] = {}
_stores_lock = threading.Lock()


class TinyBroker(Broker):
    """Tasks in the memory of this process: `tiny://name`, one store for each name."""

    store_type: type[Store] = Store

    def __init__(self, url: str) -> None:
        self._url = url
        with _stores_lock:
            self._store = _stores.setdefault(url, self.store_type())

    @property
    def url(self) -> str:
        return self._url

    @property
    def is_local(self) -> bool:
        return True

    def clone(self) -> "TinyBroker":
        return type(self)(self._url)

    async def ping(self) -> None:
        """There is nothing to reach."""

    async def aclose(self) -> None:
        """There is nothing to close."""

    def open_consumer(self, config: ConsumerConfig) -> TinyConsumer:
        return TinyConsumer(self._store, config)

    async def publish(self, envelopes: Sequence[Envelope]) -> list[Published]:
        check_envelopes(envelopes)
        async with step(self._store) as now:
            return [self._store.publish(envelope, now) for envelope in envelopes]

    async def first(self, queue: str, fingerprint: str) -> str | None:
        check_name("queue", queue)
        async with step(self._store) as now:
            return self._store.first((namespace_of(queue), fingerprint), now)

    async def serve(self, lanes: Sequence[str], duration: float) -> None:
        lanes = check_lanes(lanes)
        async with step(self._store) as now:
            self._store.serve(lanes, duration, now)

    async def served(self, lanes: Sequence[str]) -> list[float | None]:
        lanes = check_lanes(lanes)
        async with step(self._store) as now:
            return [self._store.served_ago(lane, now) for lane in lanes]

    async def announce(self, worker: WorkerEntry) -> bool:
        check_worker(worker)
        async with step(self._store) as now:
            if worker.queues:
                self._store.workers[worker.name] = SeenWorker(worker, now)
            return self._store.flows.is_left(worker.queues)

    async def leave(self, worker: WorkerEntry, lanes: Sequence[str] = ()) -> None:
        check_worker(worker)
        lanes = check_lanes(lanes)
        async with step(self._store) as now:
            self._store.leave(worker, lanes, now)

    async def finish(self, outcomes: Sequence[Outcome]) -> list[Receipt]:
        async with step(self._store) as now:
            return [self._store.finish(outcome, now) for outcome in outcomes]

    async def heartbeat(self, leases: Sequence[Lease], duration: float) -> list[Lease]:
        async with step(self._store) as now:
            lost = []
            for lease in leases:
                task = self._store.held(lease, now)
                if task is None:
                    lost.append(lease)
                else:
                    task.due = now + duration
            return lost

    async def progress(self, lease: Lease, progress: Progress) -> bool:
        async with step(self._store) as now:
            task = self._store.held(lease, now)
            if task is not None:
                task.progress = progress
            return task is not None

    async def append(self, lease: Lease, first: int, items: Sequence[bytes], most: int) -> bool:
        async with step(self._store) as now:
            task = self._store.held(lease, now)
            if task is not None:
                task.append(first, items, most)
            return task is not None

    async def sweep(self, queues: Iterable[str]) -> Swept:
        queues = check_names("queue", queues)
        async with step(self._store) as now:
            return self._store.sweep(map(namespace_of, queues), now)

    async def repair(
        self, queues: Iterable[str], *, lease: float = DEFAULT_LEASE, every: float = 0.0
    ) -> int:
        """Nothing loses its place here: each task has a status, and that is its place."""
        queues = check_names("queue", queues)
        return 0

    async def states(self, queue: str, ids: Sequence[str]) -> list[TaskState[bytes] | None]:
        ids = check_tasks(queue, ids)
        async with step(self._store) as now:
            found = [self._store.get((namespace_of(queue), task_id), now) for task_id in ids]
            return [None if task is None else task.state() for task in found]

    async def items(
        self, queue: str, task_id: str, *, attempt: int = 0, after: int = 0, limit: int = 1000
    ) -> Items | None:
        check_task(queue, task_id)
        async with step(self._store) as now:
            task = self._store.get((namespace_of(queue), task_id), now)
            return None if task is None else task.page(attempt, after, limit)

    def feed(self, queue: str, task_id: str) -> Feed:
        check_task(queue, task_id)
        feed = Feed(self._unfollow)
        with self._store.lock:
            self._store.get((namespace_of(queue), task_id), time.time())
            self._store.feeds[feed] = (namespace_of(queue), task_id)
            self._store.tell()
        return feed

    def _unfollow(self, feed: Feed) -> None:
        with self._store.lock:
            self._store.unfollow(feed)

    async def queues(self) -> list[str]:
        async with step(self._store):
            return sorted(self._store.queues)

    async def stats(self, queues: Sequence[str]) -> list[QueueStats]:
        queues = check_names("queue", queues)
        async with step(self._store) as now:
            return [self._stats(queue, now) for queue in queues]

    def _stats(self, queue: str, now: float) -> QueueStats:
        store = self._store
        tasks = [t for t in store.tasks.values() if t.envelope.queue == queue]
        places = Counter(task.status for task in tasks)
        pending = [task for task in tasks if task.status is Status.PENDING]
        levels = Counter(task.envelope.priority for task in pending)
        apart = [t for t in pending if t.lane != queue and store.served_ago(t.lane, now) != 0.0]
        timed = [t for t in tasks if t.status in (Status.DELAYED, Status.WORKING)]
        late = [t.due for t in timed if t.status is Status.DELAYED and t.due < now]
        return QueueStats(
            queue=queue,
            pending=places[Status.PENDING],
            delayed=places[Status.DELAYED],
            working=places[Status.WORKING],
            dead=len(store.dead_letters(queue, now)),
            rate=store.history.rate(queue, 60.0, now),
            rate_10s=store.history.rate(queue, 10.0, now),
            by_priority={level.name.lower(): levels[level] for level in Priority},
            oldest=_longest([*(task.waits_since for task in pending), *late], now),
            unserved=Counter(task.lane.partition("/")[2] for task in apart),
            unserved_oldest=_longest((task.waits_since for task in apart), now),
            served_ago=store.served_ago(queue, now),
            paused=queue in store.paused,
            unswept=_longest((task.due for task in timed if task.due < now), now),
        )

    async def clear(self, queue: str) -> int:
        check_name("queue", queue)
        async with step(self._store) as now:
            waiting = self._store.waiting(queue)
            for task in waiting:
                self._store.flows.note(task, Status.CANCELLED, now)
                self._store.flows.forget(task.key)
                del self._store.tasks[task.key]
            return len(waiting)

    async def cancel(self, queue: str, task_id: str, result_ttl: float) -> bool:
        check_task(queue, task_id)
        async with step(self._store) as now:
            task = self._store.get((namespace_of(queue), task_id), now)
            if task is None:
                raise TaskNotFoundError(task_id)
            return self._store.cancel(task, result_ttl, now)

    async def pause(self, queue: str) -> None:
        check_name("queue", queue)
        async with step(self._store):
            steering.pause(self._store, queue)

    async def resume(self, queue: str) -> None:
        check_name("queue", queue)
        async with step(self._store):
            steering.resume(self._store, queue)

    async def promote(self, queue: str, ids: Sequence[str]) -> int:
        ids = check_tasks(queue, ids)
        async with step(self._store) as now:
            return sum(steering.promote(self._store, queue, task_id, now) for task_id in ids)

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
        async with step(self._store) as now:
            return steering.cancel_many(self._store, queue, selection, now)

    async def rerun(self, queue: str, ids: Sequence[str]) -> list[str]:
        ids = check_rerun(queue, ids)
        async with step(self._store) as now:
            return steering.rerun(self._store, queue, ids, now)

    async def pack(self, queue: str, ids: Sequence[str]) -> list[Parcel | None]:
        ids = check_tasks(queue, ids)
        async with step(self._store) as now:
            return [moving.pack(self._store, queue, task_id, now) for task_id in ids]

    async def pack_dead(self, queue: str, ids: Sequence[str]) -> list[Parcel | None]:
        ids = check_tasks(queue, ids)
        async with step(self._store) as now:
            return [moving.pack_dead(self._store, queue, task_id, now) for task_id in ids]

    async def adopt(self, parcels: Sequence[Parcel]) -> list[Published]:
        check_parcels(parcels)
        async with step(self._store) as now:
            return [moving.adopt(self._store, parcel, now) for parcel in parcels]

    async def drop(self, parcels: Sequence[Parcel]) -> list[str]:
        check_parcels(parcels)
        async with step(self._store) as now:
            gone = [moving.drop(self._store, parcel, now) for parcel in parcels]
        return [one.envelope.id for one, is_gone in zip(parcels, gone, strict=True) if not is_gone]

    async def find(self, task_id: str) -> TaskState[bytes] | None:
        check_name("task id", task_id)
        async with step(self._store) as now:
            found = [self._store.get(key, now) for key in [*self._store.tasks] if key[1] == task_id]
            return next((task.state() for task in found if task is not None), None)

    async def body(self, queue: str, task_id: str) -> bytes | None:
        check_task(queue, task_id)
        async with step(self._store) as now:
            task = self._store.get((namespace_of(queue), task_id), now)
            return None if task is None or task.status.is_final else task.envelope.body

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
        start, *after = query.position or (None,)
        async with step(self._store) as now:
            own = [key for key in self._store.tasks if key[0] == namespace_of(queue)]
            kept = [task for key in own if (task := self._store.get(key, now)) is not None]
            found = [
                task
                for task in sorted(kept, key=lambda task: task.rank)
                if task.envelope.queue == queue
                and query.matches(task.status, task.envelope.task_name, task.envelope.tags)
            ]
            rest = found
            if start is not None:
                rest = [t for t in found if t.rank > tuple(after) and t.came <= float(start)]
            page = rest[: query.limit]
            more = len(rest) > len(page)
            return Page(
                items=tuple(task.detail() for task in page),
                cursor=query.cursor(start or now, *page[-1].rank) if more else None,
                total=len(found),
            )

    async def workers(self) -> list[WorkerInfo]:
        async with step(self._store) as now:
            held: dict[str, list[HeldTask]] = {}
            for task in self._store.tasks.values():
                if task.status is Status.WORKING:
                    envelope, since = task.envelope, task.last_dequeue_time
                    one = HeldTask(envelope.id, envelope.task_name, since, task.due)
                    held.setdefault(task.worker or "", []).append(one)
            return list_workers(self._store.listed(now), held, now)

    async def history(self, queue: str, minutes: int = 60) -> list[Minute]:
        check_history(queue, minutes)
        async with step(self._store) as now:
            return self._store.history.minutes(queue, minutes, now)

    async def examine(
        self, *, scan: int = DEFAULT_SCAN, on_scan: Callable[[int], object] | None = None
    ) -> list[Finding]:
        text = f"{self.url} is in the memory of one process: its tasks end with it"
        store = Finding("store", Severity.DANGER, text)
        return [store, *examine_queues(await self.stats(await self.queues()))]

    async def dead_letters(
        self, queue: str, *, limit: int = 100, offset: int = 0
    ) -> list[DeadLetter]:
        check_name("queue", queue)
        async with step(self._store) as now:
            return self._store.dead_letters(queue, now)[offset : offset + limit]

    async def dead_letter(self, queue: str | None, task_id: str) -> DeadLetter:
        check_name("task id", task_id)
        if queue is not None:
            check_name("queue", queue)
        async with step(self._store) as now:
            for letter in self._store.dead_letters(queue, now):
                if letter.id == task_id:
                    return letter
            raise TaskNotFoundError(task_id)

    async def replay(self, queue: str, ids: Sequence[str]) -> list[Published]:
        ids = check_tasks(queue, ids)
        async with step(self._store) as now:
            once = dict.fromkeys(ids)
            answers = {task_id: self._store.replay(queue, task_id, now) for task_id in once}
            return [answers[task_id] for task_id in ids]

    async def purge(
        self, queue: str, ids: Sequence[str] | None = None, *, older_than: float = 0.0
    ) -> int:
        check_name("queue", queue)
        if ids is not None:
            ids = check_names("task id", ids)
        async with step(self._store) as now:
            letters = self._store.dead_letters(queue, now)
            old = [one.id for one in letters if one.time <= now - older_than]
            purged = [task_id for task_id in old if ids is None or task_id in ids]
            for task_id in purged:
                del self._store.letters[namespace_of(queue), task_id]
            return len(purged)

    async def time(self) -> float:
        async with step(self._store) as now:
            return now

    async def fire(self, slot: ScheduleSlot) -> SlotReceipt:
        check_slot(slot)
        async with step(self._store) as now:
            return self._store.fire(slot, now)

    async def put_schedule(self, schedule: KeptSchedule, due: int) -> bool:
        check_schedule(schedule)
        async with step(self._store) as now:
            self._store.queues.add(schedule.envelope.queue)
            return self._store.slots.put(schedule, due, now)

    async def adopt_schedule(self, record: ScheduleRecord, due: int) -> bool:
        schedule = check_record(record)
        async with step(self._store) as now:
            self._store.queues.add(schedule.envelope.queue)
            return self._store.slots.adopt(record, schedule, due, now)

    async def remove_schedule(self, queue: str, name: str) -> bool:
        check_schedule_name(queue, name)
        async with step(self._store) as now:
            return self._store.slots.remove((namespace_of(queue), name), now)

    async def pause_schedule(self, queue: str, name: str) -> bool:
        check_schedule_name(queue, name)
        async with step(self._store) as now:
            return self._store.slots.pause((namespace_of(queue), name), now, is_paused=True)

    async def resume_schedule(self, queue: str, name: str) -> bool:
        check_schedule_name(queue, name)
        async with step(self._store) as now:
            return self._store.slots.pause((namespace_of(queue), name), now, is_paused=False)

    async def schedule_marks(self) -> Mapping[str, int]:
        async with step(self._store):
            return self._store.slots.marks()

    async def changed_schedules(self, queue: str, after: int) -> ScheduleChanges:
        check_name("queue", queue)
        async with step(self._store) as now:
            return self._store.slots.changed(namespace_of(queue), after, now)

    async def schedules(
        self, names: Sequence[str], queue: str | None = None
    ) -> list[ScheduleRecord]:
        names = check_names("schedule", names)
        namespace = None if queue is None else namespace_of(check_name("queue", queue))
        async with step(self._store) as now:
            return self._store.slots.named(names, namespace, now)

    async def endings(
        self, queue: str, *, limit: int = 500, older_than: float = 0.0
    ) -> list[Ending]:
        check_name("queue", queue)
        async with step(self._store) as now:
            return self._store.flows.oldest(queue, limit, now - older_than)

    async def carried(self, queue: str, keys: Sequence[str]) -> None:
        check_name("queue", queue)
        async with step(self._store):
            self._store.flows.carried(queue, keys)

    async def arrive(self, queue: str, arrivals: Sequence[Arrival]) -> list[Arrived]:
        check_tasks(queue, [arrival.id for arrival in arrivals])
        async with step(self._store) as now:
            return [self._store.arrive(queue, arrival, now) for arrival in arrivals]

    async def held(self, queue: str, task_id: str, slots: Sequence[int]) -> WaitingTask | None:
        check_task(queue, task_id)
        async with step(self._store) as now:
            task = self._store.get((namespace_of(queue), task_id), now)
            return self._store.flows.read(task, slots)

    async def ctx(self, queue: str, task_id: str) -> bytes | None:
        check_task(queue, task_id)
        async with step(self._store) as now:
            task = self._store.get((namespace_of(queue), task_id), now)
            return None if task is None else task.kept_ctx

    async def go_on(self, queue: str, task_id: str, ready: Ready) -> bool:
        check_task(queue, task_id)
        async with step(self._store) as now:
            task = self._store.get((namespace_of(queue), task_id), now)
            return self._store.go_on(task, ready, now)

    async def cancel_each(self, queue: str, ids: Sequence[str], result_ttl: float) -> int:
        ids = check_tasks(queue, ids)
        async with step(self._store) as now:
            found = [self._store.get((namespace_of(queue), task_id), now) for task_id in ids]
            return sum(
                self._store.cancel(task, result_ttl, now) for task in found if task is not None
            )

    async def restart(self, queue: str, ids: Sequence[str], held: bool) -> int:
        ids = check_tasks(queue, ids)
        async with step(self._store) as now:
            found = [self._store.get((namespace_of(queue), task_id), now) for task_id in ids]
            return sum(self._store.restart(task, now, held=held) for task in found)


def _longest(moments: Iterable[float], now: float) -> float | None:
    """Seconds since the first of these moments; None if there is none."""
    first = min(moments, default=None)
    return None if first is None else max(0.0, now - first)
