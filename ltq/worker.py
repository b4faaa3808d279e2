"""The worker: where tasks are declared, and what runs them."""

import asyncio
import inspect
import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import MappingProxyType
from typing import Any, Literal, Protocol, Self, TypeVar, overload

from typing_extensions import ParamSpec, Unpack

from ltq._names import check_name
from ltq._shift import Plan, Shift
from ltq._signals import stop_on_signals
from ltq.broker import DEFAULT_LEASE, Broker
from ltq.codec import DEFAULT_MAX_PAYLOAD, CallCodec, Codec, Serializer
from ltq.errors import ConfigurationError
from ltq.logger import get_logger
from ltq.middleware import Middleware, default_stack
from ltq.options import (
    DEFAULT_RESULT_TTL,
    Seconds,
    TaskOptions,
    parse_task_options,
    positive_int,
    seconds,
)
from ltq.task import Task

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_URL = "redis://localhost:6379"
URL_VARIABLE = "LTQ_BROKER_URL"

_MIDDLEWARE_OPTIONS = ("max_tries", "backoff", "retry_on", "max_age", "max_rate")
"""Options that do nothing without the middleware that implements them."""


def default_broker_url() -> str:
    """The environment's `LTQ_BROKER_URL`, else `redis://localhost:6379`."""
    return os.environ.get(URL_VARIABLE) or DEFAULT_URL


class TaskDecorator(Protocol):
    """What `@worker.task(...)` does to a function: types are kept."""

    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> Task[P, R]: ...


class Worker:
    """Declares tasks, and runs them.

        worker = ltq.Worker("emails", broker_url="redis://localhost:6379")

        @worker.task(max_tries=3)
        async def send_email(to: str, subject: str) -> None: ...

    `broker_url` left out is `LTQ_BROKER_URL` of the environment, else `redis://localhost:6379`;
    `broker` may be given instead. `concurrency` is how many tasks run at once, `lease` how many
    seconds a dead worker's tasks stay its own, `shutdown_timeout` how many seconds running tasks
    get to end, `result_ttl` how long final states stay (a timedelta or seconds). `lifespan` makes
    an async context manager that is entered while the worker runs; tasks find its value as
    `ltq.current().lifespan`. `serializer` is "json", "msgpack", or an object with `dumps` and
    `loads`. `max_payload` is how many
    bytes the arguments or the result of one task may take. Raises `ConfigurationError`.

    Nothing connects before the first use. `async with worker:` runs it beside your own code.
    """

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
        lifespan: Callable[["Worker"], AbstractAsyncContextManager[Any]] | None = None,
        serializer: Literal["json", "msgpack"] | Serializer = "json",
        max_payload: int = DEFAULT_MAX_PAYLOAD,
    ) -> None:
        if broker is not None and broker_url is not None:
            raise ConfigurationError("broker and broker_url exclude each other: give one of them")
        self.name = check_name("worker", name)
        self.broker = broker or Broker.from_url(
            default_broker_url() if broker_url is None else broker_url
        )
        self.concurrency = positive_int("concurrency", concurrency)
        self.middlewares = default_stack() if middlewares is None else list(middlewares)
        self.lease = seconds("lease", lease)
        self.shutdown_timeout = seconds("shutdown_timeout", shutdown_timeout, zero=True)
        self.result_ttl = seconds("result_ttl", result_ttl, zero=True)
        self.lifespan = lifespan
        self.logger = get_logger(name)
        self._codec = Codec(serializer, positive_int("max_payload", max_payload))
        self._tasks: dict[str, Task[..., Any]] = {}
        self._shifts: set[Shift] = set()
        self._starting = 0
        self._stopped_early = False
        self._embedded: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Worker {self.name}: {len(self._tasks)} tasks>"

    @property
    def tasks(self) -> Mapping[str, Task[..., Any]]:
        """The tasks declared, by name."""
        return MappingProxyType(self._tasks)

    def register_middleware(self, middleware: Middleware, pos: int = -1) -> None:
        """Add middleware: at the end (-1), or before the one at `pos`."""
        if pos == -1:
            self.middlewares.append(middleware)
        else:
            self.middlewares.insert(pos, middleware)

    @overload
    def task(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def task(self, fn: Callable[P, R], /) -> Task[P, R]: ...
    @overload
    def task(self, **options: Unpack[TaskOptions]) -> TaskDecorator: ...
    def task(self, *fn: Callable[..., Any], **options: Any) -> Any:
        """Make a function a task, with or without options: `@worker.task`, `@worker.task(...)`.

        An `async def` runs in the event loop, a plain `def` in a thread. Raises
        `ConfigurationError` for an unknown or wrong option, a name used twice, or an annotation
        that cannot travel.
        """
        frame = inspect.currentframe()
        caller = frame.f_back if frame is not None else None
        scope = caller.f_locals if caller is not None else {}
        if fn:
            if len(fn) > 1 or not callable(fn[0]):
                raise ConfigurationError(f"a task is made of one function, not of {fn!r}")
            return self._declare(fn[0], options, scope)

        def decorate(fn: Callable[..., Any]) -> Task[..., Any]:
            return self._declare(fn, options, scope)

        return decorate

    async def run(self, *, burst: bool = False) -> None:
        """Run tasks until SIGTERM, SIGINT or `stop()`; with `burst` until none is due or running.

        On a stop no more is claimed, running tasks get `shutdown_timeout` seconds to end, and
        the rest is requeued with no try used up; a second signal does that at once. Cancelling
        `run` requeues at once as well. Raises `ConfigurationError` for a task option whose
        middleware is missing, `BrokerError` if the broker does not answer at the start.
        """
        await self._work(burst=burst, signals=True)

    def stop(self, *, now: bool = False) -> None:
        """Let `run` end: from a task, another thread, or a signal handler.

        With `now` running tasks go back to their queue at once.
        """
        self._stopped_early = self._starting > 0
        for shift in list(self._shifts):
            shift.stop(now=now)

    async def aclose(self) -> None:
        """Close the broker's connections of this event loop."""
        await self.broker.aclose()

    async def __aenter__(self) -> Self:
        """Run beside the code of the block."""
        if self._embedded is not None:
            raise ConfigurationError(f"worker {self.name!r} runs in an `async with` already")
        begun = asyncio.Event()
        # Signals are left to the program around it.
        work = asyncio.create_task(self._work(begun=begun.set))
        beginning = asyncio.create_task(begun.wait())
        await asyncio.wait([work, beginning], return_when=asyncio.FIRST_COMPLETED)
        beginning.cancel()
        if not begun.is_set():
            await work  # it could not begin: this raises
        self._embedded = work
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Stop, let running tasks end, and close the connections."""
        embedded, self._embedded = self._embedded, None
        try:
            if embedded is not None:
                self.stop()
                await embedded
        finally:
            await self.aclose()

    async def _work(
        self,
        *,
        burst: bool = False,
        signals: bool = False,
        begun: Callable[[], None] = lambda: None,
    ) -> None:
        async with AsyncExitStack() as stack:
            shift = await self._start(stack)
            if signals:
                stack.enter_context(stop_on_signals(lambda again: shift.stop(now=again)))
            begun()
            await shift.run(burst=burst)

    async def _start(self, stack: AsyncExitStack) -> Shift:
        """Enter what surrounds a run. A `stop` meanwhile is not forgotten."""
        self._starting += 1
        self._stopped_early = False
        try:
            self._check()
            await self.broker.ping()
            for hazard in await self.broker.hazards():
                self.logger.warning("%s", hazard)
            lifespan = None
            if self.lifespan is not None:
                lifespan = await stack.enter_async_context(self.lifespan(self))
            shift = Shift(self._plan(lifespan))
        finally:
            self._starting -= 1
        self._shifts.add(shift)
        stack.callback(self._shifts.discard, shift)
        if self._stopped_early:
            self._stopped_early = False
            shift.stop()
        return shift

    def _declare(
        self, fn: Callable[..., Any], options: Mapping[str, Any], scope: Mapping[str, Any]
    ) -> Task[..., Any]:
        declared = dict(options)
        own = check_name("task", declared.pop("name", getattr(fn, "__name__", None)))
        name = check_name("task", f"{self.name}:{own}")
        if name in self._tasks:
            raise ConfigurationError(f"task {name!r} is declared twice: give one of them a name")
        task: Task[..., Any] = Task(
            self,
            fn,
            name=name,
            options=MappingProxyType(dict(options)),
            policy=parse_task_options(declared),
            codec=CallCodec(fn, self._codec, task_name=name, localns=scope),
            result_ttl=self.result_ttl,
        )
        self._tasks[name] = task
        return task

    def _check(self) -> None:
        """Find out before the first message what could not run."""
        if not self._tasks:
            raise ConfigurationError(f"worker {self.name!r} has no tasks to run")
        implemented = {option for m in self.middlewares for option in m.options}
        for task in self._tasks.values():
            task.codec.resolve()
            for option in _MIDDLEWARE_OPTIONS:
                if option in task.options and option not in implemented:
                    raise ConfigurationError(
                        f"task {task.name!r} declares {option}, but no middleware of worker "
                        f"{self.name!r} implements it"
                    )

    def _plan(self, lifespan: Any) -> Plan:
        return Plan(
            name=self.name,
            broker=self.broker,
            tasks=dict(self._tasks),
            middlewares=list(self.middlewares),
            concurrency=self.concurrency,
            lease=self.lease,
            shutdown_timeout=self.shutdown_timeout,
            lifespan=lifespan,
        )
