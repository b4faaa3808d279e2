"""The broker: each call is one step of its store, under the store's lock."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from examples.tiny_broker.consumer import TinyConsumer
from examples.tiny_broker.store import Store, step
from examples.tiny_broker.task import Task
from ltq.broker import (
    DEFAULT_LEASE,
    DEFAULT_SCAN,
    Broker,
    ConsumerConfig,
    Feed,
    Finding,
    ScheduleSlot,
    Severity,
    SlotReceipt,
    examine_queues,
    namespace_of,
)
from ltq.errors import TaskNotFoundError
from ltq.message import DeadLetter, Envelope, Lease, Outcome, Published, Receipt, Swept
from ltq.options import Priority
from ltq.state import Progress, QueueStats, Status, TaskState, WorkerInfo

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
        async with step(self._store) as now:
            return [self._store.publish(envelope, now) for envelope in envelopes]

    async def first(self, queue: str, fingerprint: str) -> str | None:
        async with step(self._store) as now:
            return self._store.first((namespace_of(queue), fingerprint), now)

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

    async def sweep(self, queues: Iterable[str]) -> Swept:
        async with step(self._store) as now:
            return self._store.sweep(map(namespace_of, queues), now)

    async def repair(
        self, queues: Iterable[str], *, lease: float = DEFAULT_LEASE, every: float = 0.0
    ) -> int:
        """Nothing loses its place here: each task has a status, and that is its place."""
        return 0

    async def states(self, queue: str, ids: Sequence[str]) -> list[TaskState[bytes] | None]:
        async with step(self._store) as now:
            found = [self._store.get((namespace_of(queue), task_id), now) for task_id in ids]
            return [None if task is None else task.state() for task in found]

    def feed(self, queue: str, task_id: str) -> Feed:
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
        async with step(self._store) as now:
            return [self._stats(queue, now) for queue in queues]

    def _stats(self, queue: str, now: float) -> QueueStats:
        tasks = [t for t in self._store.tasks.values() if t.envelope.queue == queue]
        places = Counter(task.status for task in tasks)
        pending = [task for task in tasks if task.status is Status.PENDING]
        levels = Counter(task.envelope.priority for task in pending)
        since = [max(task.enqueue_time, task.last_requeue_time or 0.0) for task in pending]
        ended = [name for moment, name in self._store.ended if moment > now - 60]
        return QueueStats(
            queue=queue,
            pending=places[Status.PENDING],
            delayed=places[Status.DELAYED],
            working=places[Status.WORKING],
            dead=len(self._store.dead_letters(queue, now)),
            rate=ended.count(queue) / 60,
            by_priority={level.name.lower(): levels[level] for level in Priority},
            oldest=max(0.0, now - min(since)) if since else None,
        )

    async def clear(self, queue: str) -> int:
        async with step(self._store):
            waiting = self._store.waiting(queue)
            for task in waiting:
                del self._store.tasks[task.key]
            return len(waiting)

    async def cancel(self, queue: str, task_id: str, result_ttl: float) -> bool:
        async with step(self._store) as now:
            task = self._store.get((namespace_of(queue), task_id), now)
            if task is None:
                raise TaskNotFoundError(task_id)
            return self._store.cancel(task, result_ttl, now)

    async def find(self, task_id: str) -> TaskState[bytes] | None:
        async with step(self._store) as now:
            found = [self._store.get(key, now) for key in [*self._store.tasks] if key[1] == task_id]
            return next((task.state() for task in found if task is not None), None)

    async def body(self, queue: str, task_id: str) -> bytes | None:
        async with step(self._store) as now:
            task = self._store.get((namespace_of(queue), task_id), now)
            return None if task is None or task.status.is_final else task.envelope.body

    async def workers(self) -> list[WorkerInfo]:
        async with step(self._store):
            held: dict[str, list[Task]] = {}
            for task in self._store.tasks.values():
                if task.status is Status.WORKING:
                    held.setdefault(task.worker or "", []).append(task)
            return [
                WorkerInfo(
                    name=name,
                    running=tuple(sorted(task.envelope.id for task in tasks)),
                    task_names=tuple(sorted({task.envelope.task_name for task in tasks})),
                    since=min(task.last_dequeue_time or 0.0 for task in tasks),
                )
                for name, tasks in sorted(held.items())
            ]

    async def examine(
        self, *, scan: int = DEFAULT_SCAN, on_scan: Callable[[int], object] | None = None
    ) -> list[Finding]:
        text = f"{self.url} is in the memory of one process: its tasks end with it"
        store = Finding("store", Severity.DANGER, text)
        return [store, *examine_queues(await self.stats(await self.queues()))]

    async def dead_letters(
        self, queue: str, *, limit: int = 100, offset: int = 0
    ) -> list[DeadLetter]:
        async with step(self._store) as now:
            return self._store.dead_letters(queue, now)[offset : offset + limit]

    async def dead_letter(self, queue: str | None, task_id: str) -> DeadLetter:
        async with step(self._store) as now:
            for letter in self._store.dead_letters(queue, now):
                if letter.id == task_id:
                    return letter
            raise TaskNotFoundError(task_id)

    async def replay(self, queue: str, ids: Sequence[str]) -> list[Published]:
        async with step(self._store) as now:
            once = dict.fromkeys(ids)
            answers = {task_id: self._store.replay(queue, task_id, now) for task_id in once}
            return [answers[task_id] for task_id in ids]

    async def purge(
        self, queue: str, ids: Sequence[str] | None = None, *, older_than: float = 0.0
    ) -> int:
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
        async with step(self._store) as now:
            return self._store.fire(slot, now)
