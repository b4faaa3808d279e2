"""The scheduler: enqueues tasks by cron expressions, each slot once among all processes."""

import asyncio
import logging
import os
import threading
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from contextvars import Context
from typing import Any

from ltq._aio.loops import running_loop
from ltq._aio.service import first_of
from ltq._aio.signals import stop_on_signals
from ltq._cron.expression import parse_zone
from ltq._display.suggestions import names_options
from ltq._display.values import short_repr
from ltq._scheduler.declare import Timing, schedule_message
from ltq._scheduler.loop import SchedulerLoop
from ltq.broker import Broker
from ltq.errors import ConfigurationError
from ltq.message import Message
from ltq.schedule import Misfire, Schedule, Zone
from ltq.worker import Worker, broker_of

__all__ = ["Misfire", "Schedule", "Scheduler"]

logger: logging.Logger = logging.getLogger("ltq.scheduler")


class _Run:
    """One run of a scheduler. Any thread may stop it and wait for its end."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.thread: threading.Thread | None = None
        self.stopped: Future[None] = Future()
        self.ended: Future[None] = Future()

    def stop(self) -> None:
        """Tell it to stop."""
        with suppress(InvalidStateError):
            self.stopped.set_result(None)

    def end(self) -> None:
        """Note that it has ended."""
        with suppress(InvalidStateError):
            self.ended.set_result(None)


class Scheduler:
    """Enqueues tasks when their time has come.

        scheduler = ltq.Scheduler(tz="Europe/Berlin")
        scheduler.cron("*/5 * * * *", report.message("daily"))
        scheduler.start()

    The default of `broker_url` is the environment's `LTQ_BROKER_URL`, else
    `redis://localhost:6379`; `broker` may be given instead. `tz` is the time zone of schedules
    without one: its name, or a ZoneInfo; None means UTC. Run as many processes as you like: the
    first of them enqueues each slot of a schedule, once, by the broker's clock. Raises
    `ConfigurationError`. In tests, `ltq.testing` moves its time.
    """

    @names_options
    def __init__(
        self,
        broker_url: str | None = None,
        *,
        broker: Broker | None = None,
        tz: Zone | None = None,
    ) -> None:
        self.broker: Broker = broker_of(broker, broker_url)
        self._shares_broker = broker is not None
        self._zone = parse_zone(tz)
        self._schedules: dict[tuple[str, str], Schedule] = {}
        self._run: _Run | None = None

    def __repr__(self) -> str:
        return f"<Scheduler: {len(self._schedules)} schedules>"

    @property
    def schedules(self) -> tuple[Schedule, ...]:
        """The declared schedules."""
        return tuple(self._schedules.values())

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
        expression, zone, policy or name, a name used twice, and a message with an id or an eta, and
        `InvalidArgumentsError` for a copy of a message with wrong arguments.
        """
        zone = self._zone if tz is None else parse_zone(tz)
        timing = Timing(expr=expr, name=name, tz=zone, misfire=misfire)
        self._add(schedule_message(timing, message))

    def register_worker(self, worker: Worker[Any]) -> None:
        """Add the schedules that a worker declares with `@worker.cron(...)`.

        Raises `ConfigurationError` for a schedule that was added already, and for what is not a
        worker.
        """
        if not isinstance(worker, Worker):
            raise ConfigurationError(f"{short_repr(worker)} is not a worker: give an ltq.Worker")
        for schedule in worker.schedules:
            self._add(schedule)

    def start(self) -> None:
        """Block, and run until SIGTERM, SIGINT or `stop()`."""
        asyncio.run(self._work(self._begin(), close=True))

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
        to time; the other schedules go on. Raises `ConfigurationError` if it runs already.
        """
        running_loop()
        await self._work(self._begin(), close=not self._shares_broker)

    def _add(self, schedule: Schedule) -> None:
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
            asyncio.run(self._work(run, close=True))
        except Exception:
            logger.exception("the scheduler failed")

    async def _work(self, run: _Run, *, close: bool) -> None:
        """Run until told to stop; with `close`, close the connections of this event loop then."""
        loop = SchedulerLoop(self.broker, self.schedules)
        stopped = asyncio.wrap_future(run.stopped)
        try:
            with stop_on_signals(lambda _: run.stop()):
                loop.start()
                await first_of(loop.wait(), asyncio.wait([stopped]), name="ltq-scheduler-run")
        finally:
            stopped.cancel()
            await loop.aclose()
            if close:
                await self.broker.aclose()
            self._run = None
            run.end()
