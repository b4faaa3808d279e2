"""Holding queues back, letting them go on, starting delayed tasks now, and final ones once more."""

from collections.abc import Sequence

from msgspec.structs import replace

from examples.tiny_broker.flows import waits
from examples.tiny_broker.store import Store
from examples.tiny_broker.task import Task
from ltq.broker import Selection, namespace_of
from ltq.errors import RerunError, TaskNotFoundError
from ltq.message import new_id
from ltq.options import DEFAULT_RESULT_TTL
from ltq.state import Status


def pause(store: Store, queue: str) -> None:
    """Let consumers take nothing of a queue. It is known from now on."""
    store.queues.add(queue)
    store.paused.add(queue)


def resume(store: Store, queue: str) -> None:
    """Let consumers take tasks of a queue again."""
    store.paused.discard(queue)
    store.is_stirred = True  # those that wait look again


def promote(store: Store, queue: str, task_id: str, now: float) -> bool:
    """Make a delayed task of a queue pending. Returns whether it was delayed."""
    task = store.get((namespace_of(queue), task_id), now)
    if task is None or task.envelope.queue != queue or task.status is not Status.DELAYED:
        return False
    if waits(task):
        return False  # for others, and not for its time
    store.become_due(task, min(now, task.due), now)
    return True


def cancel_many(store: Store, queue: str, selection: Selection, now: float) -> int:
    """Cancel all tasks that are meant, in one step. A real store takes small ones."""

    def is_meant(task: Task) -> bool:
        envelope, age = task.envelope, now - task.enqueue_time
        is_meant = selection.means(task.status, envelope.task_name, envelope.tags, age)
        return is_meant and envelope.queue == queue

    meant = [task for task in store.tasks.values() if is_meant(task)]
    return sum(store.cancel(task, DEFAULT_RESULT_TTL, now) for task in meant)


def rerun(store: Store, queue: str, ids: Sequence[str], now: float) -> list[str]:
    """Send final tasks once more, or none of them."""
    reasons, new = dict[str, str](), list[str]()
    tasks = list[Task]()
    for task_id in ids:
        task = store.get((namespace_of(queue), task_id), now)
        if task is None or task.envelope.queue != queue:
            raise TaskNotFoundError(task_id)
        if not task.status.is_final:
            reasons[task_id] = f"it has not ended: {task.status}"
        elif not task.envelope.keeps_body(task.status):
            reasons[task_id] = "its arguments were not kept (keep_body)"
        tasks.append(task)
    if reasons:
        raise RerunError(reasons)
    for task in tasks:
        new.append(new_id())
        serializer = task.body_serializer or task.envelope.serializer
        sent = replace(task.envelope, id=new[-1], serializer=serializer, max_pending=None)
        store.publish(replace(sent, fingerprint="", delay=0.0, eta=None), now)
    return new
