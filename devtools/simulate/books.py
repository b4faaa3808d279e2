"""What was sent, ran and was told in a day, and whether that is right."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import ltq
from ltq.state import Status, TaskState

MAX_TRIES = 4
MAX_DELIVERIES = 3


@dataclass(frozen=True, slots=True)
class Job:
    """What one task shall do."""

    number: int
    fails: int
    """How many of its first runs raise."""
    seconds: float
    """How long each run takes."""


@dataclass
class Books:
    """The books of one day."""

    is_calm: bool
    """Whether nothing fails in this day."""
    sent: dict[int, tuple[Job, ltq.Handle[int]]] = field(default_factory=dict)
    maybe: dict[int, Job] = field(default_factory=dict)
    """Jobs whose send raised: perhaps only the reply was lost."""
    began: Counter[int] = field(default_factory=Counter)
    cancelled: set[int] = field(default_factory=set)
    """Numbers of which a cancellation was asked for."""
    final: dict[int, Status] = field(default_factory=dict)
    """What watchers saw last."""
    paused: dict[str, float] = field(default_factory=dict)
    """Queues that are paused for certain, and since when."""
    orders: dict[int, ltq.WorkflowHandle[int]] = field(default_factory=dict)
    """Workflows that were sent."""
    totals: Counter[int] = field(default_factory=Counter)
    """How often the last node of each ran."""
    ticks: Counter[str] = field(default_factory=Counter)
    """How often each task of the schedule ran."""
    running: int = 0
    most_running: int = 0
    """Of the task with a limit."""
    wrong: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    """All that happened, in order: two days with one seed have the same."""

    def note(self, text: str) -> None:
        """Add a line to the log."""
        self.log.append(text)

    def begin(self, queue: str, job: Job, moment: float) -> int:
        """A run begins. Returns which one of its job it is, from 1 on."""
        if moment > self.paused.get(queue, moment):
            self.wrong.append(f"job {job.number} began at {moment:.3f} in a paused queue")
        self.began[job.number] += 1
        self.note(f"{moment:.3f} run {job.number}")
        if job.number in self.final:
            status = self.final[job.number]
            self.wrong.append(f"job {job.number} ran after it was seen as {status}")
        return self.began[job.number]

    def saw(self, job: Job, state: TaskState[int], moment: float) -> None:
        """A watcher was told of a state."""
        self.note(f"{moment:.3f} saw {job.number} {state.status}")
        before = self.final.get(job.number)
        if before is not None and before is not state.status:
            self.wrong.append(f"job {job.number} was {before}, then {state.status}")
        if state.status.is_final:
            self.final[job.number] = state.status

    def judge_order(self, number: int, state: TaskState[int] | None, parts: int) -> Iterator[str]:
        """What is wrong with a workflow at the end of the day."""
        told = None if state is None else (state.status, state.result)
        if told != (Status.COMPLETED, 2 * parts * number):
            yield f"workflow {number} is {told}"
        if self.is_calm and self.totals[number] != 1:
            yield f"the fan-in of workflow {number} ran {self.totals[number]} times on a calm day"

    def judge_schedule(self, slots: int) -> Iterator[str]:
        """What is wrong with the tasks of a schedule that had so many slots.

        Each slot is one task. Where that cannot end, or its lease be renewed, it runs again.
        """
        runs, most = self.ticks.total(), max(self.ticks.values(), default=0)
        if len(self.ticks) > slots or (self.is_calm and not len(self.ticks) == runs == slots):
            yield f"{len(self.ticks)} tasks of the schedule ran {runs} times for {slots} slots"
        if most > MAX_DELIVERIES:
            yield f"a task of the schedule ran {most} times"

    def findings(self, states: Sequence[TaskState[int] | None]) -> Iterator[str]:
        """What is wrong at the end of the day. The states are those of `sent`, in its order."""
        yield from self.wrong
        for (job, _), state in zip(self.sent.values(), states, strict=True):
            if state is None:
                yield f"job {job.number} has no state"
            else:
                yield from self._judge(job, state)

    def _judge(self, job: Job, state: TaskState[int]) -> Iterator[str]:
        name, runs = f"job {job.number} ({state.status})", self.began[job.number]
        if self.final.get(job.number, state.status) is not state.status:
            yield f"{name} was told to be {self.final[job.number]}"
        if not self._is_explained(job, state):
            yield f"{name}: {runs} runs, {job.fails} to fail; {state.result!r}, {state.error}"
        right = min(job.fails + 1, MAX_TRIES)
        if self.is_calm and job.number not in self.cancelled and runs != right:
            yield f"{name} ran {runs} times on a calm day, not {right}"

    def _is_explained(self, job: Job, state: TaskState[int]) -> bool:
        """Whether a job may have ended so."""
        match state.status:
            case Status.COMPLETED:
                return state.result == 2 * job.number and self.began[job.number] > job.fails
            case Status.FAILED:
                return job.fails >= MAX_TRIES
            case Status.CANCELLED:
                return job.number in self.cancelled
            case Status.REJECTED:  # who cannot renew its leases for long counts as dead
                return not self.is_calm and state.dequeue_count >= MAX_DELIVERIES
        return False  # it never ended
