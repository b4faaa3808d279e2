"""The worker: it declares tasks, and runs them."""

import asyncio
import logging
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Generic, Literal, Self, cast, overload

from typing_extensions import ParamSpec, TypeVar, Unpack

from ltq._aio.closing import to_the_end
from ltq._aio.forks import default_signals_in_forks
from ltq._aio.loops import running_loop
from ltq._aio.signals import stop_on_signals
from ltq._codec.call import CallCodec
from ltq._codec.codec import Codec
from ltq._codec.scopes import NamesAround
from ltq._declared import DeclaredStream, DeclaredTask, own_name
from ltq._display.suggestions import names_options
from ltq._display.values import short_repr
from ltq._scheduler.declare import Timing, schedule_tasks
from ltq._worker.lifecycle import EmbeddedRun, Stopping
from ltq._worker.lifespan import Lifespan
from ltq._worker.parts import RunConfig
from ltq._worker.run import WorkerRun
from ltq._worker.validation import check_names, check_tasks
from ltq.broker import DEFAULT_LEASE, Broker
from ltq.broker.default import BrokerChoice
from ltq.codec import DEFAULT_MAX_PAYLOAD, Serializer
from ltq.errors import ConfigurationError
from ltq.events import DEFAULT_BUFFER, Event, EventReader, EventStream
from ltq.logger import get_logger
from ltq.middleware import Middleware, default_stack
from ltq.middleware._check import check_middleware, check_middlewares, check_position
from ltq.names import check_name, check_worker_name
from ltq.options import (
    DEFAULT_RESULT_TTL,
    Seconds,
    TaskOptions,
    positive_int,
    seconds,
)
from ltq.schedule import Misfire, Schedule, ScheduleDecorator, Zone
from ltq.state import WorkerHealth
from ltq.streams import StreamTask, TaskDecorator
from ltq.task import Task

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
L_co = TypeVar("L_co", covariant=True, default=None)

_TOO_LATE = "what runs now does not know it; declare it before the start"


class Worker(Generic[L_co]):
    """Declares tasks, and runs them.

        worker = ltq.Worker("emails", broker_url="redis://localhost:6379")

        @worker.task(max_tries=3)
        async def send_email(to: str, subject: str) -> None: ...

    `broker_url` is a URL or the `@name` of a broker; by default the environment's `LTQ_BROKER_URL`,
    else the primary broker, else `redis://localhost:6379`. `broker` may be given instead.
    `concurrency` is how many tasks run at once. After `lease`, tasks of a dead worker run
    elsewhere; after `shutdown_timeout`, tasks that still run at a shutdown are requeued; after
    `result_ttl`, final states are removed. Each of the three is a timedelta or seconds. `lifespan`
    makes an async context manager that is entered while the worker runs; its value is
    `worker.resource` in tasks, and `Worker[Database]` is a worker whose lifespan yields a
    `Database`. `serializer` is "json", "msgpack", or an object with `dumps` and `loads`.
    `max_payload` is how many bytes the arguments or the result of one task may take.
    Raises `ConfigurationError`.

    It connects to the broker at its first use. `async with worker:` runs it beside your own code.
    """

    @names_options
    def __init__(  # noqa: PLR0913  the contract's signature
        self,
        name: str,
        broker_url: str | None = None,
        concurrency: int = 100,
        middlewares: Sequence[Middleware] | None = None,
        *,
        broker: Broker | None = None,
        lease: Seconds = DEFAULT_LEASE,
        shutdown_timeout: Seconds = 30.0,
        result_ttl: Seconds = DEFAULT_RESULT_TTL,
        lifespan: Callable[["Worker[Any]"], AbstractAsyncContextManager[L_co]] | None = None,
        serializer: Literal["json", "msgpack"] | Serializer = "json",
        max_payload: int = DEFAULT_MAX_PAYLOAD,
    ) -> None:
        self.name: str = check_worker_name(name)
        self._choice = BrokerChoice(broker, broker_url)
        self.concurrency: int = positive_int("concurrency", concurrency)
        self.middlewares: list[Middleware] = (
            default_stack() if middlewares is None else check_middlewares(middlewares)
        )
        self._outer: list[Middleware] = []
        """Those that an `App` has put before its own."""
        self.lease: float = seconds("lease", lease)
        self.shutdown_timeout: float = seconds("shutdown_timeout", shutdown_timeout, zero=True)
        self.result_ttl: float = seconds("result_ttl", result_ttl, zero=True)
        if not (lifespan is None or callable(lifespan)):
            raise ConfigurationError(
                f"lifespan={short_repr(lifespan)} is not allowed: a function with "
                "@asynccontextmanager that takes the worker"
            )
        self.lifespan = lifespan
        self.log_completed: bool = False
        """Whether each task that completes is a line of level INFO in the log, with its duration.
        Otherwise the line is of level DEBUG."""
        self.logger: logging.Logger = get_logger(name)
        self._codec = Codec(serializer, positive_int("max_payload", max_payload))
        self._events = EventStream(self.name)
        self._resource: ContextVar[L_co] = ContextVar(f"ltq.{self.name}.resource")
        self._tasks: dict[str, DeclaredTask[..., Any]] = {}
        self._schedules: list[Schedule] = []
        self._runs: set[Stopping] = set()
        self._embedded: dict[asyncio.AbstractEventLoop, EmbeddedRun] = {}

    def __repr__(self) -> str:
        return f"<Worker {self.name}: {len(self._tasks)} tasks>"

    @property
    def broker(self) -> Broker:
        """Its broker: a name is looked up at the first use. Raises `ConfigurationError`."""
        return self._choice.get()

    @broker.setter
    def broker(self, broker: Broker) -> None:
        self._choice = BrokerChoice(broker, None)

    @property
    def tasks(self) -> Mapping[str, Task[..., Any]]:
        """The declared tasks, by name."""
        return MappingProxyType(self._tasks)

    @property
    def schedules(self) -> Sequence[Schedule]:
        """The schedules that were declared with `cron`."""
        return tuple(self._schedules)

    @property
    def resource(self) -> L_co:
        """The value of `lifespan`, for tasks and middleware; None without a lifespan.

        Each run has its own value: in an `App`, or if several threads call `run`. Raises
        `ConfigurationError` outside a run.
        """
        try:
            return self._resource.get()
        except LookupError:
            raise ConfigurationError(
                f"worker {self.name!r} has no resource here: use it in a task or middleware"
            ) from None

    def subscribe(self, callback: Callable[[Event], object]) -> Callable[[], None]:
        """Call `callback` with each `Event` of this worker in this process.

        Returns a function that ends the subscription. `callback` is called where the event
        happens: in the event loop that runs the worker, and for ENQUEUED in the one that sends. So
        it must not block, and with an `App` it is called from several threads. Its errors are
        logged and have no other effect. Raises `ConfigurationError` for a coroutine function.
        """
        return self._events.subscribe(callback)

    def events(self, buffer: int = DEFAULT_BUFFER) -> EventReader:
        """The events of this worker in this process from now on: `async for event in ...`.

        The iteration ends with `aclose`, its own or the worker's. The latest `buffer` unread events
        are kept; the number of older ones that were lost is logged, and is in `dropped`.
        """
        return self._events.read(buffer)

    def register_middleware(self, middleware: Middleware, pos: int = -1) -> None:
        """Add middleware: at the end (-1), or before the one at `pos`.

        That of an `App` always stays first. Raises `ConfigurationError` for what is not middleware.
        """
        check_middleware(middleware)
        others = len(self.middlewares)
        at = others if pos == -1 else range(others)[check_position(pos) :].start
        outer = {id(one) for one in self._outer}
        of_apps = [place for place, one in enumerate(self.middlewares) if id(one) in outer]
        self.middlewares.insert(max([at, *(place + 1 for place in of_apps)]), middleware)

    @overload
    def task(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def task(self, fn: Callable[P, AsyncIterable[T]], /) -> StreamTask[P, T]: ...
    @overload
    def task(self, fn: Callable[P, Iterator[T]], /) -> StreamTask[P, T]: ...
    @overload
    def task(self, fn: Callable[P, Awaitable[R]], /) -> Task[P, R]: ...
    @overload
    def task(self, fn: Callable[P, Awaitable[R] | R], /) -> Task[P, R]: ...
    @overload
    def task(self, /, **options: Unpack[TaskOptions]) -> TaskDecorator: ...
    def task(self, /, *fn: Callable[..., Any], **options: Any) -> Any:
        """Make a function a task, with or without options: `@worker.task`, `@worker.task(...)`.

        An `async def` runs in the event loop, a plain `def` in a thread; if that gives something
        to be awaited, it is awaited in the event loop. A generator function of either kind is a
        `StreamTask`. Raises `ConfigurationError` for an unknown or wrong option, a name used twice,
        an annotation whose values cannot be sent, a generator function that does not say what it
        yields, or a method without its object. A worker that runs already does not run it, and logs
        a warning.
        """
        if fn:
            if len(fn) > 1:
                raise ConfigurationError(f"a task is made of one function, not of {fn!r}")
            return self._declare(fn[0], options)

        def decorate(fn: Callable[..., Any]) -> Task[..., Any]:
            return self._declare(fn, options)

        return decorate

    @names_options
    def cron(
        self,
        expr: str,
        *,
        name: str | None = None,
        tz: Zone | None = None,
        misfire: Misfire = "once",
    ) -> ScheduleDecorator:
        """Enqueue a task without arguments at each slot of a cron expression.

        The decorator goes above `@worker.task`. Its options are those of `Scheduler.cron`, with UTC
        as the default of `tz`. `ltq run --with-scheduler` runs the schedule beside the worker,
        `Scheduler.register_worker` elsewhere. Raises `ConfigurationError`.
        """
        timing = Timing(expr=expr, name=name, tz=tz, misfire=misfire)
        if self._runs:
            text = "a schedule (%s) is declared while its worker runs: %s"
            self.logger.warning(text, timing.expr, _TOO_LATE)
        return schedule_tasks(timing, self._tasks, self._schedules)

    async def run(self, *, burst: bool = False) -> None:
        """Run tasks until SIGTERM, SIGINT or `stop()`; with `burst`, until none is due or running.

        Then it claims no more. Running tasks get `shutdown_timeout` seconds to end; the rest are
        requeued, which uses up no try. A second signal requeues them at once, and so does
        cancelling `run`. A signal ends a start, a second one the exit of the lifespan. What goes on
        5 s after a second signal ends with the process. The program's own handlers are called, too,
        and restored afterwards. Raises `ConfigurationError` for a task option whose middleware is
        missing, `BrokerError` if the broker does not answer at the start, and `LifespanError`.
        """
        running_loop()
        await self._work(burst=burst, signals=True)

    def stop(self, *, now: bool = False) -> None:
        """Stop `run`. It may be called from a task, another thread, or a signal handler.

        With `now`, running tasks go back to their queues at once, and a start is cut short.
        """
        for stopping in list(self._runs):
            stopping.stop(now=now)

    def health(self) -> list[WorkerHealth]:
        """The health of each of its present runs; empty before it runs. From any thread."""
        runs = [stopping.run for stopping in list(self._runs)]
        return [run.health() for run in runs if run is not None]

    async def aclose(self) -> None:
        """Close the broker's connections in this event loop, and end readers of events here.

        Readers in other event loops end as well, unless the worker still runs.
        """
        self._events.end(everywhere=not self._runs)
        await to_the_end(self._choice.aclose())

    async def __aenter__(self) -> Self:
        """Run the worker beside the code of the block."""
        loop = running_loop()
        for ended in [known for known in list(self._embedded) if known.is_closed()]:
            self._embedded.pop(ended, None)
        if loop in self._embedded:
            raise ConfigurationError(f"worker {self.name!r} runs in an `async with` already")
        embedded = EmbeddedRun()
        # It does not handle signals: the program around it does.
        work = self._work(begun=embedded.begun)
        try:
            await embedded.begin(work, f"ltq-worker-{self.name}")
        except BaseException:
            await self.aclose()
            raise
        self._embedded[loop] = embedded
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Stop, let running tasks end, and close the connections."""
        embedded = self._embedded.pop(asyncio.get_running_loop(), None)
        try:
            if embedded is not None:
                await embedded.end()
        finally:
            await self.aclose()

    def _stop_here(self) -> None:
        """Stop at once what runs in an `async with` of this event loop, and nothing else."""
        embedded = self._embedded.get(asyncio.get_running_loop())
        if embedded is not None:
            embedded.stop(now=True)

    def _signalled(self, again: bool) -> None:
        """Stop what runs: see `Stopping.signalled`."""
        for stopping in list(self._runs):
            stopping.signalled(again)

    async def _work(
        self,
        *,
        burst: bool = False,
        signals: bool = False,
        begun: Callable[[WorkerRun], None] = lambda _: None,
    ) -> None:
        stopping, failed = Stopping(self.name), cast(BaseException | None, None)
        with ExitStack() as around:
            around.enter_context(default_signals_in_forks())
            self._runs.add(stopping)
            around.callback(self._runs.discard, stopping)
            if signals:
                around.enter_context(stop_on_signals(stopping.signalled))
            with stopping.phases():
                async with self._started() as resource:
                    token = self._resource.set(resource)  # the run's tasks inherit it
                    try:
                        run = WorkerRun(self._config(burst=burst, signals=signals))
                        with stopping.running(run):
                            begun(run)
                            await run.run()
                    except BaseException as error:
                        failed = error
                        raise
                    finally:
                        self._resource.reset(token)
                failed = None
            if failed is not None:  # the lifespan was cut while it handled this
                raise failed

    @asynccontextmanager
    async def _started(self) -> AsyncIterator[L_co]:
        """Check the worker and enter its lifespan."""
        check_tasks(self.name, self._tasks, check_middlewares(self.middlewares))
        await self.broker.ping()
        for hazard in await self.broker.hazards():
            self.logger.warning("%s", hazard)
        if self.lifespan is None:
            yield cast(L_co, None)  # the type's default
            return
        async with Lifespan(self.name, self.lifespan, self) as resource:
            yield resource

    def _declare(self, fn: Callable[..., Any], options: Mapping[str, Any]) -> Task[..., Any]:
        own = own_name(fn, options)
        name = check_name("task", f"{self.name}:{own}")
        kind = DeclaredStream if DeclaredStream.is_made_of(fn) else DeclaredTask
        task: DeclaredTask[..., Any] = kind(
            self,
            fn,
            name=name,
            options=MappingProxyType(dict(options)),
            codec=CallCodec(fn, self._codec, task_name=name, localns=NamesAround(fn)),
            events=self._events,
        )
        check_names(task, self._tasks)
        if self._runs:
            self.logger.warning("task %s is declared while its worker runs: %s", name, _TOO_LATE)
        self._tasks[name] = task
        return task

    def _config(self, *, burst: bool, signals: bool) -> RunConfig:
        return RunConfig(
            name=self.name,
            broker=self.broker,
            tasks=dict(self._tasks),
            middlewares=list(self.middlewares),
            concurrency=self.concurrency,
            lease=self.lease,
            shutdown_timeout=self.shutdown_timeout,
            events=self._events,
            log_completed=self.log_completed,
            burst=burst,
            signals=signals,
        )
