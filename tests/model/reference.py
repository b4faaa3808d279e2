"""What a broker should do, in plain Python: each call, and what it answers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf

from ltq.broker import Claim
from ltq.message import Envelope, Finish, Lease, Outcome, Published, Receipt, Requeue, Swept
from ltq.options import Priority
from ltq.state import Progress, Status
from tests.model.board import Board
from tests.model.claim_budget import ClaimBudget
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


class Model(Board):
    """The reference that a broker is held against."""

    # Waiting tasks

    def publish(self, envelope: Envelope, now: float, *, again: bool = False) -> Published:
        """`again`: the call may have been carried out before."""
        present = self.tasks.get(envelope.id)
        if present is not None and present.envelope.task_name != envelope.task_name:
            return Published.ID_CONFLICT
        if present is not None or (again and envelope.id in self.ended):
            return Published.EXISTS
        if self._is_full(envelope):
            return Published.FULL
        self.sent += 1
        task = self.tasks[envelope.id] = Task(envelope, self._next(), born=self.sent)
        self.known.add(envelope.id)
        if envelope.delay > 0:
            task.status, task.when = Status.DELAYED, now + envelope.delay
        else:
            self._line(task).append(task.id)
        return Published.CREATED

    def _is_full(self, envelope: Envelope) -> bool:
        limit = inf if envelope.max_pending is None else envelope.max_pending
        waiting = self.of(Status.PENDING, envelope.queue) + self.of(Status.DELAYED, envelope.queue)
        return len(waiting) >= limit

    def would_create(self, envelopes: Sequence[Envelope]) -> bool:
        """Whether a call would enqueue anything."""
        return any(one.id not in self.tasks and not self._is_full(one) for one in envelopes)

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

    def clear(self, queue: str) -> int:
        waiting = self.of(Status.PENDING, queue) + self.of(Status.DELAYED, queue)
        for task in waiting:
            self.remove(task)
        for level in Priority:
            self.lines[queue, level].clear()
        return len(waiting)

    def replay(self, queue: str, ids: Iterable[str], call: str) -> list[Published]:
        return [self._replay(queue, task_id, call) for task_id in ids]

    def _replay(self, queue: str, task_id: str, call: str) -> Published:
        answer = self.graveyard.answer(queue, task_id, call, self.tasks.get(task_id))
        if answer is not None:
            return answer
        task = self.graveyard.revive(task_id, call, self._next())
        self.sent += task_id not in self.tasks
        self.tasks[task_id] = task
        self._line(task).append(task_id)
        return Published.CREATED

    # Working tasks

    def claim(self, claim: Claiming, now: float, end: float) -> None:
        """Each delivery in turn must be the first of a line, of the best level there is."""
        lines = [(level, self.lines[queue, level]) for level in Priority for queue in claim.queues]
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
            return Receipt.OK if self.ended.get(lease.id) == lease.token else Receipt.GONE
        if task.status is Status.CANCELLED:
            return Receipt.CANCELLED
        if task.token != lease.token:
            repeated = isinstance(outcome, Requeue) and task.returned == lease.token
            return Receipt.OK if repeated else Receipt.STALE
        if task.status is Status.WORKING:
            task.error = None if outcome.failure is None else outcome.failure.text
            task.progress = None
            if isinstance(outcome, Finish):
                self._end(task, outcome, now)
            else:
                self._requeue(task, outcome, now)
        return Receipt.OK

    def renew(self, lease: Lease, end: float) -> bool:
        if self.holds(lease):
            self.tasks[lease.id].when = end
            self.tasks[lease.id].number = self._next()
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
