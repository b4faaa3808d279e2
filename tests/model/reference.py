"""What a broker should do, in plain Python: each call, and what it answers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf

from msgspec import structs

from ltq.broker import Claim
from ltq.broker.flows import ending_key
from ltq.errors import LtqError, RerunError, TaskNotFoundError
from ltq.message import Envelope, Finish, Lease, Outcome, Published, Receipt, Swept
from ltq.options import DEFAULT_RESULT_TTL, Priority
from ltq.state import Progress, Status
from tests.model.claim_budget import ClaimBudget
from tests.model.exchange import Exchange
from tests.model.tasks import Task


@dataclass
class Claiming:
    """A claim, as it was asked for and answered."""

    queues: Sequence[str]
    worker: str
    limit: int
    running: int
    answer: Claim
    repeated: int = 0
    """How many of the deliveries are those of an earlier claim."""
    found: frozenset[str] = frozenset()
    """Ghosts that it came across in the lines."""


@dataclass(frozen=True)
class Selected:
    """Which tasks of a queue a call cancels."""

    queue: str
    status: Status | None
    task_name: str | None
    tag: str | None
    older_than: float | None

    def has(self, task: Task, now: float) -> bool:
        """Whether it is one of them."""
        wanted = (self.status,) if self.status else (Status.PENDING, Status.DELAYED)
        return (
            (task.queue, task.status in wanted) == (self.queue, True)
            and self.task_name in (None, task.envelope.task_name)
            and (self.tag is None or self.tag in task.envelope.tags)
            and (not self.older_than or self._age(task, now) >= self.older_than)
        )

    def _age(self, task: Task, now: float) -> float:
        return 0.0 if now == inf else now - task.sent  # there tasks stay new


class Model(Exchange):
    """The reference that a broker is held against."""

    # Waiting tasks

    def publish(self, envelope: Envelope, now: float, *, again: bool = False) -> Published:
        """`again`: the call may have been carried out before."""
        present = self.tasks.get(envelope.id)
        if present is not None and present.envelope.task_name != envelope.task_name:
            return Published.ID_CONFLICT
        if present is not None or (again and envelope.id in self.ended):
            return Published.EXISTS
        if envelope.fingerprint in self.first:
            return Published.DUPLICATE
        if self._is_full(envelope):
            return Published.FULL
        if envelope.fingerprint:
            self.first[envelope.fingerprint] = (envelope.id, now + envelope.unique_for)
        self._send(envelope, now)
        return Published.CREATED

    def _send(self, envelope: Envelope, now: float) -> None:
        self.sent += 1
        task = self.tasks[envelope.id] = Task(envelope, self._next(), sent=now, born=self.sent)
        self.known.add(envelope.id)
        if envelope.delay > 0:
            task.status, task.when = Status.DELAYED, now + envelope.delay
        else:
            self._line(task).append(task.id)

    def _is_full(self, envelope: Envelope) -> bool:
        limit = inf if envelope.max_pending is None else envelope.max_pending
        waiting = self.of(Status.PENDING, envelope.queue) + self.of(Status.DELAYED, envelope.queue)
        return len(waiting) >= limit

    def would_create(self, envelopes: Sequence[Envelope]) -> bool:
        """Whether a call would enqueue anything."""
        return any(
            one.id not in self.tasks
            and one.fingerprint not in self.first
            and not self._is_full(one)
            for one in envelopes
        )

    def cancel(self, task_id: str, result_ttl: float, now: float) -> bool | None:
        """None: there is no such task."""
        task = self.tasks.get(task_id)
        if task is None:
            return None
        if task.status.is_final:
            return False
        if task.status is Status.PENDING:
            self._line(task).remove(task_id)
        task.progress = task.error = None
        own = task.envelope.result_ttl
        self._settle(task, Status.CANCELLED, result_ttl if own is None else own, now)
        return True

    def cancel_many(self, selection: Selected, now: float) -> int:
        """Returns how many were cancelled."""
        meant = [task for task in self.tasks.values() if selection.has(task, now)]
        for task in meant:
            self.cancel(task.id, DEFAULT_RESULT_TTL, now)
        return len(meant)

    def clear(self, queue: str) -> int:
        waiting = self.of(Status.PENDING, queue) + self.of(Status.DELAYED, queue)
        for task in waiting:
            self.remove(task)
        for level in Priority:
            self.lines[queue, level].clear()
        return len(waiting)

    def pause(self, queue: str) -> None:
        self.paused.add(queue)

    def promote(self, queue: str, ids: Iterable[str]) -> int:
        delayed = {task.id: task for task in self.of(Status.DELAYED, queue) if not task.broken}
        found = [delayed[task_id] for task_id in dict.fromkeys(ids) if task_id in delayed]
        for task in found:
            self._return(task)
        return len(found)

    def refusal(self, queue: str, ids: Sequence[str]) -> LtqError | None:
        """The error that says why tasks cannot run again; None if they can."""
        found = {task_id: self.tasks.get(task_id) for task_id in ids}
        for task_id, task in found.items():
            if task is None or task.queue != queue:
                return TaskNotFoundError(task_id)
        living = [task for task in found.values() if task and not task.status.is_final]
        bare = [task for task in found.values() if task and task.status.is_final]
        reasons = {task.id: task.status.value for task in living}
        reasons |= {task.id: "keep_body" for task in bare if not task.keeps_arguments}
        return RerunError(reasons) if reasons else None

    def rerun(self, ids: Sequence[str], new_ids: Sequence[str], now: float) -> None:
        """Send final tasks once more, as tasks with these ids."""
        for task_id, new_id in zip(ids, new_ids, strict=True):
            old = self.tasks[task_id].envelope
            self._send(structs.replace(old, id=new_id, delay=0.0, fingerprint=""), now)

    def replay(self, queue: str, ids: Iterable[str], call: str, now: float) -> list[Published]:
        return [self._replay(queue, task_id, call, now) for task_id in ids]

    def _replay(self, queue: str, task_id: str, call: str, now: float) -> Published:
        answer = self.graveyard.answer(queue, task_id, call, self.tasks.get(task_id))
        if answer is not None:
            return answer
        task = self.graveyard.revive(task_id, call, self._next(), now)
        self.sent += task_id not in self.tasks
        self.tasks[task_id] = task
        self.known.add(task_id)  # its letter may have come from elsewhere
        self._line(task).append(task_id)
        return Published.CREATED

    # Working tasks

    def claim(self, claim: Claiming, now: float, end: float) -> None:
        """Each delivery in turn must be the first of a line, of the best level there is."""
        queues = [queue for queue in claim.queues if queue not in self.paused]
        lines = [(level, self.lines[queue, level]) for level in Priority for queue in queues]
        found = set(claim.found)
        budget = ClaimBudget(lines, self.tasks, limit=claim.limit, running=claim.running)
        for delivery in claim.answer.deliveries[: claim.repeated]:
            budget.rejoin(self.tasks[delivery.lease.id])
        self._meet(lines, found, now)
        for delivery in claim.answer.deliveries[claim.repeated :]:
            heads = budget.next()
            assert delivery.lease.id in heads, (delivery.lease.id, heads)
            task = self.tasks[delivery.lease.id]
            self._line(task).remove(task.id)
            budget.join(task)
            self._lend(task, delivery, claim.worker, end)
            self._meet(lines, found, now)
        assert not found, "a ghost was found that was not in front"
        budget.check_end(claim.answer)

    def claim_again(self, claim: Claiming, end: float) -> None:
        """The deliveries of an earlier claim come once more, and their leases are renewed."""
        for delivery in claim.answer.deliveries[: claim.repeated]:
            task = self.tasks[delivery.lease.id]
            assert task.status is Status.WORKING
            assert task.worker == claim.worker
            task.check_delivery(delivery)
            task.when = end

    def finish(self, outcome: Outcome, now: float) -> Receipt:
        lease = outcome.lease
        task = self.tasks.get(lease.id) or self.half_broken(lease.id)
        if task is None:
            return self._ended(outcome)
        if task.status is Status.CANCELLED:
            return Receipt.CANCELLED
        if task.token != lease.token or task.status is not Status.WORKING:
            if isinstance(outcome, Finish):
                repeated = (task.token, task.status) == (lease.token, outcome.status)
            else:
                repeated = task.returned == lease.token
            return Receipt.OK if repeated else Receipt.STALE
        if outcome.failure is not None or isinstance(outcome, Finish) or not outcome.is_void:
            task.error = None if outcome.failure is None else outcome.failure.text
        task.progress = None
        if isinstance(outcome, Finish):
            if outcome.follow:
                self.endings.add(ending_key(lease.id, lease.token))
            self._end(task, outcome, now)
        else:
            self._requeue(task, outcome, now)
        return Receipt.OK

    def _ended(self, outcome: Outcome) -> Receipt:
        """The answer to an outcome of a task that has no state."""
        tokens = self.ended.get(outcome.lease.id, {})
        if isinstance(outcome, Finish) and tokens.get(outcome.status) == outcome.lease.token:
            return Receipt.OK
        return Receipt.STALE if outcome.lease.token in tokens.values() else Receipt.GONE

    def renew(self, lease: Lease, end: float) -> bool:
        if self.holds(lease):
            self.tasks[lease.id].when = end
            self.tasks[lease.id].number = self._next()
        return self.holds(lease)

    def append(self, lease: Lease, first: int, items: list[bytes], most: int) -> bool:
        if self.holds(lease):
            self.tasks[lease.id].append(first, items, most)
        return self.holds(lease)

    def show(self, lease: Lease, progress: Progress) -> bool:
        if self.holds(lease):
            self.tasks[lease.id].progress = progress
        return self.holds(lease)

    # Time

    def sweep(self, now: float, *, patient: bool = False) -> Swept:
        """`patient`: leases that ended only now are left to others."""
        promoted = self._overdue(Status.DELAYED, now)
        for task in promoted:
            self._lose(task, now) if task.broken else self._return(task)
        overdue = self._overdue(Status.WORKING, self._patience(now) if patient else now)
        whole = [task for task in overdue if not task.broken]
        whole.sort(key=lambda task: (task.token, task.id))
        buried = sum(self._recover(task, now) for task in whole)
        for task in overdue:
            if task.broken:
                self._lose(task, now)
        returned = sum(not task.broken for task in promoted)
        lost = len(promoted) - returned + len(overdue) - len(whole)
        return Swept(len(whole) - buried, returned, buried, lost)

    def _patience(self, now: float) -> float:
        """Up to when a lease must have ended for a claim to take it back."""
        return now

    def purge(self, now: float) -> None:
        """Final states and letters whose time is over."""
        for task in [task for task in self.tasks.values() if task.expires <= now]:
            self.remove(task)
        self.graveyard.forget(now)
        self.first = {text: one for text, one in self.first.items() if one[1] > now}
        self.adopted = {mark: until for mark, until in self.adopted.items() if until > now}
