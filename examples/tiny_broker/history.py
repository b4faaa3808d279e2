"""What happened in the queues: how quickly tasks end, and the figures of each minute."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from examples.tiny_broker.task import Task
from ltq.broker import HISTORY_MINUTES, minute_at, minute_of, run_figures, wait_figures
from ltq.message import Finish, Outcome, Requeue
from ltq.state import Minute, Status

_MINUTE = 60.0


@dataclass
class History:
    """The figures of the last day. Nothing is counted twice: the store calls it once a change."""

    _figures: dict[tuple[str, int], Counter[str]] = field(default_factory=dict)
    """By queue and minute."""
    _ended: deque[tuple[float, str]] = field(default_factory=deque)
    """When tasks of which queue ended in the last minute."""

    def claimed(self, task: Task, now: float) -> None:
        self._count(task, wait_figures(now - task.waits_since), now)

    def has_run(self, task: Task, outcome: Outcome, now: float) -> None:
        if isinstance(outcome, Requeue) and outcome.is_void:
            return
        self._count(task, run_figures(now - (task.last_dequeue_time or now)), now)
        if isinstance(outcome, Finish):
            self._ended.append((now, task.envelope.queue))
            while self._ended[0][0] <= now - _MINUTE:
                self._ended.popleft()
        else:
            self._count(task, {"retried": 1}, now)

    def ended(self, task: Task, status: Status, now: float) -> None:
        self._count(task, {status.value: 1}, now)

    def rate(self, queue: str, seconds: float, now: float) -> float:
        """Tasks per second that ended in a worker within the last seconds, up to a minute."""
        lately = [name for then, name in self._ended if now - then < seconds]
        return lately.count(queue) / seconds

    def minutes(self, queue: str, count: int, now: float) -> list[Minute]:
        last = minute_at(now)
        numbers = range(last - count + 1, last + 1)
        return [minute_of(number, self._figures.get((queue, number), {})) for number in numbers]

    def _count(self, task: Task, figures: Mapping[str, int], now: float) -> None:
        key = (task.envelope.queue, minute_at(now))
        if key not in self._figures:  # a new minute: forget those of yesterday
            for old in [one for one in self._figures if one[1] <= key[1] - HISTORY_MINUTES]:
                del self._figures[old]
            self._figures[key] = Counter()
        self._figures[key].update(figures)
