"""A box: the workers and schedulers under test, with a broker in memory and a clock.

`use` puts them into one, and `drain` lets them run.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextvars import copy_context
from threading import current_thread, main_thread
from typing import Any, Self

from ltq._display.values import short_repr
from ltq._sender.guards import guards
from ltq.app import App
from ltq.broker import Broker, BrokerSource
from ltq.errors import ConfigurationError
from ltq.events import Event
from ltq.message import Envelope
from ltq.options import Seconds
from ltq.scheduler import Scheduler
from ltq.state import TaskState
from ltq.task import Task
from ltq.testing._box_broker import BoxBroker, Gate, RecordingBroker
from ltq.testing._history import History
from ltq.testing._loops import WORLD
from ltq.testing._mover import mover_of
from ltq.testing._session import Session, others_left
from ltq.testing.clock import Clock, Moment
from ltq.testing.flaky import FlakyBroker
from ltq.worker import Worker

Target = Worker[Any] | App | Scheduler
"""What can be put under test."""

_active: list["Box"] = []
"""The boxes whose blocks are entered, in the order of entering."""


class Box:
    """Workers, Apps and Schedulers under test, from the beginning of its block to the end.

    `ltq.testing.use` makes it. `async with` waits until all workers and schedulers have ended, and
    so does a fixture. After a plain `with` in a coroutine they end in the next turns of the event
    loop; another event loop may use them at once.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        *,
        clock: Clock,
        with_scheduler: bool,
        running: bool,
        allow: Sequence[Worker[Any]] = (),
    ) -> None:
        self.clock = clock
        if not isinstance(allow, list | tuple):
            raise ConfigurationError(f"allow={short_repr(allow)} is not allowed: a list of workers")
        self._allowed = _workers_in(allow)
        self._mover = mover_of(clock)
        self.workers: tuple[Worker[Any], ...] = _workers_in(targets)
        self._schedulers = [target for target in targets if isinstance(target, Scheduler)]
        self._with_scheduler = with_scheduler
        self._is_running = running
        self._is_used = False
        self._recorder = RecordingBroker(clock)
        self._history = History(self._recorder, clock, self.task)
        self._broker = BoxBroker(self._recorder)
        if running:  # a fixture has no event loop, but the first send has one
            self._broker.before_send = self.begin
        self._before: list[Callable[[], object]] = []
        self._session: Session | None = None

    def may_send_to(self, source: BrokerSource) -> bool:
        """Whether a send to a worker stays in the box, or was allowed."""
        return source in self._allowed or source.broker is self._broker

    def __repr__(self) -> str:
        return f"<Box of {', '.join(worker.name for worker in self.workers) or 'no worker'}>"

    @property
    def broker(self) -> FlakyBroker:
        """The broker of the box: in memory, with the box's clock, failing on demand."""
        return self._broker

    @property
    def sent(self) -> Sequence[Envelope]:
        """The envelopes of the tasks that were sent in the block."""
        return tuple(self._recorder.sent)

    @property
    def events(self) -> list[Event]:
        """What happened to the workers' tasks in the block, by the clock's time."""
        return self._history.events

    async def drain(self, *, check: bool = False) -> list[TaskState[Any]]:
        """Run all tasks that are due, and the tasks that they send; the clock stands still.

        Returns the present states of the tasks that ran, in the order in which they ended. With
        `check`, raises the `TaskFailedError` or `TaskRejectedError` of the first task of the block
        that failed or was rejected; each is reported once.
        """
        seen = len(self._history.events)
        await self.clock.advance()
        if check:
            await self._history.raise_failed()
        return await self._history.states_since(seen)

    def task(self, name: str) -> Task[..., Any] | None:
        """The task of that name; None if it is not in the box."""
        scheduled = [schedule.task for one in self._schedulers for schedule in one.schedules]
        tasks = [*(task for worker in self.workers for task in worker.tasks.values()), *scheduled]
        return next((task for task in tasks if task.name == name), None)

    def __enter__(self) -> Self:
        if self._is_used:
            raise ConfigurationError(f"{self!r} was used already: make another box")
        self._is_used = True
        users: list[Worker[Any] | Scheduler] = [*self.workers, *self._schedulers]
        for one in users:
            self._before.append(_lend(one, self._broker))
        self._before += [worker.subscribe(self._history.add) for worker in self.workers]
        self._mover.join(self)
        if not _active:
            guards.append(_forbid_outside)
        _active.append(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        session, self._session = self._session, None
        try:
            self._mover.leave(self)  # workers and schedulers end in real time
            if session is not None:
                session.leave()
        finally:
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
            self._mover.leave(self)  # workers and schedulers end in real time
            if session is not None and session.loop is asyncio.get_running_loop():
                await session.aclose()
        finally:
            self._restore()

    async def begin(self) -> None:
        """Let workers and schedulers run in this event loop. The clock calls it."""
        loop = asyncio.get_running_loop()
        await others_left()
        if self._session is None or self._session.loop is not loop:
            if self._session is not None:
                self._session.leave()
            self._history.forget_runs()
            self._broker.gate = Gate()
            self._session = Session(loop, self._broker.gate)
            context = copy_context()
            self._mover.lead(context)
            for work in self._work(self._session):
                self._session.tasks.append(loop.create_task(work, context=context.copy()))
        self._session.gate.open()

    def pause(self) -> None:
        """Let workers claim no more tasks. The clock calls it."""
        if self._session is not None and not self._is_running:
            self._session.gate.close()

    def check(self) -> None:
        """Raise the error that ended a worker or a scheduler, if there is one."""
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
        return self._history.running()

    def has_threads(self) -> bool:
        """Whether a plain `def` task is running."""
        return self._history.has_threads()

    def _work(self, session: Session) -> list[Coroutine[Any, Any, None]]:
        works = [session.run(worker) for worker in self.workers if worker.tasks]
        schedules = [schedule for one in self._schedulers for schedule in one.schedules]
        if self._with_scheduler:
            schedules += [schedule for worker in self.workers for schedule in worker.schedules]
        if self._schedulers or self._with_scheduler:
            each = list({schedule.key: schedule for schedule in schedules}.values())
            told = self._recorder.on_schedules
            works.append(session.schedule(self._broker, each, self.clock, told))
        return works

    def _restore(self) -> None:
        for restore in reversed(self._before):
            restore()
        self._mover.leave(self)
        if self in _active:
            _active.remove(self)
            if not _active:
                guards.remove(_forbid_outside)
        self._recorder.forget()


def _forbid_outside(name: str, source: BrokerSource) -> None:
    """Raise `ConfigurationError` for a send by the test, or a task under test, to a real broker."""
    is_under_test = WORLD.get() is not None or current_thread() is main_thread()
    if not is_under_test:
        return
    try:
        if any(box.may_send_to(source) for box in _active):
            return
        where = source.broker.url
    except ConfigurationError as error:  # nobody has to name brokers for a test
        where = f"a real broker ({error})"
    raise ConfigurationError(
        f"task {name!r} would be sent to {where}, as its worker is not under test: "
        "put it into the block, ltq.testing.use(..., worker), or let it be sent, "
        "ltq.testing.use(..., allow=[worker])"
    )


def find_box(matches: "Callable[[Box], bool]") -> Box | None:
    """The last entered box that matches; None if there is none."""
    return next((box for box in reversed(_active) if matches(box)), None)


def box_of(task: Task[..., Any]) -> Box:
    """The box of a task. Raises `ConfigurationError` if there is none."""
    if not isinstance(task, Task):
        raise ConfigurationError(f"{short_repr(task)} is not a task: give one of @worker.task")
    box = find_box(lambda box: box.task(task.name) is not None)
    if box is None:
        raise ConfigurationError(
            f"task {task.name!r} is not under test: put its worker into ltq.testing.use(worker)"
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
                f"{target!r} cannot be put under test: it must be a Worker, an App or a Scheduler"
            )
    return tuple(dict.fromkeys(workers))


def _lend(one: Worker[Any] | Scheduler, broker: Broker) -> Callable[[], object]:
    """Give somebody a broker; returns what takes it back. Its own one is not even looked up."""
    own = one._choice  # noqa: SLF001  reading `broker` would read the files that name it
    one.broker = broker

    def restore() -> None:
        one._choice = own  # noqa: SLF001

    return restore


def use(
    *targets: Target,
    clock: Clock | None = None,
    start: Moment | None = None,
    patience: Seconds | None = None,
    with_scheduler: bool = False,
    running: bool = False,
    allow: Sequence[Worker[Any]] = (),
) -> Box:
    """Put workers, Apps and Schedulers under test for the duration of a block.

        async with ltq.testing.use(worker, scheduler) as box:
            await checkout(12)
            ltq.testing.assert_sent(pay, 12)
            await box.clock.advance(hours=1)

    In the block (a plain `with` works as well) their broker is a new one in memory. Its time is
    that of `clock`, by default of a new clock with `start` and `patience`. Tasks run while the test
    awaits `drain` or `clock.advance`; with `running`, all the time. With `with_scheduler` the
    schedules of `@worker.cron` are fired as well. Sends to workers that are not in a block raise
    `ConfigurationError`, except to those that `allow` lists: they use their own brokers. Raises
    `ConfigurationError`.
    """
    if not (clock is None or isinstance(clock, Clock)):
        raise ConfigurationError(f"clock={short_repr(clock)} is not allowed: an ltq.testing.Clock")
    if clock is None:
        clock = Clock(start) if patience is None else Clock(start, patience=patience)
    elif start is not None or patience is not None:
        raise ConfigurationError("clock excludes start and patience: give them to the clock")
    return Box(targets, clock=clock, with_scheduler=with_scheduler, running=running, allow=allow)


async def drain(worker: Worker[Any], *, check: bool = False) -> list[TaskState[Any]]:
    """Run all tasks that are due, and the tasks that they send; the clock stands still.

    Returns the present states of the worker's tasks that ran; tasks of other workers in its box
    run as well. With `check`, raises the error of a task that failed, see `Box.drain`. Raises
    `ConfigurationError` for a worker that is not under test.
    """
    if not isinstance(worker, Worker):
        raise ConfigurationError(f"{short_repr(worker)} is not a worker: give an ltq.Worker")
    box = find_box(lambda box: worker in box.workers)
    if box is None:
        raise ConfigurationError(
            f"worker {worker.name!r} is not under test: drain it in the block of "
            "ltq.testing.use(worker), or call worker.run(burst=True)"
        )
    states = await box.drain(check=check)
    names = {task.name for task in worker.tasks.values()}
    return [state for state in states if state.task_name in names]
