"""The scheduler: enqueues tasks by cron expressions, each slot once among all processes."""

import asyncio
import logging
import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import AsyncExitStack, ExitStack, suppress
from contextvars import Context
from typing import Any, Self

from ltq._aio.cancellation import Cuttable
from ltq._aio.closing import to_the_end, wait_out
from ltq._aio.loops import running_loop
from ltq._aio.service import first_of, spawn
from ltq._aio.signals import stop_on_signals
from ltq._aio.threads import call_in
from ltq._cron.expression import parse_zone
from ltq._declared import DeclaredTask
from ltq._display.suggestions import names_options
from ltq._display.values import short_repr
from ltq._scheduler.declare import Timing, check_schedule_name, schedule_message
from ltq._scheduler.loop import SchedulerLoop
from ltq._scheduler.steering import Steering
from ltq.broker import Broker
from ltq.broker.default import BrokerChoice
from ltq.errors import ConfigurationError
from ltq.message import Message
from ltq.schedule import Misfire, Schedule, ScheduleInfo, Zone
from ltq.worker import Worker

__all__ = ["Misfire", "Schedule", "ScheduleInfo", "Scheduler"]

# In `Scheduler`, `list` is a method.
ScheduleInfos = list[ScheduleInfo]
SchedulesByBroker = dict[Broker, list[Schedule]]

logger: logging.Logger = logging.getLogger("ltq.scheduler")

_CLOSE_WITHIN = 2.0
"""Seconds that its connections get to close after it was cancelled, or after a second signal."""


class _Run:
    """One run of a scheduler. Any thread may stop it and wait for its end."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.block = Cuttable()
        self.thread: threading.Thread | None = None
        self.stopped: Future[None] = Future()
        self.ended: Future[None] = Future()

    def stop(self) -> None:
        """Tell it to stop."""
        with suppress(InvalidStateError):
            self.stopped.set_result(None)

    def signalled(self, again: bool, loop: asyncio.AbstractEventLoop) -> None:
        """Tell it to stop; at a second signal, what it closes is cut. From any thread."""
        call_in(loop, self.block.cut if again else self.stop)

    def end(self) -> None:
        """Note that it has ended."""
        with suppress(InvalidStateError):
            self.ended.set_result(None)


class Scheduler:
    """Enqueues tasks when their time has come.

        scheduler = ltq.Scheduler(tz="Europe/Berlin")
        scheduler.cron("*/5 * * * *", report.message("daily"))
        scheduler.start()

    `broker_url` is a URL or the `@name` of a broker; by default the environment's `LTQ_BROKER_URL`,
    else the primary broker, else `redis://localhost:6379`. `broker` may be given instead. `tz` is
    the time zone of schedules without one: its name, or a ZoneInfo; None means UTC. A task whose
    worker has another broker is enqueued there, where its worker looks. Run as many processes as
    you like: the first of them enqueues each slot of a schedule, once, by the broker's clock.
    `async with scheduler:` runs it beside your own code. Raises `ConfigurationError`. In tests,
    `ltq.testing` moves its time.
    """

    @names_options
    def __init__(
        self,
        broker_url: str | None = None,
        *,
        broker: Broker | None = None,
        tz: Zone | None = None,
    ) -> None:
        self._choice = BrokerChoice(broker, broker_url)
        self._shares_broker = broker is not None
        self._is_redirected = False
        self._zone = parse_zone(tz)
        self._schedules: dict[tuple[str, str], Schedule] = {}
        self._run: _Run | None = None
        self._embedded: tuple[_Run, asyncio.Task[None]] | None = None

    def __repr__(self) -> str:
        return f"<Scheduler: {len(self._schedules)} schedules>"

    @property
    def broker(self) -> Broker:
        """Its broker: a name is looked up at the first use. Raises `ConfigurationError`."""
        return self._choice.get()

    @broker.setter
    def broker(self, broker: Broker) -> None:
        self._choice = BrokerChoice(broker, None)

    @property
    def schedules(self) -> tuple[Schedule, ...]:
        """The declared schedules."""
        return tuple(self._schedules.values())

    @property
    def brokers(self) -> tuple[Broker, ...]:
        """The brokers that it sends to: its own, or those of the workers of its tasks."""
        return tuple(self._by_broker())

    @names_options
    def cron(
        self,
        expr: str,
        message: Message[Any],
        *,
        name: str | None = None,
        tz: Zone | None = None,
        misfire: Misfire = "once",
    ) -> None:
        """Enqueue a message at each slot of a cron expression.

        `expr` has five fields, or six with the seconds last, or is an alias such as @hourly or
        @daily. `message` is made by `task.message(...)`; each slot sends a new task with its
        arguments and options. `name` identifies the schedule in the broker: give one to a schedule
        that you may change. By default it is made from the task, the expression and the arguments.
        `tz` is the name of a time zone or a ZoneInfo; by default it is the scheduler's. `misfire`
        says what happens to slots that were missed because no scheduler ran: "once" enqueues one
        task for all of them, "skip" none, "all" one for each of the latest thousand.

        A schedule that is new to the broker starts now. Raises `ConfigurationError` for a wrong
        expression, zone, policy or name, a name used twice, a message with an id or an eta, and
        while the scheduler runs, and `InvalidArgumentsError` for a copy of a message with wrong
        arguments.
        """
        zone = self._zone if tz is None else parse_zone(tz)
        timing = Timing(expr=expr, name=name, tz=zone, misfire=misfire)
        self._add(schedule_message(timing, message))

    def register_worker(self, worker: Worker[Any]) -> None:
        """Add the schedules that a worker declares with `@worker.cron(...)`.

        Raises `ConfigurationError` for a schedule that was added already, for what is not a worker,
        and while the scheduler runs.
        """
        if not isinstance(worker, Worker):
            raise ConfigurationError(f"{short_repr(worker)} is not a worker: give an ltq.Worker")
        for schedule in worker.schedules:
            self._add(schedule)

    @names_options
    async def put(
        self,
        name: str,
        expr: str,
        message: Message[Any],
        *,
        tz: Zone | None = None,
        misfire: Misfire = "once",
    ) -> None:
        """Keep a schedule in the broker: every scheduler of it fires the slots, within a second.

        The arguments are those of `cron`. The message is kept as it travels, with what middleware
        adds to it now, so schedulers need no code of its task. One with the same name is replaced,
        and no slot is fired twice. It stays until `remove`. Raises `ConfigurationError` for what is
        wrong, and for a name that a task of another worker has, or code that runs;
        `InvalidArgumentsError`, and `BrokerError`.
        """
        zone = self._zone if tz is None else parse_zone(tz)
        timing = Timing(expr=expr, name=check_schedule_name(name), tz=zone, misfire=misfire)
        await self._steering.put(schedule_message(timing, message))

    async def remove(self, name: str) -> None:
        """Remove a schedule that was put. From now on no slot of it is fired.

        Raises `ScheduleNotFoundError`, and `ConfigurationError` for one that code declares.
        """
        await self._steering.remove(name)

    async def pause(self, name: str) -> None:
        """Let no slot of a schedule be fired, in any process, until `resume`.

        It was put, or is declared in code, here or elsewhere. Raises `ScheduleNotFoundError`.
        """
        await self._steering.pause(name)

    async def resume(self, name: str) -> None:
        """Let slots be fired again. Those since the pause count as missed: `misfire` decides.

        Raises `ScheduleNotFoundError`.
        """
        await self._steering.resume(name)

    async def trigger(self, name: str, *, id: str | None = None) -> str:  # noqa: A002  as in send options
        """Send the task of a schedule now, once, also while it is paused; return the task's id.

        Its slots stay as they are. A call with the same `id` sends nothing again. Raises
        `ScheduleNotFoundError`, `ConfigurationError` for one that only code elsewhere declares, and
        what `send` raises.
        """
        return await self._steering.trigger(name, id)

    async def list(self) -> ScheduleInfos:
        """The schedules that are kept in the broker and those declared here, sorted by name.

        Those that only code elsewhere declares are among them while they are paused.
        """
        return await self._steering.infos()

    def start(self) -> None:
        """Block, and run until SIGTERM, SIGINT or `stop()`."""
        asyncio.run(self._work(self._begin(), close=self.brokers, signals=True))

    def start_background(self) -> None:
        """Run in a thread of its own until `stop()`, or until the process exits."""
        run = self._begin()
        run.thread = threading.Thread(
            target=self._work_here, args=(run,), name="ltq-scheduler", daemon=True
        )
        Context().run(run.thread.start)  # some Pythons let it inherit the caller's

    async def stop(self) -> None:
        """Stop the run and wait for its end, from any thread or event loop.

        Does nothing if it does not run. A program without an event loop calls
        `asyncio.run(scheduler.stop())`.
        """
        run = self._present()
        if run is None:
            return
        run.stop()
        await asyncio.shield(asyncio.wrap_future(run.ended))
        if run.thread is not None:
            await asyncio.to_thread(run.thread.join)

    async def run(self) -> None:
        """Run until SIGTERM, SIGINT or `stop()`.

        While the broker is away, or refuses a schedule, it tries again and logs a warning from time
        to time; the other schedules go on. At its end it closes the connections that it has opened
        in this event loop, except those of brokers that were given to it or to workers. Raises
        `ConfigurationError` if it runs already.
        """
        running_loop()
        await self._work(self._begin(), close=self._own_brokers(), signals=True)

    async def __aenter__(self) -> Self:
        """Run beside the code of the block.

        It does not handle signals: the program around it does. Raises `ConfigurationError` if it
        runs already.
        """
        running_loop()
        run = self._begin()
        work = self._work(run, close=self._own_brokers(), signals=False)
        self._embedded = run, spawn(work, name="ltq-scheduler-run")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Stop, and close the connections. Raises what ended the run before."""
        if self._embedded is not None:
            (run, work), self._embedded = self._embedded, None
            run.stop()
            await wait_out(work, work.cancel)
            await work

    def _own_brokers(self) -> Sequence[Broker]:
        """The brokers that are nobody else's."""
        return () if self._shares_broker else (self.broker,)

    def _add(self, schedule: Schedule) -> None:
        if self._present() is not None:
            raise ConfigurationError(
                f"schedule {schedule.name!r} is declared while its scheduler runs, and would never "
                "be fired: declare schedules before the start"
            )
        if schedule.key in self._schedules:
            raise ConfigurationError(
                f"schedule {schedule.name!r} is declared twice: give one of them a name"
            )
        self._schedules[schedule.key] = schedule

    def _present(self) -> _Run | None:
        """The present run; None if there is none, or if it belongs to the parent of a fork."""
        run = self._run
        return None if run is None or run.process != os.getpid() else run

    def _begin(self) -> _Run:
        if self._present() is not None:
            raise ConfigurationError("this scheduler runs already: stop it first")
        self._run = _Run()
        return self._run

    def _work_here(self, run: _Run) -> None:
        try:
            asyncio.run(self._work(run, close=self.brokers, signals=False))
        except BaseException:  # a thread would drop a SystemExit without a word
            logger.exception("the scheduler failed")

    async def _work(self, run: _Run, *, close: Sequence[Broker], signals: bool) -> None:
        """Run until told to stop; then `close` the connections of brokers in this event loop."""
        here = asyncio.get_running_loop()
        with ExitStack() as around:
            around.callback(self._ended, run)
            if signals:
                around.enter_context(stop_on_signals(lambda again: run.signalled(again, here)))
            with run.block:
                loops = [
                    SchedulerLoop(broker, schedules, keeper=broker)
                    for broker, schedules in self._by_broker().items()
                ]
                stopped = asyncio.wrap_future(run.stopped)
                try:
                    for loop in loops:
                        loop.start()
                    ends = [loop.wait() for loop in loops]
                    await first_of(*ends, asyncio.wait([stopped]), name="ltq-scheduler-run")
                finally:
                    stopped.cancel()
                    await to_the_end(_close(loops, close), within=_CLOSE_WITHIN)

    @property
    def _steering(self) -> Steering:
        return Steering(self.broker if self._is_redirected else None, self._by_broker())

    def _by_broker(self) -> SchedulesByBroker:
        """The schedules by the broker that they are sent to."""
        known: dict[str, Broker] = {self.broker.url: self.broker}
        schedules: SchedulesByBroker = {}
        for schedule in self._schedules.values():
            theirs = DeclaredTask.of(schedule.task).broker
            broker = self.broker if self._is_redirected else known.setdefault(theirs.url, theirs)
            schedules.setdefault(broker, []).append(schedule)
        return schedules or {self.broker: []}

    def _redirect(self, broker: Broker) -> None:
        """Send everything to this broker, whatever the code says: for the command line."""
        self.broker, self._is_redirected = broker, True

    def _ended(self, run: _Run) -> None:
        self._run = None
        run.end()


async def _close(loops: Sequence[SchedulerLoop], brokers: Sequence[Broker]) -> None:
    """Close the loops, then the brokers, each also if another one fails to."""
    async with AsyncExitStack() as stack:  # the last one pushed closes first
        for broker in brokers:
            stack.push_async_callback(broker.aclose)
        for loop in loops:
            stack.push_async_callback(loop.aclose)
