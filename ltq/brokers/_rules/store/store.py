"""A broker's calls as steps: each opens the places it needs and runs its rule on them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

from ltq.broker import Claim, ClaimBudget, ConsumerConfig, TaskQuery, WorkerEntry
from ltq.broker.flows import has_outline
from ltq.broker.moving import Parcel
from ltq.broker.schedule_slots import ScheduleSlot, SlotReceipt
from ltq.broker.schedules import KeptSchedule, ScheduleChanges, ScheduleRecord
from ltq.broker.selection import Selection
from ltq.brokers._rules import (
    cancel,
    claim,
    dead_letters,
    history,
    leases,
    presence,
    publish,
    schedule_slots,
    sweep,
    unclaim,
)
from ltq.brokers._rules.constants import MOST_SCHEDULES
from ltq.brokers._rules.flows import waiting
from ltq.brokers._rules.listing.page import page
from ltq.brokers._rules.listing.stats import queue_stats
from ltq.brokers._rules.listing.stats import workers as list_workers
from ltq.brokers._rules.outcomes import finish
from ltq.brokers._rules.places import Places
from ltq.brokers._rules.retention import forget_expired
from ltq.brokers._rules.steering import cancel_many, parcels, pause, promote, rerun
from ltq.brokers._rules.steering.cancel_many import Reached
from ltq.brokers._rules.streams import items as stream_items
from ltq.message import DeadLetter, Envelope, Lease, Outcome, Published, Receipt, Swept
from ltq.names import namespace_of, new_id, positions_by_namespace
from ltq.state import Items, Minute, Page, Progress, QueueStats, TaskDetail, TaskState, WorkerInfo

T = TypeVar("T")
A = TypeVar("A")


class Store(ABC):
    """The calls of a broker, synchronous: each public method is one atomic step.

    Each call does what the method of the same name in `ltq.broker` promises. A subclass says what a
    step is, and where the places of a namespace are.
    """

    @abstractmethod
    def _step(self, queues: Iterable[str] = ()) -> AbstractContextManager[float]:
        """One atomic step; the context's value is its time in Unix seconds.

        Its changes are kept when the context ends. If it raises, none of them is. `queues` are
        those whose tasks it will change: where others are waited for, the time is read after that.
        """

    def _read_step(self) -> AbstractContextManager[float]:
        """One step that changes nothing, and its time. A store may have a cheaper one."""
        return self._step()

    @abstractmethod
    def _places(self, namespace: str) -> Places:
        """The places of a namespace, for the rest of the step."""

    @abstractmethod
    def _namespaces(self) -> Iterable[str]:
        """The namespaces that have, or had, tasks."""

    # Tasks

    def publish(self, envelopes: Sequence[Envelope]) -> list[Published]:
        with self._step() as now:
            return self._in_order(envelopes, _queue_of_envelope, publish.publish, now)

    def first(self, queue: str, fingerprint: str) -> str | None:
        with self._read_step() as now:
            return publish.first(self._seen(queue, now), fingerprint, now)

    def serve(self, lanes: Sequence[str], duration: float) -> None:
        def serve(places: Places, some: Sequence[str], now: float) -> list[str]:
            presence.serve(places, some, duration, now)
            return [*some]

        with self._step() as now:
            self._in_order(lanes, str, serve, now)

    def served(self, lanes: Sequence[str]) -> list[float | None]:
        with self._read_step() as now:
            return self._in_order(lanes, str, presence.served, now, reads=True)

    def announce(self, worker: WorkerEntry) -> bool:
        with self._step() as now:
            namespaces = dict.fromkeys(map(namespace_of, worker.queues))
            found = [presence.announce(self._open(one, now), worker, now) for one in namespaces]
            return any(found)

    def leave(self, worker: WorkerEntry, lanes: Sequence[str]) -> None:
        with self._step() as now:
            for namespace in dict.fromkeys(map(namespace_of, [*worker.queues, *lanes])):
                own = [lane for lane in lanes if namespace_of(lane) == namespace]
                presence.leave(self._open(namespace, now), worker, own, now)

    def claim(self, consumer: ConsumerConfig, budget: ClaimBudget) -> Claim:
        with self._step(consumer.namespaces) as now:
            served = {namespace: self._open(namespace, now) for namespace in consumer.namespaces}
            return claim.claim(served, consumer, budget, now)

    def next_claim(self, consumer: ConsumerConfig) -> float | None:
        """Seconds until a claim may give something without a wake-up; None if unknown."""
        with self._read_step() as now:
            served = {namespace: self._seen(namespace, now) for namespace in consumer.namespaces}
            return claim.next_claim(served, consumer, now)

    def unclaim(self, given: Sequence[Lease]) -> int:
        """Let tasks that were claimed for nobody wait again. Returns how many still were."""
        with self._step(map(_queue_of_lease, given)) as now:
            return sum(self._in_order(given, _queue_of_lease, unclaim.unclaim, now))

    def finish(self, received: Sequence[Outcome]) -> list[Receipt]:
        with self._step(map(_queue_of_outcome, received)) as now:
            return self._in_order(received, _queue_of_outcome, finish.finish, now)

    def heartbeat(self, held: Sequence[Lease], duration: float) -> list[Lease]:
        def renew(places: Places, some: Sequence[Lease], now: float) -> list[bool]:
            return leases.renew(places, some, duration, now)

        with self._step() as now:
            renewed = self._in_order(held, _queue_of_lease, renew, now)
        return [lease for lease, is_held in zip(held, renewed, strict=True) if not is_held]

    def progress(self, lease: Lease, progress: Progress) -> bool:
        with self._step() as now:
            return leases.show_progress(self._open(lease.queue, now), lease, progress, now)

    def append(self, lease: Lease, first: int, items: Sequence[bytes], most: int) -> bool:
        with self._step() as now:
            return stream_items.append(self._open(lease.queue, now), lease, first, items, most, now)

    def sweep(self, queues: Iterable[str]) -> Swept:
        namespaces = dict.fromkeys(map(namespace_of, queues))
        with self._step(namespaces) as now:
            swept = [sweep.sweep(self._open(namespace, now), now) for namespace in namespaces]
        return Swept(
            recovered=sum(each.recovered for each in swept),
            promoted=sum(each.promoted for each in swept),
            buried=sum(each.buried for each in swept),
        )

    def cancel(self, queue: str, task_id: str, result_ttl: float) -> bool:
        with self._step([queue]) as now:
            return cancel.cancel(self._open(queue, now), task_id, result_ttl, now)

    def clear(self, queue: str, most: int) -> int:
        with self._step([queue]) as now:
            return cancel.clear(self._open(queue, now), queue, most, now)

    def in_places(self, queue: str, rule: Callable[[Places, float], T]) -> T:
        """Apply a rule to the places of a queue's namespace."""
        with self._step([queue]) as now:
            return rule(self._open(queue, now), now)

    def cancel_each(self, queue: str, ids: Sequence[str], result_ttl: float) -> int:
        with self._step([queue]) as now:
            places = self._open(queue, now)
            return waiting.cancel_each(places, now, ids=ids, result_ttl=result_ttl)

    def seen_in_places(self, queue: str, rule: Callable[[Places, float], T]) -> T:
        """Apply a rule that only reads to the places of a queue's namespace."""
        with self._read_step() as now:
            return rule(self._seen(queue, now), now)

    def pause(self, queue: str) -> None:
        with self._step() as now:
            pause.pause(self._open(queue, now), queue)

    def resume(self, queue: str) -> None:
        with self._step() as now:
            pause.resume(self._open(queue, now), queue)

    def promote(self, queue: str, ids: Sequence[str]) -> int:
        with self._step([queue]) as now:
            return promote.promote(self._open(queue, now), queue, ids, now)

    def cancel_some(
        self, queue: str, selection: Selection, reached: Reached | None, most: int
    ) -> tuple[int, Reached | None]:
        with self._step([queue]) as now:
            places = self._open(queue, now)
            return cancel_many.cancel_some(places, queue, selection, reached, most, now)

    def rerun(self, queue: str, ids: Sequence[str]) -> list[str]:
        new_ids = [new_id() for _ in ids]
        with self._step([queue]) as now:
            rerun.rerun(self._open(queue, now), queue, ids, new_ids, now)
        return new_ids

    def pack(self, queue: str, ids: Sequence[str]) -> list[Parcel | None]:
        with self._read_step() as now:
            return parcels.pack(self._seen(queue, now), queue, ids, now)

    def pack_dead(self, queue: str, ids: Sequence[str]) -> list[Parcel | None]:
        with self._read_step() as now:
            return parcels.pack_dead(self._seen(queue, now), queue, ids, now)

    def adopt(self, packed: Sequence[Parcel]) -> list[Published]:
        with self._step() as now:
            return self._in_order(packed, _queue_of_parcel, parcels.adopt, now)

    def drop(self, packed: Sequence[Parcel]) -> list[str]:
        with self._step() as now:
            is_gone = self._in_order(packed, _queue_of_parcel, parcels.drop, now)
        return [one.envelope.id for one, gone in zip(packed, is_gone, strict=True) if not gone]

    def fire(self, slot: ScheduleSlot) -> SlotReceipt:
        with self._step() as now:
            return schedule_slots.fire(self._open(slot.queue, now), slot, now)

    # Schedules

    def put_schedule(self, schedule: KeptSchedule, due: int) -> bool:
        with self._step() as now:
            return schedule_slots.put(self._open(schedule.envelope.queue, now), schedule, due, now)

    def adopt_schedule(self, record: ScheduleRecord, schedule: KeptSchedule, due: int) -> bool:
        with self._step() as now:
            places = self._open(schedule.envelope.queue, now)
            return schedule_slots.adopt(places, record, schedule, due, now)

    def remove_schedule(self, queue: str, name: str) -> bool:
        with self._step() as now:
            return schedule_slots.remove(self._open(queue, now), name, now)

    def pause_schedule(self, queue: str, name: str) -> bool:
        with self._step() as now:
            return schedule_slots.pause(self._open(queue, now), name, now)

    def resume_schedule(self, queue: str, name: str) -> bool:
        with self._step() as now:
            return schedule_slots.resume(self._open(queue, now), name, now)

    def schedule_marks(self) -> Mapping[str, int]:
        with self._read_step():
            latest = {
                one: self._places(one).schedule_changes.latest() for one in self._namespaces()
            }
            return {namespace: number for namespace, number in latest.items() if number}

    def changed_schedules(self, queue: str, after: int) -> ScheduleChanges:
        namespace = namespace_of(queue)
        with self._read_step() as now:
            places = self._seen(queue, now)
            return schedule_slots.changed(places, namespace, after, MOST_SCHEDULES, now)

    def schedules(self, names: Sequence[str], queue: str | None) -> list[ScheduleRecord]:
        with self._read_step() as now:
            namespaces = [*self._namespaces()] if queue is None else [namespace_of(queue)]
            found = (
                schedule_slots.named(self._seen(one, now), one, [*names], now) for one in namespaces
            )
            return [record for some in found for record in some]

    # Reading

    def states(self, queue: str, ids: Sequence[str]) -> list[TaskState[bytes] | None]:
        with self._read_step() as now:
            return self._states(self._seen(queue, now), ids, now)

    def items(self, queue: str, task_id: str, attempt: int, after: int, limit: int) -> Items | None:
        with self._read_step() as now:
            places = self._seen(queue, now)
            return stream_items.read(places, task_id, attempt, after, limit, now)

    def find(self, task_id: str) -> TaskState[bytes] | None:
        with self._read_step() as now:
            found = (self._states(places, [task_id], now)[0] for places in self._all(now))
            return next((state for state in found if state is not None), None)

    def body(self, queue: str, task_id: str) -> bytes | None:
        with self._read_step() as now:
            record = self._seen(queue, now).records.get(task_id)
            return None if record is None or record.status.is_final else record.envelope.body

    def ctx(self, queue: str, task_id: str) -> bytes | None:
        with self._read_step() as now:
            record = self._seen(queue, now).records.get(task_id)
            if record is None:
                return None
            ctx = record.envelope.ctx
            return ctx if not record.status.is_final or has_outline(ctx) else b""

    def tasks(self, query: TaskQuery, *, lists_final: bool = True) -> Page[TaskDetail]:
        with self._read_step() as now:
            places = self._seen(query.queue, now)
            return page(places, query, now, lists_final=lists_final)

    def queues(self) -> list[str]:
        with self._read_step() as now:
            return sorted(name for places in self._all(now) for name in places.queues.names())

    def stats(self, queues: Sequence[str]) -> list[QueueStats]:
        with self._read_step() as now:
            return self._in_order(queues, str, queue_stats, now, reads=True)

    def history(self, queue: str, minutes: int) -> list[Minute]:
        with self._read_step() as now:
            return history.minutes(self._seen(queue, now), queue, minutes, now)

    def workers(self) -> list[WorkerInfo]:
        with self._read_step() as now:
            return list_workers(self._all(now), now)

    # Dead letters

    def dead_letters(self, queue: str, limit: int, offset: int) -> list[DeadLetter]:
        with self._read_step() as now:
            return dead_letters.newest(self._seen(queue, now), queue, limit, offset, now)

    def dead_letter(self, queue: str | None, task_id: str) -> DeadLetter | None:
        with self._read_step() as now:
            namespaces = self._all(now) if queue is None else [self._seen(queue, now)]
            found = (dead_letters.get(places, queue, task_id, now) for places in namespaces)
            return next((letter for letter in found if letter is not None), None)

    def replay(self, queue: str, ids: Sequence[str]) -> list[Published]:
        with self._step() as now:
            answers = dead_letters.replay(self._open(queue, now), queue, ids, now)
            return [answers[task_id] for task_id in ids]

    def purge(self, queue: str, ids: Sequence[str] | None, older_than: float) -> int:
        with self._step() as now:
            return dead_letters.purge(self._open(queue, now), queue, ids, older_than, now)

    # Helpers

    def _open(self, queue: str, now: float) -> Places:
        """The places of a queue's namespace, after expired states have been forgotten."""
        places = self._places(namespace_of(queue))
        forget_expired(places, now)
        return places

    def _seen(self, queue: str, now: float) -> Places:
        """The places of a queue's namespace, for rules that only read."""
        return self._open(queue, now)

    def _all(self, now: float) -> list[Places]:
        return [self._seen(namespace, now) for namespace in self._namespaces()]

    def _in_order(
        self,
        items: Sequence[A],
        queue_of: Callable[[A], str],
        rule: Callable[[Places, Sequence[A], float], list[T]],
        now: float,
        *,
        reads: bool = False,
    ) -> list[T]:
        """Apply a rule to the items of each namespace. The answers are in the items' order.

        `reads` says that the rule only reads.
        """
        places_of = self._seen if reads else self._open
        answers: dict[int, T] = {}
        for namespace, indexes in positions_by_namespace(items, queue_of).items():
            some = [items[index] for index in indexes]
            answers.update(zip(indexes, rule(places_of(namespace, now), some, now), strict=True))
        return [answers[index] for index in range(len(items))]

    @staticmethod
    def _states(places: Places, ids: Sequence[str], now: float) -> list[TaskState[bytes] | None]:
        places.records.load(ids)
        records = map(places.records.get, ids)
        return [
            None if record is None or record.is_expired(now) else record.state()
            for record in records
        ]


def _queue_of_envelope(envelope: Envelope) -> str:
    return envelope.queue


def _queue_of_outcome(outcome: Outcome) -> str:
    return outcome.lease.queue


def _queue_of_parcel(parcel: Parcel) -> str:
    return parcel.envelope.queue


def _queue_of_lease(lease: Lease) -> str:
    return lease.queue
