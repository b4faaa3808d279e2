"""What one claim may give, step by step."""

from collections.abc import Iterator, Sequence
from math import inf

from ltq.broker import Claim
from ltq.options import Priority
from tests.model.tasks import Task

Line = list[str]


class ClaimBudget:
    """The tasks of one claim beside those that run already, as they come one after the other.

    `lines` are those served, with their level; each gives only its first, and only where that one
    has no more beside it than it may.
    """

    def __init__(
        self,
        lines: Sequence[tuple[Priority, Line]],
        tasks: dict[str, Task],
        *,
        limit: int,
        running: int,
    ) -> None:
        self._lines = lines
        self._tasks = tasks
        self._room: float = limit
        self._present = running

    def next(self) -> list[str]:
        """The ids one of which must be the next, if any comes."""
        if self._room <= 0:
            return []
        open_lines = [(level, head) for level, head in self._heads() if self._fits(head)]
        best = min((level for level, _ in open_lines), default=None)
        return [head for level, head in open_lines if level == best]

    def join(self, task: Task) -> None:
        assert self._present < task.isolation, "a task came into larger company than it may have"
        self.rejoin(task)

    def rejoin(self, task: Task) -> None:
        """Take in a task that was given before, when others may have been there."""
        self._room = min(self._room, task.isolation - self._present) - 1
        self._present += 1

    def check_end(self, claim: Claim) -> None:
        """The end of the claim: of the tasks that were left the smallest company is named."""
        assert not self.next(), "ready tasks were not given"
        needs = [self._tasks[head].isolation for _, head in self._heads() if not self._fits(head)]
        if claim.isolation is not None:
            assert claim.isolation in needs
        elif self._room > 0:
            assert not needs, "nobody is told that a task waits for smaller company"
        if self._room > 0 and needs:
            assert claim.isolation == min(needs)

    def _heads(self) -> Iterator[tuple[Priority, str]]:
        return ((level, line[0]) for level, line in self._lines if line)

    def _fits(self, task_id: str) -> bool:
        task = self._tasks.get(task_id)
        return self._present < (inf if task is None else task.isolation)
