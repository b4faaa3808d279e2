"""Dead letters in plain Python: one for each id, the oldest first."""

from dataclasses import replace
from math import inf

from ltq.message import Published
from ltq.options import DEAD_TTL
from ltq.state import Status
from tests.model.tasks import GONE, Letter, Task

_EMPTY = {"gone", "string"}


class Graveyard:
    """All letters of one namespace."""

    def __init__(self) -> None:
        self.letters: dict[str, Letter] = {}

    def of(self, queue: str) -> list[Letter]:
        """The letters of a queue, the newest first."""
        own = [letter for letter in self.letters.values() if letter.queue == queue]
        return sorted(own, key=lambda letter: letter.time - letter.aged)[::-1]

    def find(self, queue: str | None, task_id: str) -> Letter | None:
        letter = self.letters.get(task_id)
        return letter if letter is not None and queue in (None, letter.queue) else None

    def bury(self, task: Task, status: Status, error: str | None, now: float, step: int) -> None:
        """Keep a task as it is at its death."""
        letter = Letter(replace(task), status, error, now, step, replay=task.replay)
        letter.body, letter.name = task.envelope.body, task.envelope.task_name
        self.add(letter)

    def bury_broken(self, task: Task, now: float, step: int) -> None:
        """Keep what is left of a task whose record is gone or unusable."""
        error = GONE
        if task.broken == "string" and task.status is Status.PENDING:
            error = "the key of the task does not hold a hash"
        if task.broken == "task":
            error = f"part of {GONE}"
        if task.broken in _EMPTY:
            bare = Task(task.envelope, task.number, born=task.born)
            self.add(Letter(bare, Status.REJECTED, error, now, step))
            return
        self.bury(task, Status.REJECTED, error, now, step)
        if task.broken == "task":
            self.letters[task.id].name = ""

    def add(self, letter: Letter) -> None:
        """Keep a letter, in place of one with its id."""
        self.letters.pop(letter.id, None)
        self.letters[letter.id] = letter

    def forget(self, now: float) -> None:
        """Letters whose time is over."""
        for letter in [*self.letters.values()]:
            if letter.time - letter.aged + DEAD_TTL <= now:
                del self.letters[letter.id]

    def age(self, queue: str, seconds: float) -> None:
        for letter in self.of(queue):
            letter.aged += seconds
            letter.moment = None if letter.moment is None else letter.moment - seconds

    def purge(self, queue: str, ids: list[str] | None, older_than: float, now: float) -> int:
        wanted = [
            letter
            for letter in self.of(queue)
            if (ids is None or letter.id in ids) and self._is_old(letter, older_than, now)
        ]
        for letter in wanted:
            del self.letters[letter.id]
        return len(wanted)

    def _is_old(self, letter: Letter, older_than: float, now: float) -> bool:
        if now == inf:  # there letters grow old by hand only
            return letter.aged >= older_than
        return letter.time - letter.aged <= now - older_than

    def answer(self, queue: str, task_id: str, call: str, task: Task | None) -> Published | None:
        """What a replay is told without doing anything; None if it is to be done."""
        letter = self.letters.get(task_id)
        if letter is None:
            again = task is not None and task.replay == call
            return Published.CREATED if again else Published.GONE
        if letter.replay == call:
            return Published.CREATED
        if letter.queue != queue:
            return Published.GONE
        if letter.is_empty:
            return Published.EMPTY
        if task is not None and not task.status.is_final:
            return Published.EXISTS
        return None

    def revive(self, task_id: str, call: str, number: int, now: float) -> Task:
        """Take a letter out, as the task that it is again."""
        old = self.letters.pop(task_id).task
        return Task(
            old.envelope,
            number,
            sent=now,
            born=old.born,
            token=old.token,
            dequeues=old.dequeues,
            requeues=old.requeues,
            came=old.came,
            worker=old.worker,
            replay=call,
        )
