"""The tasks of one namespace in memory, and every transition they go through."""

from collections.abc import Callable, Sequence
from contextlib import suppress

from msgspec import structs

from ltq.broker.feed import Feed
from ltq.brokers.memory._places import Letters, Places
from ltq.brokers.memory._record import Letter, Record
from ltq.brokers.memory._schedule_slots import ScheduleTable
from ltq.brokers.memory._throughput import Throughput
from ltq.errors import TaskNotFoundError
from ltq.message import (
    DeadLetter,
    Envelope,
    Failure,
    Finish,
    Lease,
    Outcome,
    Published,
    Receipt,
    Requeue,
    Swept,
)
from ltq.options import DEFAULT_MAX_DELIVERIES, DEFAULT_RESULT_TTL
from ltq.state import Progress, QueueStats, Status, TaskState

_MAX_ENDED = 10_000
_MANY = 1000


class Space:
    """One namespace. The store calls it under its lock and tells it the time.

    `stirred` collects the lanes where something came to be ready, or due sooner than before.
    """

    def __init__(self, stirred: set[str]) -> None:
        self.places = Places()
        self.slots = ScheduleTable(self.publish)
        self._throughput = Throughput()
        self._last_token = 0
        self._stirred = stirred
        self._dead: dict[str, Letters] = {}
        self._firsts: dict[str, tuple[str, float]] = {}
        """By fingerprint: the id of the first task, and until when it stands for others."""
        self._many_firsts = _MANY
        self._ended: dict[str, int] = {}
        """Tokens of tasks that ended and left no state: an outcome may be told twice."""
        self._feeds: dict[str, list[Feed]] = {}

    # Looking

    def get(self, task_id: str, now: float) -> Record | None:
        """The record, unless it is unknown or its final state has expired."""
        record = self.places.records.get(task_id)
        if record is not None and record.expires <= now:
            self._remove(record)
            return None
        return record

    def purge(self, now: float) -> None:
        """Forget final states that have expired."""
        for record in self.places.final.due(now):
            self._remove(record)
        if len(self._firsts) > self._many_firsts:
            self._firsts = {key: one for key, one in self._firsts.items() if one[1] > now}
            self._many_firsts = 2 * len(self._firsts) + _MANY

    def stats(self, queue: str, now: float) -> QueueStats:
        counts = self.places.counts
        return QueueStats(
            queue=queue,
            pending=counts[queue, Status.PENDING],
            delayed=counts[queue, Status.DELAYED],
            working=counts[queue, Status.WORKING],
            dead=self._dead[queue].count(now) if queue in self._dead else 0,
            rate=self._throughput.rate(queue, now),
            by_priority=self.places.count_by_priority(queue),
            oldest=self._oldest(queue, now),
            overdue=0,  # every call takes back what has run out
        )

    def _oldest(self, queue: str, now: float) -> float | None:
        heads = self.places.heads(queue)
        since = (max(head.enqueue_time, head.last_requeue_time or 0.0) for head in heads)
        return max((max(0.0, now - moment) for moment in since), default=None)

    def follow(self, task_id: str, feed: Feed) -> None:
        self._feeds.setdefault(task_id, []).append(feed)

    def unfollow(self, task_id: str, feed: Feed) -> None:
        feeds = self._feeds.get(task_id, [])
        if feed in feeds:
            feeds.remove(feed)
        if not feeds:
            self._feeds.pop(task_id, None)

    # Waiting tasks

    def publish(self, envelope: Envelope, now: float) -> Published:
        present = self.get(envelope.id, now)
        if present is not None:
            is_own = present.envelope.task_name == envelope.task_name
            return Published.EXISTS if is_own else Published.ID_CONFLICT
        if envelope.fingerprint and self.first(envelope.fingerprint, now) is not None:
            return Published.DUPLICATE
        if self._is_full(envelope):
            return Published.FULL
        if envelope.fingerprint:
            self._firsts[envelope.fingerprint] = (envelope.id, now + envelope.unique_for)
        record = Record(envelope, enqueue_time=now)
        due = max(now + envelope.delay, envelope.eta or 0.0)
        if due > now:
            self._delay(record, due)
        else:
            self._enqueue(record)
        return Published.CREATED

    def first(self, fingerprint: str, now: float) -> str | None:
        """The id of the task that was sent with a fingerprint, unless that was too long ago."""
        task_id, until = self._firsts.get(fingerprint, ("", now))
        if until > now:
            return task_id
        self._firsts.pop(fingerprint, None)
        return None

    def clear(self, queue: str) -> int:
        waiting = self.places.waiting(queue)
        for record in waiting:
            self._remove(record)
        return len(waiting)

    def cancel(self, task_id: str, result_ttl: float, now: float) -> bool:
        record = self.get(task_id, now)
        if record is None:
            raise TaskNotFoundError(task_id)
        if record.status.is_final:
            return False
        if record.revoke is not None:
            record.revoke(task_id)
        own_ttl = record.envelope.result_ttl
        record.failure = None
        self._settle(record, Status.CANCELLED, result_ttl if own_ttl is None else own_ttl, now)
        return True

    def sweep(self, now: float) -> Swept:
        promoted = self.places.delayed.due(now)
        for record in promoted:
            self._return(record, now)
        lost = self.places.leased.due(now)
        buried = sum(self._recover(record, now) for record in lost)
        return Swept(recovered=len(lost) - buried, promoted=len(promoted), buried=buried)

    # Dead letters

    def dead_letters(self, queue: str, limit: int, offset: int, now: float) -> list[DeadLetter]:
        letters = self._letters(queue).all(now)[max(0, offset) :]
        return [letter.shown() for letter in letters[: max(0, limit)]]

    def dead_letter(self, queue: str | None, task_id: str, now: float) -> DeadLetter | None:
        queues = self._dead if queue is None else [queue]
        found = (self._letters(queue).get(task_id, now) for queue in queues)
        return next((letter.shown() for letter in found if letter is not None), None)

    def replay(self, queue: str, task_id: str, now: float) -> Published:
        letter = self._letters(queue).get(task_id, now)
        if letter is None:
            return Published.GONE
        old = self.get(task_id, now)
        if old is not None:
            if not old.status.is_final:
                return Published.EXISTS
            self.places.remove(old)
        self._letters(queue).discard(task_id)
        self._enqueue(letter.record(now))
        return Published.CREATED

    def purge_letters(
        self, queue: str, ids: Sequence[str] | None, older_than: float, now: float
    ) -> int:
        letters = self._letters(queue)
        wanted = None if ids is None else set(ids)
        old = [
            letter.envelope.id
            for letter in letters.all(now)
            if letter.time <= now - older_than
            if wanted is None or letter.envelope.id in wanted
        ]
        return sum(map(letters.discard, old))

    # Working tasks

    def lend(
        self,
        record: Record,
        *,
        worker: str,
        lease: float,
        revoke: Callable[[str], None] | None,
        now: float,
    ) -> None:
        """Give a ready task to a worker; `revoke` tells it, from any thread, of a cancellation."""
        self._last_token = max(self._last_token, record.token, int(now * 1e6) - 1) + 1
        record.token = self._last_token
        record.dequeue_count += 1
        record.last_dequeue_time = now
        record.worker = worker
        record.revoke = revoke
        self.places.lease(record, now + lease)
        self._show(record)

    def finish(self, outcome: Outcome, now: float) -> Receipt:
        lease = outcome.lease
        record = self.get(lease.id, now)
        if record is None:
            return Receipt.OK if self._ended.get(lease.id) == lease.token else Receipt.GONE
        if record.status is Status.CANCELLED:
            return Receipt.CANCELLED
        if record.token != lease.token:
            repeated = isinstance(outcome, Requeue) and record.returned == lease.token
            return Receipt.OK if repeated else Receipt.STALE
        if record.status is not Status.WORKING:
            return Receipt.OK  # only its own outcome takes a task away under its present token
        record.failure = outcome.failure
        if isinstance(outcome, Finish):
            self._end(record, outcome, now)
        else:
            self._requeue(record, outcome, now)
        return Receipt.OK

    def renew(self, lease: Lease, duration: float, now: float) -> bool:
        """Prolong a lease; False if it is lost."""
        record = self._held(lease, now)
        if record is not None:
            self.places.leased.set(record, now + duration)
        return record is not None

    def progress(self, lease: Lease, progress: Progress, now: float) -> bool:
        """Set a task's progress; False if the lease is lost."""
        record = self._held(lease, now)
        if record is not None:
            record.progress = progress
            self._show(record)
        return record is not None

    # Steps of the above

    def _is_full(self, envelope: Envelope) -> bool:
        if envelope.max_pending is None:
            return False
        ready = len(self.places.lane(envelope.lane or envelope.queue))
        delayed = self.places.counts[envelope.queue, Status.DELAYED]
        return ready + delayed >= envelope.max_pending

    def _held(self, lease: Lease, now: float) -> Record | None:
        record = self.get(lease.id, now)
        if record is None or record.status is not Status.WORKING or record.token != lease.token:
            return None
        return record

    def _enqueue(self, record: Record, *, front: bool = False) -> None:
        self.places.enqueue(record, front=front)
        self._stirred.add(record.lane)
        self._show(record)

    def _delay(self, record: Record, due: float) -> None:
        earliest = self.places.delayed.next
        if earliest is None or due < earliest:
            self._stirred.add(record.lane)
        self._free(record)
        self.places.delay(record, due)
        self._show(record)

    def _return(self, record: Record, now: float, *, front: bool = False) -> None:
        record.requeue_count += 1
        record.last_requeue_time = now
        self._enqueue(record, front=front)

    def _end(self, record: Record, outcome: Finish, now: float) -> None:
        if outcome.dead:
            self._bury(record, outcome.status, now)
        if outcome.status is Status.COMPLETED or outcome.result:
            record.result = outcome.result
        self._settle(record, outcome.status, outcome.result_ttl, now, token=record.token)
        self._throughput.mark(record.envelope.queue, now)

    def _requeue(self, record: Record, outcome: Requeue, now: float) -> None:
        record.let_go()
        record.returned = record.token
        record.tries += outcome.failed
        if outcome.ctx is not None:
            record.envelope = structs.replace(record.envelope, ctx=outcome.ctx)
        if outcome.timeout is not None:
            record.envelope = structs.replace(record.envelope, timeout=outcome.timeout)
        if outcome.delay > 0:
            self._delay(record, now + outcome.delay)
        else:
            self._return(record, now, front=outcome.front)

    def _recover(self, record: Record, now: float) -> bool:
        """Take a task from a dead worker; True if it was buried, not returned."""
        record.let_go()
        record.deaths += 1
        record.token += 1
        if record.deaths < (record.envelope.max_deliveries or DEFAULT_MAX_DELIVERIES):
            self._return(record, now)
            return False
        times = "once" if record.deaths == 1 else f"{record.deaths} times"
        record.failure = Failure("", f"killed its worker {times}")
        self._bury(record, Status.REJECTED, now)
        ttl = record.envelope.result_ttl
        self._settle(record, Status.REJECTED, DEFAULT_RESULT_TTL if ttl is None else ttl, now)
        return True

    def _settle(
        self, record: Record, status: Status, result_ttl: float, now: float, *, token: int = 0
    ) -> None:
        if result_ttl <= 0:
            self._ended[record.id] = token
            if len(self._ended) > _MAX_ENDED:
                del self._ended[next(iter(self._ended))]
            self._remove(record)
            return
        self._free(record)
        record.let_go()
        record.strip()
        record.release_time = now
        self.places.settle(record, status, now + result_ttl)
        self._show(record)

    def _bury(self, record: Record, status: Status, now: float) -> None:
        for letters in self._dead.values():
            letters.discard(record.id)
        self._dead.setdefault(record.queue, Letters()).add(Letter.of(record, status, now))

    def _letters(self, queue: str) -> Letters:
        return self._dead.get(queue) or Letters()

    def _free(self, record: Record) -> None:
        """It runs no more: where it is limited how many may, another one may start."""
        if self.places.lane(record.lane):
            self._stirred.add(record.lane)

    def _remove(self, record: Record) -> None:
        self._free(record)
        self.places.remove(record)
        self._send(record.id, None)

    def _show(self, record: Record) -> None:
        if record.id in self._feeds:
            self._send(record.id, record.state())

    def _send(self, task_id: str, state: TaskState[bytes] | None) -> None:
        for feed in tuple(self._feeds.get(task_id, ())):
            with suppress(RuntimeError):  # its loop was closed just now
                feed.put_threadsafe(state)
