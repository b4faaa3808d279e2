"""A task: all that is known of it, and the form that sends it again with other arguments."""

from contextlib import suppress
from typing import Any, NamedTuple

from ltq._display.encoded import Encoded
from ltq.broker.flows import waits_for_others
from ltq.errors import TaskNotFoundError
from ltq.message import DeadLetter
from ltq.names import is_name
from ltq.state import Status, TaskState
from ltq.web._pages.page import Ask, MissingError, no_task
from ltq.web._pages.workflow import read_workflow
from ltq.web._view.command import send_command
from ltq.web._view.form import fields_of
from ltq.web._view.values import Shown

_LONGEST_COMMAND = 20_000
"""Characters. A shell takes no argument of much more."""


_MOST_ITEMS = 20
"""Most items of a stream that are shown: the last ones."""


class Found(NamedTuple):
    """A task, and the letter of it if it is dead."""

    state: TaskState[bytes]
    letter: DeadLetter | None
    body: Encoded | None
    """Its arguments; None if they are not kept, or cannot be read from outside."""


class Moment(NamedTuple):
    """A line of the timeline."""

    time: float
    text: str
    kind: str
    """What it looks like: the name of a status, or empty."""


async def find(ask: Ask) -> Found:
    """The task that the address names. Raises `MissingError`."""
    queue, task_id = ask.path["queue"], ask.path["id"]
    if not (is_name(queue) and is_name(task_id)):
        no_task(ask, task_id)
    broker, bounded = ask.board.broker, ask.readings.bounded
    (state,) = await bounded(broker.states(queue, [task_id]))
    letter: DeadLetter | None = None
    if state is None or state.status.is_dead:
        with suppress(TaskNotFoundError):
            letter = await bounded(broker.dead_letter(queue, task_id))
    if state is None:
        if letter is None:
            no_task(ask, task_id)
        state = _state_of(letter)
    if letter is not None:
        body = letter.body
        return Found(state, letter, None if body is None else Encoded(body, letter.serializer))
    has_call = not (state.status.is_final or waits_for_others(state))
    body = None if not has_call else await bounded(broker.body(queue, task_id))
    return Found(state, letter, None if body is None else Encoded(body, state.serializer))


async def read_task(ask: Ask) -> dict[str, Any]:
    """Everything about one task."""
    found = await find(ask)
    state, task = found.state, ask.board.task(found.state.task_name)
    shown = None if found.body is None else ask.viewer.call(state.task_name, found.body, task)
    now = await ask.readings.now()
    return {
        "now": now,
        "state": state,
        "dead": found.letter,
        "arguments": shown,
        "result": _result(ask, state),
        "items": await _items(ask, state),
        "waits": waits_for_others(state),
        "workflow": await read_workflow(ask, state),
        "note": ask.viewer.note(state),
        "timeline": _timeline(state),
        "can_edit": task is not None and not (shown is not None and shown.is_redacted),
        "knows_task": task is not None,
        "command": _command(ask, found, shown),
        "max_tries": None if task is None else task.config.max_tries,
    }


async def read_edit(ask: Ask) -> dict[str, Any]:
    """The form that sends a task again: its fields are those of the task's function."""
    found = await find(ask)
    task = ask.board.task(found.state.task_name)
    if task is None:
        raise MissingError(
            f"The code of {found.state.task_name} is not here, so its arguments cannot be checked. "
            "Give the dashboard its worker: dashboard(worker), or `ltq web jobs:worker`."
        )
    shown = None if found.body is None else ask.viewer.call(task.name, found.body, task)
    if shown is not None and shown.is_redacted:
        raise MissingError("Some of its arguments are hidden here, so they cannot be sent again.")
    return {
        "now": await ask.readings.now(),
        "state": found.state,
        "task": task,
        "fields": fields_of(task, None if shown is None else shown.call),
        "is_known": shown is not None,
        "errors": {},
    }


def _state_of(letter: DeadLetter) -> TaskState[bytes]:
    """What is known of a task of which only the dead letter is left."""
    return TaskState(
        id=letter.id,
        task_name=letter.task_name,
        queue=letter.queue,
        status=letter.status,
        tags=letter.tags,
        enqueue_time=letter.enqueue_time,
        release_time=letter.time,
        dequeue_count=letter.dequeue_count,
        requeue_count=letter.requeue_count,
        tries=letter.tries,
        deaths=letter.deaths,
        worker=letter.worker,
        serializer=letter.serializer,
        error=letter.error,
        error_type=letter.error_type,
        traceback=letter.traceback,
    )


async def _items(ask: Ask, state: TaskState[bytes]) -> list[str]:
    """The last items of a stream."""
    if not state.items:
        return []
    spot = {"attempt": state.dequeue_count, "after": max(0, state.items - _MOST_ITEMS)}
    reading = ask.board.broker.items(state.queue, state.id, **spot)
    found = await ask.readings.bounded(reading)
    items = () if found is None else found.items[-_MOST_ITEMS:]
    return [ask.viewer.item_line(state.task_name, item) for item in items]


def _result(ask: Ask, state: TaskState[bytes]) -> Shown | None:
    if not state.result:
        return None
    task = ask.board.task(state.task_name)
    return ask.viewer.result(state.task_name, Encoded(state.result, state.serializer), task)


def _command(ask: Ask, found: Found, shown: Shown | None) -> str:
    """The task as `ltq send` in a shell; empty if its arguments are not known here, or too long."""
    if shown is None or shown.call is None:
        return ""
    workers = [one for one in ask.board.workers if found.state.task_name.startswith(f"{one.name}:")]
    text = send_command(found.state, shown.call, ask.board.url, workers[0] if workers else None)
    return text if len(text) <= _LONGEST_COMMAND else ""


def _timeline(state: TaskState[bytes]) -> list[Moment]:
    """What has happened, in order of time; what is to come is last."""
    moments = [
        Moment(time, text, kind)
        for time, text, kind in (
            (state.enqueue_time, "sent", Status.PENDING),
            (state.last_requeue_time, _back(state), Status.PENDING),
            (state.last_dequeue_time, _claimed(state), Status.WORKING),
            (state.release_time, state.status.value, state.status),
            (state.due_time, "due", Status.DELAYED),
        )
        if time is not None
    ]
    return sorted(moments, key=lambda one: one.time)


def _claimed(state: TaskState[bytes]) -> str:
    by = f" by {state.worker}" if state.worker else ""
    again = f", for the {_nth(state.dequeue_count)} time" if state.dequeue_count > 1 else ""
    return f"claimed{by}{again}"


def _back(state: TaskState[bytes]) -> str:
    if state.requeue_count > 1:
        return f"back in its queue, for the {_nth(state.requeue_count)} time"
    return "back in its queue" if state.requeue_count else "due, and ready"


def _nth(number: int) -> str:
    tail = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number % 100 in (11, 12, 13) else tail}"
