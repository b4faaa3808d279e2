"""What happened to the tasks of a box, and their present states."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ltq._aio.clock import Clock
from ltq._declared import DeclaredTask
from ltq.broker import Watcher
from ltq.errors import TaskError, TaskFailedError, TaskRejectedError
from ltq.events import Event, EventKind
from ltq.state import Status, TaskState
from ltq.task import Task
from ltq.testing._loops import WORLD

_ERRORS: dict[Status, type[TaskError]] = {
    Status.FAILED: TaskFailedError,
    Status.REJECTED: TaskRejectedError,
}

_STATUSES = {
    EventKind.STARTED: Status.WORKING,
    EventKind.COMPLETED: Status.COMPLETED,
    EventKind.FAILED: Status.FAILED,
    EventKind.REJECTED: Status.REJECTED,
    EventKind.CANCELLED: Status.CANCELLED,
}
"""The status after an event, for tasks whose states are not kept."""


class History:
    """The events of a box's workers, since the beginning of its block."""

    def __init__(
        self, watcher: Watcher, clock: Clock, find_task: Callable[[str], Task[..., Any] | None]
    ) -> None:
        self.events: list[Event] = []
        self._watcher = watcher
        self._clock = clock
        self._find_task = find_task
        self._runs: dict[str, asyncio.Task[Any]] = {}
        self._in_threads: set[str] = set()
        self._checked = 0

    def add(self, event: Event) -> None:
        """Keep an event, with the clock's time."""
        world = WORLD.get()
        if world is not None and world.is_over:  # it is from an earlier box, whose tasks still end
            return
        self.events.append(replace(event, time=self._clock()))
        if event.kind is EventKind.STARTED:
            here, task = asyncio.current_task(), self._find_task(event.task_name)
            if here is not None:
                self._runs[event.id] = here
            if task is not None and not task.is_async:
                self._in_threads.add(event.id)
        elif event.kind is not EventKind.ENQUEUED:
            self._runs.pop(event.id, None)
            self._in_threads.discard(event.id)

    def forget_runs(self) -> None:
        """Forget which tasks run: their event loop has ended."""
        self._runs.clear()
        self._in_threads.clear()

    def running(self) -> list["asyncio.Task[Any]"]:
        """The asyncio tasks that run tasks."""
        return [task for task in self._runs.values() if not task.done()]

    def has_threads(self) -> bool:
        """Whether a plain `def` task is running."""
        return bool(self._in_threads)

    async def states_since(self, count: int) -> list[TaskState[Any]]:
        """The states of the tasks that ran after the first `count` events, as they ended."""
        ran = [event for event in self.events[count:] if event.kind is not EventKind.ENQUEUED]
        last = {event.id: event for event in ran}
        ordered = dict.fromkeys(event.id for event in ran if last[event.id] is event)
        return [await self._state(last[task_id]) for task_id in ordered]

    async def raise_failed(self) -> None:
        """Raise the error of the first task that failed or was rejected since the last call."""
        events, self._checked = self.events[self._checked :], len(self.events)
        ends = [event for event in events if event.kind in (EventKind.FAILED, EventKind.REJECTED)]
        states = [await self._state(event) for event in ends]
        if not states:
            return
        error = _ERRORS.get(states[0].status, TaskFailedError)(states[0])
        for state in states[1:]:
            error.add_note(f"and task '{state.task_name}' {state.status}: {state.error}")
        if error.traceback:
            error.add_note(error.traceback)
        raise error

    async def _state(self, event: Event) -> TaskState[Any]:
        """The state of a task; if that is not kept, what the event tells of it."""
        task = self._find_task(event.task_name)
        queue = event.task_name if task is None else task.queue
        (state,) = await self._watcher.states(queue, [event.id])
        if state is None:
            return TaskState(
                id=event.id,
                task_name=event.task_name,
                queue=queue,
                status=_STATUSES.get(event.kind, Status.PENDING),
                error=event.error,
                error_type=(event.error or "").partition(":")[0] or None,
            )
        if state.result is None or task is None:
            return state
        codec = DeclaredTask.of(task).codec
        return replace(state, result=codec.decode_result(state.result, state.serializer))
