"""The audit of a chaos run finds what it is there for."""

from dataclasses import replace
from typing import Any

import ltq
from devtools.chaos import jobs
from devtools.chaos.audit import audit
from devtools.chaos.evidence import Evidence
from devtools.chaos.inflict import Done
from devtools.chaos.load import NEIGHBOUR, SORTS, Notes, Pause, Sent, Sweep
from devtools.chaos.stage import through
from devtools.ledger import Event
from ltq.brokers.memory import MemoryBroker
from ltq.errors import TaskNotFoundError
from ltq.state import Status, TaskState

ID = "work-7"


def start(pid: int, token: int, time: float, attempt: int = 1) -> Event:
    return Event("start", ID, attempt, pid, time, token)


def end(pid: int, token: int, time: float) -> Event:
    return Event("end", ID, 1, pid, time, token)


def completed(pid: int, token: int) -> TaskState[Any]:
    return ended(Status.COMPLETED, jobs.Run(7, pid, token))


def ended(status: Status, result: jobs.Run | None = None) -> TaskState[Any]:
    return TaskState(
        id=ID, task_name=jobs.work.name, queue=jobs.work.queue, status=status, result=result
    )


def notes(answer: TaskState[Any] | None) -> Notes:
    """One task was sent, and its waiter was given this."""
    sort = next(sort for sort in SORTS if sort.name == "work")
    handle: ltq.Handle[Any] = through(jobs.work, MemoryBroker("memory://audit")).handle(ID)
    given = {} if answer is None else {ID: answer}
    return Notes(sent={ID: Sent(ID, 7, sort, handle, 0.0)}, answers=given)


def violations(
    answer: TaskState[Any] | None, *events: Event, done: tuple[Done, ...] = ()
) -> list[str]:
    return audit(Evidence(events, notes(answer), done, []))


class TestPaused:
    """A task of a queue that was paused from 10 s to 11 s."""

    def told(self, claimed: float, queue: str = jobs.work.queue) -> list[str]:
        seen = notes(completed(1, int(claimed * 1e6)))
        seen.pauses.append(Pause(queue, 10.0, 11.0))
        token = int(claimed * 1e6)
        events = start(1, token, claimed + 2), end(1, token, claimed + 3)
        return audit(Evidence(events, seen, [], []))

    def test_one_that_was_claimed_meanwhile_is_told(self) -> None:
        (told,) = self.told(10.5)
        assert told.startswith(f"nothing_is_claimed_while_paused: {ID} was claimed at 10.500")

    def test_one_that_was_claimed_before_or_after_it_is_right(self) -> None:
        assert self.told(9.9) == self.told(11.1) == self.told(10.5, "chaos:other") == []


class TestSwept:
    """A task with the tag of those that were cancelled from 10 s to 11 s."""

    def told(
        self,
        claimed: float | None,
        *,
        sent: float = 9.0,
        done: tuple[Done, ...] = (),
        sort: str = "swept",
        count: int = 0,
        **state: Any,
    ) -> list[str]:
        token = int((claimed or 0.0) * 1e6)
        answer = completed(1, token) if claimed else ended(Status.CANCELLED)
        seen = notes(replace(answer, **{"dequeue_count": int(claimed is not None), **state}))
        swept = next(one for one in SORTS if one.name == sort)
        seen.sent[ID] = replace(seen.sent[ID], sort=swept, time=sent)
        seen.sweeps.append(Sweep(jobs.work.queue, None, 10.0, 11.0, count))
        events = () if claimed is None else (start(1, token, claimed), end(1, token, claimed))
        return audit(Evidence(events, seen, done, []))

    def test_one_that_waited_all_the_time_should_have_been_cancelled(self) -> None:
        (told,) = self.told(12.0)
        assert told.startswith(f"what_waits_is_cancelled_by_a_sweep: {ID} waited from 9.000 to")
        (told,) = self.told(None, release_time=12.0)
        assert "waited from 9.000 to 12.000" in told

    def test_one_that_was_cancelled_then_is_right(self) -> None:
        assert self.told(None, release_time=10.5, count=1) == []

    def test_one_that_ran_or_was_sent_meanwhile_is_right(self) -> None:
        assert self.told(9.5) == self.told(10.5) == self.told(12.0, sent=10.5) == []

    def test_one_that_was_claimed_in_vain_is_not_judged(self) -> None:
        assert self.told(12.0, dequeue_count=2) == []
        assert self.told(12.0, done=(Done("term", 10.0, 10.0),)) == []
        assert len(self.told(12.0, done=(Done("term", 5.0, 5.0),))) == 1

    def test_one_without_the_tag_must_not_be_cancelled(self) -> None:
        (told,) = self.told(None, sort="spared", release_time=10.5)
        assert told.startswith(f"every_task_ends_as_it_should: {ID} is cancelled, not completed")

    def test_more_than_were_cancelled_cannot_be_counted(self) -> None:
        (told,) = self.told(None, release_time=10.5, count=2)
        assert told.endswith("2 tasks were counted, 1 (and 0 unsure) cancelled")

    def test_a_claim_after_the_cancellation_is_told(self) -> None:
        seen = notes(replace(ended(Status.CANCELLED), worker="w", release_time=10.0))
        seen.sent[ID] = replace(seen.sent[ID], sort=next(one for one in SORTS if one.is_swept))
        runs = start(1, int(9e6), 9.0), start(2, int(10.5e6), 10.6)
        told = audit(Evidence(runs, seen, (Done("redis", 9.0, 10.0),), []))
        assert f"nothing_starts_once_cancelled: {ID} was cancelled, and claimed after that" in told


class TestAudit:
    def test_one_run_and_its_result_are_right(self) -> None:
        assert violations(completed(1, 1), start(1, 1, 0.0), end(1, 1, 0.1)) == []

    def test_a_waiter_without_an_answer(self) -> None:
        (told,) = violations(None)
        assert told == f"every_waiter_is_answered: {ID} was acknowledged, its waiter has no answer"

    def test_a_task_that_is_gone(self) -> None:
        seen = notes(None)
        seen.errors[ID] = TaskNotFoundError(ID)
        (told,) = audit(Evidence([], seen, [], []))
        assert "no task with id" in told

    def test_another_end_than_it_should_have(self) -> None:
        (told,) = violations(ended(Status.REJECTED))
        assert told.startswith(f"every_task_ends_as_it_should: {ID} is rejected, not completed")

    def test_a_result_of_no_run(self) -> None:
        (told,) = violations(completed(2, 1), start(1, 1, 0.0), end(1, 1, 0.1))
        assert "which no run of the ledger gave" in told

    def test_the_result_of_a_run_that_had_lost_its_lease(self) -> None:
        paused = Done("stop", 0.05, 5.0, 1)
        runs = (start(1, 1, 0.0), start(2, 3, 2.0), end(2, 3, 2.1), end(1, 1, 5.1))
        assert violations(completed(2, 3), *runs, done=(paused,)) == []
        (told,) = violations(completed(1, 1), *runs, done=(paused,))
        assert told.endswith("though a later run had the token 3: a stale one")

    def test_a_run_that_nothing_explains(self) -> None:
        runs = (start(1, 1, 0.0), end(1, 1, 0.1), start(2, 3, 2.0), end(2, 3, 2.1))
        (told,) = violations(completed(2, 3), *runs)
        assert told.startswith("runs_that_repeat_are_explained")
        assert violations(completed(2, 3), *runs, done=(Done("redis", 1.0, 1.5),)) == []
        assert violations(completed(2, 3), *runs, done=(Done("redis", 3.0, 3.5),)) == [told]

    def test_another_try_is_no_repetition(self) -> None:
        runs = (start(1, 1, 0.0), start(1, 2, 0.1, attempt=2), end(1, 2, 0.2))
        assert violations(completed(1, 2), *runs) == []

    def test_silence_after_an_outage(self) -> None:
        done = (Done("redis", 1.0, 2.0),)
        (told,) = violations(completed(1, 1), start(1, 1, 15.0), end(1, 1, 15.1), done=done)
        assert told == "work_goes_on_soon: nothing began within 13.0 s of an outage's end"

    def test_a_process_that_was_stopped_before_it_began(self) -> None:
        runs = (start(1, 1, 4.0), end(1, 1, 4.1), start(2, 3, 2.0), end(2, 3, 2.1))
        assert violations(completed(2, 3), *runs, done=(Done("stop", 0.5, 3.9, 1),)) == []
        assert len(violations(completed(2, 3), *runs, done=(Done("stop", 0.5, 3.9, 2),))) == 1

    def test_a_process_that_was_stopped_between_its_claim_and_its_run(self) -> None:
        old, new = int(1.0e6), int(5.0e6)
        runs = (start(1, old, 4.9), end(1, old, 4.9), start(2, new, 5.1), end(2, new, 5.1))
        assert violations(completed(2, new), *runs, done=(Done("stop", 1.1, 4.8, 1),)) == []
        assert len(violations(completed(2, new), *runs, done=(Done("stop", 0.1, 0.9, 1),))) == 1


class TestNeighbours:
    """Tasks that harm nobody, and are buried as soon as a toxic one beside them."""

    def complaints(self, *, done: tuple[Done, ...] = ()) -> list[str]:
        buried = replace(ended(Status.REJECTED), release_time=9.0)
        seen = notes(buried)
        seen.sent[ID] = replace(seen.sent[ID], sort=NEIGHBOUR)
        runs = (start(1, 1, 0.0), start(2, 2, 3.0), start(3, 3, 6.0))
        told = audit(Evidence(runs, seen, done, []))
        return [one for one in told if one.startswith("every_task_ends_as_it_should")]

    def test_one_that_a_fault_hit_at_last_may_be_buried(self) -> None:
        assert self.complaints(done=(Done("stop", 6.1, 9.5, 3),)) == []

    def test_one_that_was_hit_only_before_may_not(self) -> None:
        (told,) = self.complaints(done=(Done("stop", 3.1, 5.5, 2),))
        assert f"{ID} is rejected, not completed" in told
