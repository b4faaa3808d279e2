"""The rules a run is held to when it is over: each gives its violations, with the tasks' ids."""

from collections.abc import Callable, Iterator

from devtools.chaos import jobs
from devtools.chaos.evidence import Evidence, claimed_at, gaps
from devtools.chaos.load import NEIGHBOUR, SORTS, Sent
from devtools.chaos.squad import Life
from ltq import Status, TaskState

SOON = 10.0
"""Seconds after an outage in which something has to begin."""

Rule = Callable[[Evidence], Iterator[str]]


def audit(evidence: Evidence) -> list[str]:
    """Every violation of every rule."""
    return [f"{rule.__name__}: {told}" for rule in _RULES for told in rule(evidence)]


def every_waiter_is_answered(evidence: Evidence) -> Iterator[str]:
    for task_id in evidence.notes.sent:
        if task_id not in evidence.notes.answers and task_id not in evidence.notes.errors:
            yield f"{task_id} was acknowledged, its waiter has no answer"
    for task_id, error in evidence.notes.errors.items():
        yield f"{task_id} was acknowledged, its waiter was told {error!r}"


def every_task_ends_as_it_should(evidence: Evidence) -> Iterator[str]:
    for sent, state in _answered(evidence):
        wanted = _wanted(sent, state, evidence)
        if state.status not in wanted:
            yield (
                f"{sent.id} is {state.status.value}, not {' or '.join(sorted(wanted))}: "
                f"{state.error}, {state.dequeue_count} claims"
            )


def results_are_those_of_the_last_run(evidence: Evidence) -> Iterator[str]:
    for sent, state in _answered(evidence):
        if state.status is Status.COMPLETED:
            told = _wrong_result(sent, state.result, evidence)
            if told:
                yield f"{sent.id} {told}"


def runs_that_repeat_are_explained(evidence: Evidence) -> Iterator[str]:
    for one, two in evidence.repeated:
        if not evidence.explains(one, two):
            yield (
                f"{one.id} ran in {one.pid} (token {one.token}, {one.time:.3f}) and again in "
                f"{two.pid} (token {two.token}, {two.time:.3f}), and no fault explains it"
            )


def nothing_starts_once_cancelled(evidence: Evidence) -> Iterator[str]:
    for sent, state in _answered(evidence):
        if state.status is not Status.CANCELLED or not state.release_time:
            continue
        starts = evidence.starts.get(sent.id, ())
        if state.worker is None and any(e.time > state.release_time for e in starts):
            yield f"{sent.id} was cancelled while it waited, and ran"
        if any(claimed_at(event) > state.release_time for event in starts):
            yield f"{sent.id} was cancelled, and claimed after that"


def what_waits_is_cancelled_by_a_sweep(evidence: Evidence) -> Iterator[str]:
    """Not what was sent, came into the store, or was requeued, while the call was made."""
    sweeps = [
        one
        for one in evidence.notes.sweeps
        if one.status is None and not evidence.may_have_unclaimed(one.began, one.ended)
    ]
    for sent, state in _answered(evidence):
        starts = evidence.starts.get(sent.id, ())
        if not sent.sort.is_swept or state.dequeue_count > len(starts):
            continue  # one that was claimed without a start may have run then
        first = min(map(claimed_at, starts), default=state.release_time or 0.0)
        there = max(sent.time, state.enqueue_time or 0.0)
        for one in sweeps:
            if one.queue == sent.handle.queue and there < one.began and one.ended < first:
                yield (
                    f"{sent.id} waited from {sent.time:.3f} to {first:.3f}, though all with its "
                    f"tag were cancelled from {one.began:.3f} to {one.ended:.3f}"
                )
                break


def sweeps_count_no_more_than_they_cancel(evidence: Evidence) -> Iterator[str]:
    """An attempt that was not answered counts nothing, so they may count less."""
    notes = evidence.notes
    names = tuple(f"{sort.name}-" for sort in SORTS if sort.is_swept)
    unsure = [one for one in {*notes.refused, *notes.in_flight} if one.startswith(names)]
    cancelled = [
        sent.id
        for sent, state in _answered(evidence)
        if sent.sort.is_swept and state.status is Status.CANCELLED
    ]
    counted = sum(one.count for one in notes.sweeps)
    if counted > len(cancelled) + len(unsure):
        yield f"{counted} tasks were counted, {len(cancelled)} (and {len(unsure)} unsure) cancelled"


def nothing_is_claimed_while_paused(evidence: Evidence) -> Iterator[str]:
    for sent in evidence.notes.sent.values():
        pauses = [one for one in evidence.notes.pauses if one.queue == sent.handle.queue]
        for event in evidence.starts.get(sent.id, ()):
            claimed = claimed_at(event)
            if any(one.began < claimed < one.ended for one in pauses):
                yield f"{sent.id} was claimed at {claimed:.3f} while {sent.handle.queue} was paused"


def progress_goes_forward(evidence: Evidence) -> Iterator[str]:
    for task_id in evidence.notes.backwards:
        yield f"{task_id} went back within one run"


def workers_end_as_they_are_told(evidence: Evidence) -> Iterator[str]:
    for life in evidence.lives:
        told = _wrong_end(life, evidence)
        if told:
            yield f"worker {life.worker.pid} (exit code {life.exit_code}) {told}"


def work_goes_on_soon(evidence: Evidence) -> Iterator[str]:
    for gap in gaps(evidence):
        if gap > SOON:
            yield f"nothing began within {gap:.1f} s of an outage's end"


_RULES: tuple[Rule, ...] = (
    every_waiter_is_answered,
    every_task_ends_as_it_should,
    results_are_those_of_the_last_run,
    runs_that_repeat_are_explained,
    nothing_starts_once_cancelled,
    what_waits_is_cancelled_by_a_sweep,
    sweeps_count_no_more_than_they_cancel,
    nothing_is_claimed_while_paused,
    progress_goes_forward,
    workers_end_as_they_are_told,
    work_goes_on_soon,
)


def _answered(evidence: Evidence) -> Iterator[tuple[Sent, TaskState[jobs.Run]]]:
    for task_id, state in evidence.notes.answers.items():
        yield evidence.notes.sent[task_id], state


def _wanted(sent: Sent, state: TaskState[jobs.Run], evidence: Evidence) -> set[Status]:
    if sent.sort is NEIGHBOUR:
        # Toxic tasks may leave it one death only, and then it runs alone: a fault may be that one.
        hit = evidence.last_run_was_hit(sent.id, state.release_time or 0.0)
        return {Status.COMPLETED, Status.REJECTED} if hit else {Status.COMPLETED}
    if sent.sort.is_swept:
        return {Status.COMPLETED, Status.CANCELLED}
    if not sent.sort.cancel:
        return {sent.sort.ends}
    # A cancellation that says "final already" may have been its own, repeated.
    if evidence.notes.cancels.get(sent.id):
        return {Status.CANCELLED}
    return {Status.COMPLETED, Status.CANCELLED}


def _wrong_stream(sent: Sent, result: object, evidence: Evidence) -> str:
    wanted = [*range(sent.number, sent.number + jobs.PARTS)]
    items = evidence.notes.items.get(sent.id)
    if (result, items) == (jobs.PARTS, wanted):
        return ""
    return f"yielded {items}, and returned {result}: {wanted} were sent"


def _wrong_result(sent: Sent, run: jobs.Run | None, evidence: Evidence) -> str:
    if sent.sort.task.name == jobs.streamed.name:
        return _wrong_stream(sent, run, evidence)
    if run is None or run.number != sent.number:
        return f"has the result {run}, sent was number {sent.number}"
    ends = {(event.pid, event.token) for event in evidence.ends.get(sent.id, ())}
    if (run.pid, run.token) not in ends:
        return f"has the result {run}, which no run of the ledger gave: {sorted(ends)}"
    last = max(event.token for event in evidence.starts[sent.id])
    if run.token < last:
        return f"has the result {run}, though a later run had the token {last}: a stale one"
    return ""


def _wrong_end(life: Life, evidence: Evidence) -> str:
    if life.worker.pid in evidence.killers or life.wanted == "kill":
        return ""
    if life.wanted == "term":
        return "did not end with 0 after SIGTERM" if life.exit_code != 0 else ""
    worked = any(event.pid == life.worker.pid for event in evidence.events)
    if not worked and evidence.was_hurt(life.began, life.ended):
        return ""  # the server has to answer when a worker starts
    return f"ended by itself: {life.worker.log()[-600:]}"
