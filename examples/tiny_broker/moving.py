"""Handing tasks to another store, and taking over those of another one."""

from dataclasses import replace

from msgspec import structs

from examples.tiny_broker.store import Store
from examples.tiny_broker.task import Task
from ltq.broker import ADOPTED_TTL, Parcel, namespace_of
from ltq.message import Published
from ltq.state import Status

_WAITING = (Status.PENDING, Status.DELAYED)


def pack(store: Store, queue: str, task_id: str, now: float) -> Parcel | None:
    """A task of a queue that waits, as it is."""
    task = store.get((namespace_of(queue), task_id), now)
    if task is None or task.envelope.queue != queue or task.status not in _WAITING:
        return None
    return _parcel(store, task, task.due if task.status is Status.DELAYED else 0.0, now)


def pack_dead(store: Store, queue: str, task_id: str, now: float) -> Parcel | None:
    """A dead letter of a queue, as it is."""
    for letter in store.dead_letters(queue, now):
        if letter.id == task_id:
            _, died = store.letters[namespace_of(queue), task_id]
            return _parcel(store, replace(died, tries=letter.tries), letter.time, now)
    return None


def adopt(store: Store, parcel: Parcel, now: float) -> Published:
    """Take over what another store has packed, unless that was done before."""
    mark = (namespace_of(parcel.envelope.queue), parcel.mark)
    if store.first(mark, now) is not None:
        return Published.EXISTS
    answer = _adopt_letter(store, parcel) if parcel.is_dead else _adopt_task(store, parcel, now)
    if answer is Published.CREATED:
        store.queues.add(parcel.envelope.queue)
        store.firsts[mark] = (parcel.envelope.id, now + ADOPTED_TTL)
        fingerprint = (mark[0], parcel.envelope.fingerprint)
        if parcel.unique_until > now and store.first(fingerprint, now) is None:
            store.firsts[fingerprint] = (parcel.envelope.id, parcel.unique_until)
    return answer


def drop(store: Store, parcel: Parcel, now: float) -> bool:
    """Remove what another store has taken over. Returns whether it is gone."""
    key = (namespace_of(parcel.envelope.queue), parcel.envelope.id)
    if parcel.is_dead:
        letter, _ = store.letters.get(key, (None, None))
        if letter is not None and letter.time == parcel.when:
            del store.letters[key]
    else:
        task = store.get(key, now)
        if task is not None and _is_of(task, parcel):
            if task.status not in _WAITING:
                return False
            del store.tasks[key]
    store.firsts.pop((key[0], parcel.mark), None)
    return True


def _adopt_task(store: Store, parcel: Parcel, now: float) -> Published:
    task = _task(parcel)
    present = store.get(task.key, now)
    if present is not None:
        return Published.EXISTS if _is_of(present, parcel) else Published.ID_CONFLICT
    store.tasks[task.key] = task
    store.wait(task, parcel.when, now)
    return Published.CREATED


def _adopt_letter(store: Store, parcel: Parcel) -> Published:
    task = _task(parcel)
    letter, _ = store.letters.get(task.key, (None, None))
    if letter is not None and letter.time >= parcel.when:
        return Published.EXISTS
    task.status, task.release_time = parcel.status, parcel.when
    task.tries -= parcel.status is Status.FAILED  # the letter counts the last one
    store.bury(task, parcel.when)
    return Published.CREATED


def _is_of(task: Task, parcel: Parcel) -> bool:
    """Whether it is the task that was packed, and not another one with its id."""
    is_same_name = task.envelope.task_name == parcel.envelope.task_name
    return is_same_name and f"{task.enqueue_time:.6f}" == parcel.sent


def _parcel(store: Store, task: Task, when: float, now: float) -> Parcel:
    sent = structs.replace(task.envelope, delay=0.0, eta=None, max_pending=None, unique_for=0.0)
    fingerprint, until = (task.key[0], sent.fingerprint), 0.0
    if sent.fingerprint and store.first(fingerprint, now) == sent.id:
        until = store.firsts[fingerprint][1]
    return Parcel(
        envelope=sent if until else structs.replace(sent, fingerprint=""),
        unique_until=until,
        status=task.status,
        when=when,
        enqueue_time=task.enqueue_time,
        last_dequeue_time=task.last_dequeue_time,
        last_requeue_time=task.last_requeue_time,
        dequeue_count=task.dequeue_count,
        requeue_count=task.requeue_count,
        tries=task.tries,
        deaths=task.deaths,
        worker=task.worker,
        failure=task.failure,
    )


def _task(parcel: Parcel) -> Task:
    return Task(
        parcel.envelope,
        enqueue_time=parcel.enqueue_time,
        last_dequeue_time=parcel.last_dequeue_time,
        last_requeue_time=parcel.last_requeue_time,
        dequeue_count=parcel.dequeue_count,
        requeue_count=parcel.requeue_count,
        tries=parcel.tries,
        deaths=parcel.deaths,
        worker=parcel.worker,
        failure=parcel.failure,
    )
