"""What is under test, in a box: its workers and schedulers, a broker in memory, and a clock."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextvars import copy_context
from dataclasses import replace
from typing import Any, Self

from ltq._declared import DeclaredTask
from ltq.app import App
from ltq.errors import ConfigurationError, TaskError, TaskFailedError, TaskRejectedError
from ltq.events import Event, EventKind
from ltq.message import Envelope
from ltq.options import Seconds
from ltq.scheduler import Scheduler
from ltq.state import Status, TaskState
from ltq.task import Task
from ltq.testing._clock import Clock, Moment
from ltq.testing._flaky import FlakyBroker
from ltq.testing._loops import WORLD
from ltq.testing._session import Session, others_left
from ltq.testing._store import BoxBroker, BoxStore, Gate
from ltq.worker import Worker

Target = Worker[Any] | App | Scheduler

_ERRORS: dict[Status, type[TaskError]] = {
    Status.FAILED: TaskFailedError,
    Status.REJECTED: TaskRejectedError,
}

_active: list["Box"] = []


class Box:
    """Workers, Apps and Schedulers under test, from the beginning of its block to the end.

    Made by `ltq.testing.use`. `async with` waits until all has ended; in a plain `with`, or a
    fixture, that comes with the event loop's next turns.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        *,
        clock: Clock,
        with_scheduler: bool,
        running: bool,
    ) -> None:
        self.clock = clock
        self.workers: tuple[Worker[Any], ...] = _workers_in(targets)
        self.events: list[Event] = []
        """What happened to the workers' tasks since the beginning, by the clock's time."""
        self._schedulers = [target for target in targets if isinstance(target, Scheduler)]
        self._with_scheduler = with_scheduler
        self._is_running = running
        self._is_used = False
        self._store = BoxStore(clock)
        self._broker = BoxBroker(self._store)
        if running:  # a fixture has no event loop: the first send has one
            self._broker.before_send = self.begin
        self._before: list[Callable[[], object]] = []
        self._session: Session | None = None
        self._runs: dict[str, asyncio.Task[Any]] = {}
        self._in_threads: set[str] = set()
        self._checked = 0

    def __repr__(self) -> str:
        return f"<Box of {', '.join(worker.name for worker in self.workers) or 'no worker'}>"

    @property
    def broker(self) -> FlakyBroker:
        """The broker of all in the box: in memory, by the clock, failing on demand."""
        return self._broker

    @property
    def sent(self) -> Sequence[Envelope]:
        """The tasks that the broker took, as they travel."""
        return tuple(self._store.sent)

    async def drain(self, *, check: bool = False) -> list[TaskState[Any]]:
        """Let run all that is due, and what comes of it; the clock stands still.

        Gives the present states of the tasks that ran, in the order in which they ended. With
        `check` the first task of the block that failed or was rejected for good raises its
        `TaskFailedError` or `TaskRejectedError`; each is told once.
        """
        seen = len(self.events)
        await self.clock.advance()
        if check:
            await self._raise_failed()
        ran = [event for event in self.events[seen:] if event.kind is not EventKind.ENQUEUED]
        last = {event.id: event for event in ran}
        ordered = dict.fromkeys(event.id for event in ran if last[event.id] is event)
        return [await self._state(last[task_id]) for task_id in ordered]

    def task(self, name: str) -> Task[..., Any] | None:
        """The task of that name, if it is one of the box."""
        scheduled = [schedule.task for one in self._schedulers for schedule in one.schedules]
        tasks = [*(task for worker in self.workers for task in worker.tasks.values()), *scheduled]
        return next((task for task in tasks if task.name == name), None)

    def __enter__(self) -> Self:
        if self._is_used:
            raise ConfigurationError(f"{self!r} was used already: make another one")
        self._is_used = True
        users: list[Worker[Any] | Scheduler] = [*self.workers, *self._schedulers]
        for one in users:
            self._before.append(_restorer(one, one.broker))
            one.broker = self._broker
        self._before += [worker.subscribe(self._heard) for worker in self.workers]
        self.clock.join(self)
        _active.append(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.leave()
        self._restore()

    async def __aenter__(self) -> Self:
        self.__enter__()
        if self._is_running:
            try:
                await self.begin()
            except BaseException:
                self.__exit__()
                raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        session, self._session = self._session, None
        try:
            self.clock.leave(self)  # what ends takes its own time
            if session is not None and session.loop is asyncio.get_running_loop():
                await session.aclose()
        finally:
            self._restore()

    async def begin(self) -> None:
        """Let workers and schedulers run in this event loop: the clock does it."""
        loop = asyncio.get_running_loop()
        await others_left()
        if self._session is None or self._session.loop is not loop:
            self._runs.clear()
            self._in_threads.clear()
            self._broker.gate = Gate()
            self._session = Session(loop, self._broker.gate)
            context = copy_context()
            context.run(WORLD.set, self.clock.timeline())
            for work in self._work(self._session):
                self._session.tasks.append(loop.create_task(work, context=context.copy()))
        self._session.gate.open()

    def pause(self) -> None:
        """Let no more tasks be claimed: the clock does it."""
        if self._session is not None and not self._is_running:
            self._session.gate.close()

    def check(self) -> None:
        """Raise what ended a worker or a scheduler."""
        session = self._session
        if session is None:
            return
        for task in session.tasks:
            if task.done() and not task.cancelled() and task.exception() is not None:
                self._session = None
                session.leave()
                task.result()

    def running(self) -> list["asyncio.Task[Any]"]:
        """The asyncio tasks that run tasks."""
        return [task for task in self._runs.values() if not task.done()]

    def has_threads(self) -> bool:
        """Whether a plain `def` task runs."""
        return bool(self._in_threads)

    def _work(self, session: Session) -> list[Coroutine[Any, Any, None]]:
        works = [session.run(worker) for worker in self.workers if worker.tasks]
        schedules = [schedule for one in self._schedulers for schedule in one.schedules]
        if self._with_scheduler:
            schedules += [schedule for worker in self.workers for schedule in worker.schedules]
        if schedules:
            each = {schedule.key: schedule for schedule in schedules}  # one may be there twice
            works.append(session.schedule(self._broker, list(each.values()), self.clock))
        return works

    def _heard(self, event: Event) -> None:
        world = WORLD.get()
        if world is not None and world.is_over:  # of an earlier box, whose tasks end just now
            return
        self.events.append(replace(event, time=self.clock()))
        if event.kind is EventKind.STARTED:
            here, task = asyncio.current_task(), self.task(event.task_name)
            if here is not None:
                self._runs[event.id] = here
            if task is not None and not task.is_async:
                self._in_threads.add(event.id)
        elif event.kind is not EventKind.ENQUEUED:
            self._runs.pop(event.id, None)
            self._in_threads.discard(event.id)

    async def _state(self, event: Event) -> TaskState[Any]:
        """The state of a task, also of one whose state is not kept."""
        task = self.task(event.task_name)
        queue = event.task_name if task is None else task.queue
        (state,) = await self._store.states(queue, [event.id])
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
        return replace(state, result=DeclaredTask.of(task).codec.decode_result(state.result))

    async def _raise_failed(self) -> None:
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

    def _restore(self) -> None:
        for restore in reversed(self._before):
            restore()
        self.clock.leave(self)
        if self in _active:
            _active.remove(self)
        self._store.forget()


_STATUSES = {
    EventKind.STARTED: Status.WORKING,
    EventKind.COMPLETED: Status.COMPLETED,
    EventKind.FAILED: Status.FAILED,
    EventKind.REJECTED: Status.REJECTED,
    EventKind.CANCELLED: Status.CANCELLED,
}


def use(
    *targets: Target,
    clock: Clock | None = None,
    start: Moment | None = None,
    patience: Seconds | None = None,
    with_scheduler: bool = False,
    running: bool = False,
) -> Box:
    """Put workers, Apps and Schedulers under test, for the time of a block.

        async with ltq.testing.use(worker, scheduler) as box:
            await checkout(12)
            ltq.testing.assert_sent(pay, 12)
            await box.clock.advance(hours=1)

    In the block (also a plain `with`) their broker is a new one in memory, by `clock`: one of its
    own where none is given, which `start` and `patience` are for. Tasks run while the test awaits
    `drain` or `clock.advance`; all the time with `running`. `with_scheduler` fires what
    `@worker.cron` declares. Raises `ConfigurationError`.
    """
    if clock is None:
        clock = Clock(start) if patience is None else Clock(start, patience=patience)
    elif start is not None or patience is not None:
        raise ConfigurationError("clock excludes start and patience: give them to the clock")
    return Box(targets, clock=clock, with_scheduler=with_scheduler, running=running)


async def drain(worker: Worker[Any], *, check: bool = False) -> list[TaskState[Any]]:
    """Let run all tasks that are due, and what comes of them; the clock stands still.

    Gives the present states of the worker's tasks that ran; those of other workers in its box run
    as well. With `check` a task that failed for good raises its error, see `Box.drain`. Raises
    `ConfigurationError` for a worker that is not under test.
    """
    box = next((box for box in reversed(_active) if worker in box.workers), None)
    if box is None:
        raise ConfigurationError(
            f"worker {worker.name!r} is not under test: drain it in the block of "
            "ltq.testing.use(worker), or let it run(burst=True)"
        )
    states = await box.drain(check=check)
    return [state for state in states if state.task_name in {t.name for t in worker.tasks.values()}]


def box_of(task: Task[..., Any]) -> Box:
    """The box a task is in. Raises `ConfigurationError`."""
    box = next((box for box in reversed(_active) if box.task(task.name) is not None), None)
    if box is None:
        raise ConfigurationError(
            f"task {task.name!r} is not under test: its worker is in no ltq.testing.use(worker)"
        )
    return box


def _workers_in(targets: Sequence[object]) -> tuple[Worker[Any], ...]:
    workers: list[Worker[Any]] = []
    for target in targets:
        if isinstance(target, Worker):
            workers.append(target)
        elif isinstance(target, App):
            workers += target.workers
        elif not isinstance(target, Scheduler):
            raise ConfigurationError(
                f"{target!r} cannot be put under test: a Worker, an App or a Scheduler"
            )
    return tuple(dict.fromkeys(workers))


def _restorer(one: Worker[Any] | Scheduler, broker: Any) -> Callable[[], object]:
    def restore() -> None:
        one.broker = broker

    return restore
