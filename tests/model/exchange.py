"""What is handed to another store, and taken over from there, in plain Python."""

from math import inf
from typing import NamedTuple

from ltq.broker.moving import ADOPTED_TTL, Parcel
from ltq.message import Published
from ltq.state import Status
from tests.model.board import Board
from tests.model.tasks import Letter, Task

WAITING = (Status.PENDING, Status.DELAYED)


class Goods(NamedTuple):
    """A parcel, and what only the model knows of it."""

    parcel: Parcel
    aged: float = 0.0
    """Of a dead letter, by how many seconds it was made older by hand."""

    @property
    def id(self) -> str:
        return self.parcel.envelope.id


class Exchange(Board):
    """Adds the calls that move tasks and dead letters."""

    def to_pack(self, queue: str, task_id: str) -> Task | None:
        """The task that waits in a queue."""
        task = self.tasks.get(task_id)
        return task if task and task.queue == queue and task.status in WAITING else None

    def letter_to_pack(self, queue: str, task_id: str) -> Letter | None:
        """The dead letter of a queue that is whole."""
        letter = self.graveyard.find(queue, task_id)
        return None if letter is None or letter.is_empty else letter

    def unique_until(self, task: Task) -> float:
        """Until when others with the fingerprint of a task are duplicates of it; or 0."""
        task_id, until = self.first.get(task.envelope.fingerprint, ("", 0.0))
        return until if task_id == task.id else 0.0

    def adopt(self, goods: Goods, now: float, token: int) -> Published:
        """`token` is what the broker keeps of the leases that there were elsewhere."""
        parcel = goods.parcel
        if parcel.mark in self.adopted:
            return Published.EXISTS
        known = self._known_letter(parcel) if parcel.is_dead else self._known(parcel)
        if known is not None:
            return known
        self.adopted[parcel.mark] = now + ADOPTED_TTL
        task = self._arrived(parcel, now, token)
        if parcel.is_dead:
            self._bury_again(task, goods, now)
        else:
            self._wait_again(task, parcel)
        self._keep_unique(parcel, now)
        return Published.CREATED

    def _keep_unique(self, parcel: Parcel, now: float) -> None:
        fingerprint, until = parcel.envelope.fingerprint, parcel.unique_until
        is_open = until > (0.0 if now == inf else now)
        if is_open and fingerprint not in self.first:
            self.first[fingerprint] = (parcel.envelope.id, inf if now == inf else until)

    def _known(self, parcel: Parcel) -> Published | None:
        present = self.tasks.get(parcel.envelope.id)
        if present is None:
            return None
        return Published.EXISTS if self._is_of(present, parcel) else Published.ID_CONFLICT

    def _known_letter(self, parcel: Parcel) -> Published | None:
        letter = self.graveyard.letters.get(parcel.envelope.id)
        is_later = letter is not None and (letter.moment or 0.0) >= parcel.when
        return Published.EXISTS if is_later else None

    def _is_of(self, task: Task, parcel: Parcel) -> bool:
        """Whether a task is the one that was packed."""
        named = task.envelope.task_name == parcel.envelope.task_name
        return named and task.stamp == parcel.sent

    def _arrived(self, parcel: Parcel, now: float, token: int) -> Task:
        failure = parcel.failure
        return Task(
            parcel.envelope,
            self._next(),
            sent=inf if now == inf else parcel.enqueue_time,
            token=token,
            tries=parcel.tries - (parcel.status is Status.FAILED),
            deaths=parcel.deaths,
            dequeues=parcel.dequeue_count,
            requeues=parcel.requeue_count,
            came=parcel.last_requeue_time is not None,
            worker=parcel.worker,
            error=None if failure is None else failure.text,
            moment=parcel.enqueue_time,
        )

    def _wait_again(self, task: Task, parcel: Parcel) -> None:
        self.sent += 1
        task.born = self.sent
        self.tasks[task.id] = task
        self.known.add(task.id)
        if parcel.status is Status.DELAYED:
            task.status, task.when = Status.DELAYED, parcel.when
        else:
            self._line(task).append(task.id)

    def _bury_again(self, task: Task, goods: Goods, now: float) -> None:
        parcel = goods.parcel
        died = inf if now == inf else parcel.when + goods.aged
        task.born = -self._next()  # a life of its own: its token begins anew
        letter = Letter(task, parcel.status, task.error, died, self.steps, aged=goods.aged)
        letter.body, letter.name = parcel.envelope.body, parcel.envelope.task_name
        letter.moment, letter.is_moved = parcel.when, True
        self.graveyard.add(letter)

    def drop(self, goods: Goods) -> bool:
        """Whether what was packed is not here any more."""
        parcel = goods.parcel
        if parcel.is_dead:
            letter = self.graveyard.find(parcel.envelope.queue, goods.id)
            if letter is not None and f"{letter.moment or 0.0:.6f}" == parcel.died:
                del self.graveyard.letters[letter.id]
        else:
            task = self.tasks.get(goods.id)
            if task is not None and self._is_of(task, parcel):
                if task.status not in WAITING:
                    return False
                if task.status is Status.PENDING:
                    self._line(task).remove(task.id)
                self.remove(task)
        self.adopted.pop(parcel.mark, None)
        return True
