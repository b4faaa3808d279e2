"""What the broker knows of a task, looked up while it changes."""

import asyncio
from typing import Any, cast

import pytest

import ltq
from ltq.broker import Broker
from ltq.contrib.django._calls import QueuedFunction
from ltq.contrib.django._options import BackendOptions
from ltq.contrib.django._results import look_up
from ltq.contrib.django._senders import sender_of
from ltq.state import TaskState

QUEUE = "django:default"


def state(status: ltq.Status, result: bytes | None = None) -> TaskState[bytes]:
    return TaskState(id="1", task_name="django:a.b", queue=QUEUE, status=status, result=result)


class Changing:
    """A broker whose task goes on at each look."""

    def __init__(self, *states: TaskState[bytes]) -> None:
        self._states = list(states)

    async def state(self, queue: str, task_id: str) -> TaskState[bytes]:
        assert (queue, task_id) == (QUEUE, "1")
        return self._states.pop(0) if len(self._states) > 1 else self._states[0]

    async def body(self, queue: str, task_id: str) -> bytes | None:
        return None  # it has just ended

    async def dead_letter(self, queue: str, task_id: str) -> Any:
        raise ltq.TaskNotFoundError(task_id)


async def found(*states: TaskState[bytes]) -> tuple[ltq.Status, object]:
    known = await look_up(cast(Broker, Changing(*states)), QUEUE, "1")
    return known.state.status, known.call


async def test_one_that_ends_meanwhile_is_looked_at_again() -> None:
    done = state(ltq.Status.COMPLETED, b'{"return_value":1,"args":[],"kwargs":{}}')
    expected = {"return_value": 1, "args": [], "kwargs": {}}
    assert await found(state(ltq.Status.WORKING), done) == (ltq.Status.COMPLETED, expected)


async def test_one_without_arguments_is_not_looked_at_for_ever() -> None:
    assert await found(state(ltq.Status.WORKING)) == (ltq.Status.WORKING, None)


async def test_one_whose_dead_letter_is_gone_has_no_arguments() -> None:
    assert await found(state(ltq.Status.FAILED)) == (ltq.Status.FAILED, None)


def test_a_sender_runs_nothing_itself() -> None:
    task = sender_of(BackendOptions("memory://sends")).task(QueuedFunction("a.b", "default"))
    assert task.name == "django:a.b"
    with pytest.raises(NotImplementedError, match="ltq_worker"):
        asyncio.run(task([], {}))
