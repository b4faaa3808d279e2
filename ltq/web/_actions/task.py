"""Cancelling, promoting, running a task again, as it was or with other arguments."""

from collections.abc import Mapping

from ltq._declared import DeclaredTask
from ltq.errors import InvalidArgumentsError
from ltq.message import Published
from ltq.options import DEFAULT_RESULT_TTL, PriorityName
from ltq.state import Priority
from ltq.web._actions.act import Act, Again, Done
from ltq.web._pages.page import MissingError
from ltq.web._pages.task import Found, find
from ltq.web._view.form import fields_of, filled, read_fields


async def cancel(act: Act) -> Done:
    """Cancel a task, whether it waits or runs."""
    found, path = await _found(act)
    task = act.ask.board.task(found.state.task_name)
    kept = DEFAULT_RESULT_TTL if task is None else task.result_ttl
    queue, task_id = act.ask.path["queue"], found.state.id
    if await act.ask.board.broker.cancel(queue, task_id, kept):
        return Done(f"cancelled the task {task_id}", path)
    return Done(f"did not cancel the task {task_id}: it has ended already", path, changed=False)


async def promote(act: Act) -> Done:
    """Let a delayed task run now."""
    found, path = await _found(act)
    task_id = found.state.id
    if await act.ask.board.broker.promote(act.ask.path["queue"], [task_id]):
        return Done(f"promoted the task {task_id}: it is pending now", path)
    return Done(f"did not promote the task {task_id}: it is not delayed", path, changed=False)


async def rerun(act: Act) -> Done:
    """Send a task that has ended once more, as a new one."""
    found, _ = await _found(act)
    queue = act.ask.path["queue"]
    (new,) = await act.ask.board.broker.rerun(queue, [found.state.id])
    text = f"sent the task {found.state.id} once more, as {new}"
    return Done(text, f"/queues/{queue}/tasks/{new}")


async def retry(act: Act) -> Done:
    """Enqueue a dead task again."""
    found, path = await _found(act)
    task_id = found.state.id
    (answer,) = await act.ask.board.broker.replay(act.ask.path["queue"], [task_id])
    if answer is Published.CREATED:
        return Done(f"retried the dead task {task_id}", path)
    return Done(f"did not retry the task {task_id}: {_REASONS[answer]}", path, changed=False)


async def purge(act: Act) -> Done:
    """Remove the dead letter of a task."""
    found, path = await _found(act)
    count = await act.ask.board.broker.purge(act.ask.path["queue"], [found.state.id])
    if not count:
        text = f"did not purge the task {found.state.id}: there is no dead letter of it"
        return Done(text, path, changed=False)
    return Done(f"purged the dead letter of the task {found.state.id}", "/dead")


async def send(act: Act) -> Done | Again:
    """Send a task with other arguments, checked by the types of its function."""
    found, _ = await _found(act)
    task = act.ask.board.task(found.state.task_name)
    if task is None:
        raise MissingError(f"The code of {found.state.task_name} is not here.")
    try:
        args, kwargs = read_fields(task, act.form)
        given, named = task.codec.read_call(args, kwargs)
        handle = await _chosen(found, task).send(*given, **named)
    except InvalidArgumentsError as error:
        return Again("edit.html", _again(act, found, task, error), text=str(error))
    return Done(
        f"sent {task.name} with other arguments, as {handle.id}",
        f"/queues/{handle.queue}/tasks/{handle.id}",
    )


_REASONS = {
    Published.EXISTS: "a task with this id waits or runs",
    Published.GONE: "its dead letter is gone",
    Published.EMPTY: "its arguments are lost",
    Published.ID_CONFLICT: "another task has this id",
    Published.DUPLICATE: "the same was sent recently",
    Published.FULL: "its queue is full",
}


_PRIORITIES: Mapping[Priority, PriorityName] = {
    Priority.HIGH: "high",
    Priority.NORMAL: "normal",
    Priority.LOW: "low",
}


def _chosen(found: Found, task: DeclaredTask[..., object]) -> DeclaredTask[..., object]:
    """The task with the priority and the tags of the one that is sent again."""
    priority = _PRIORITIES[found.state.priority]
    return DeclaredTask.of(task.with_options(priority=priority, tags=found.state.tags))


def _again(
    act: Act, found: Found, task: DeclaredTask[..., object], error: InvalidArgumentsError
) -> dict[str, object]:
    fields = filled(fields_of(task, None), act.form)
    text = str(error).removeprefix(f"{task.name}: ")
    wrong = next((one.name for one in fields if f"'{one.name}'" in text), "")
    return {
        "state": found.state,
        "task": task,
        "fields": fields,
        "is_known": True,
        "errors": {wrong: text},
    }


async def _found(act: Act) -> tuple[Found, str]:
    found = await find(act.ask)
    return found, f"/queues/{act.ask.path['queue']}/tasks/{found.state.id}"
