"""Calls that type checkers must accept, and the types they must see. Read by them, never run."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self, assert_type
from zoneinfo import ZoneInfo

import ltq
from ltq import (
    Broker,
    Context,
    Handle,
    Message,
    Middleware,
    Progress,
    Status,
    SyncHandle,
    Task,
    TaskState,
    testing,
)
from ltq.broker import Consumer, Inspector, Publisher, Settler, Watcher
from ltq.brokers.memory import MemoryBroker
from ltq.brokers.redis import RedisBroker
from ltq.codec import Serializer
from ltq.message import Delivery, Lease, Receipt


@dataclass
class Repo:
    name: str
    stars: int


def use(*values: object) -> None: ...


worker = ltq.Worker("github", broker_url="memory://typing", concurrency=10)


@worker.task
async def fetch(repo: str, *, depth: int = 1) -> Repo:
    return Repo(repo, depth)


@worker.task(
    name="length",
    queue="github:all",
    max_tries=3,
    backoff=timedelta(seconds=1),
    retry_on=(OSError, ValueError),
    max_age=timedelta(hours=1),
    max_rate="10/s",
    timeout=30,
    result_ttl=0.5,
    priority="low",
    max_pending=100,
    max_deliveries=2,
)
async def measure(*words: str, **weights: float) -> int:
    return len(words) + len(weights)


@worker.task
def shout(text: str, times: int = 1) -> str:
    return text.upper() * times


@worker.task(retry_on=OSError, backoff=1.5, timeout=timedelta(seconds=5))
def halve(number: float) -> float:
    return number / 2


@worker.task(retry_on=lambda error: "again" in str(error), backoff=lambda failed: 2.0 * failed)
async def nothing() -> None: ...


@worker.task()
async def maybe(number: int) -> Repo | None: ...


@worker.task
def anything(value: Any) -> Any: ...


async def sends() -> None:
    assert_type(await fetch.send("a/b"), Handle[Repo])
    assert_type(await fetch.send("a/b", depth=2), Handle[Repo])
    assert_type(await fetch.send(repo="a/b"), Handle[Repo])
    assert_type(await measure.send("a", "b", x=1.5), Handle[int])
    assert_type(await shout.send("a", times=2), Handle[str])
    assert_type(await halve.send(3), Handle[float])
    assert_type(await nothing.send(), Handle[None])
    assert_type(await maybe.send(1), Handle[Repo | None])
    assert_type(await anything.send(object()), Handle[Any])


async def calls_here_and_now() -> None:
    assert_type(await fetch("a/b", depth=2), Repo)
    assert_type(await measure("a", x=1), int)
    assert_type(await shout("a"), str)  # a plain `def` is awaited as well
    assert_type(await halve(1), float)
    assert_type(await maybe(1), Repo | None)
    kept: Callable[[str], Awaitable[Repo]] = fetch
    await kept("a/b")


async def messages() -> None:
    assert_type(fetch.message("a/b", depth=2), Message[Repo])
    assert_type(shout.message("a"), Message[str])
    assert_type(await fetch.send_many([fetch.message("a"), fetch.message("b")]), list[Handle[Repo]])
    assert_type(await measure.send_many([]), list[Handle[int]])
    other_arguments = [halve.message(1), halve.message(number=2)]
    assert_type(await halve.send_many(other_arguments), list[Handle[float]])
    message = fetch.message("a/b")
    assert_type(message.args, tuple[Any, ...])
    assert_type(message.kwargs, Mapping[str, Any])
    assert_type(message.task_name, str)
    assert_type(message.id, str)
    message.ctx["trace"] = "abc"


async def options() -> None:
    later = fetch.with_options(
        id="a",
        delay=30,
        priority="high",
        timeout=timedelta(minutes=1),
        max_tries=2,
        result_ttl=timedelta(days=1),
    )
    assert_type(await later.send("a/b", depth=2), Handle[Repo])
    assert_type(await later("a/b"), Repo)
    assert_type(await fetch.with_options(eta=datetime.now(UTC)).send("a"), Handle[Repo])
    assert_type(await shout.with_options(delay=timedelta(1)).send("a"), Handle[str])
    assert_type(later.with_options(delay=0.5).message("a"), Message[Repo])
    send_options: ltq.SendOptions = {"delay": 5, "priority": "low"}
    assert_type(await fetch.with_options(**send_options).send("a"), Handle[Repo])
    task_options: ltq.TaskOptions = {"max_tries": 5, "timeout": 30}

    @worker.task(**task_options)
    async def declared(number: int) -> str:
        return str(number)

    assert_type(await declared.send(1), Handle[str])


async def handles(handle: Handle[Repo]) -> None:
    assert_type(await handle.result(), Repo)
    assert_type(await handle.result(timeout=10), Repo)
    assert_type(await handle.state(), TaskState[Repo])
    assert_type(await handle.wait(timeout=None), TaskState[Repo])
    assert_type(await handle.cancel(), bool)
    async for state in handle.watch():
        assert_type(state, TaskState[Repo])
    async for state in handle.watch(timeout=1.5):
        assert_type(state.result, Repo | None)
    assert_type(str(handle), str)
    assert_type(handle.id, str)
    assert_type(handle.task_name, str)
    assert_type(fetch.handle("some id"), Handle[Repo])
    assert_type(shout.handle("some id"), Handle[str])
    await wider(handle, await handle.state())


async def states(state: TaskState[Repo], of_none: TaskState[None]) -> None:
    assert_type(state.result, Repo | None)
    assert_type(of_none.result, None)
    assert_type(state.status, Status)
    assert_type(state.status.is_final, bool)
    assert_type(state.progress, Progress | None)
    assert_type(state.enqueue_time, float | None)
    assert_type(state.last_dequeue_time, float | None)
    assert_type(state.last_requeue_time, float | None)
    assert_type(state.release_time, float | None)
    assert_type(state.dequeue_count, int)
    assert_type(state.requeue_count, int)
    assert_type(state.timeout, float | None)
    assert_type(state.worker, str | None)
    assert_type(state.error, str | None)
    assert_type((state.id, state.task_name, state.queue), tuple[str, str, str])
    if state.progress is not None:
        assert_type(state.progress.current, float)
        assert_type(state.progress.total, float | None)
        assert_type(state.progress.note, str)
    if state.result is not None:
        assert_type(state.result.stars, int)


async def wider(handle: Handle[object], state: TaskState[object]) -> None:
    assert_type(await handle.result(), object)
    use(state.result)


async def together(
    a: Handle[int], b: Handle[str], c: Handle[Repo], many: list[Handle[int]]
) -> None:
    assert_type(await ltq.gather(a), tuple[int])
    assert_type(await ltq.gather(a, b), tuple[int, str])
    assert_type(await ltq.gather(a, b, c), tuple[int, str, Repo])
    assert_type(await ltq.gather(a, b, c, b), tuple[int, str, Repo, str])
    assert_type(await ltq.gather(a, b, c, b, a), tuple[int, str, Repo, str, int])
    assert_type(await ltq.gather(*many), tuple[int, ...])
    assert_type(await ltq.gather(*many, return_exceptions=True), tuple[int | BaseException, ...])
    assert_type(await ltq.gather(a, b, timeout=5), tuple[int, str])
    assert_type(
        await ltq.gather(a, b, return_exceptions=True),
        tuple[int | BaseException, str | BaseException],
    )
    assert_type(
        await ltq.gather(a, b, c, b, a, return_exceptions=True, timeout=1.5),
        tuple[
            int | BaseException,
            str | BaseException,
            Repo | BaseException,
            str | BaseException,
            int | BaseException,
        ],
    )
    number, text = await ltq.gather(a, b)
    assert_type(number, int)
    assert_type(text, str)
    assert_type(await ltq.display(a, b, *many), None)
    async for handle in ltq.as_completed(many, timeout=5):
        assert_type(handle, Handle[int])
        assert_type(await handle.result(), int)
    for coming in ltq.as_completed(many):
        assert_type(await coming, int)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(sends())
    assert_type(task, asyncio.Task[None])


def without_an_event_loop() -> None:
    handle = fetch.send_sync("a/b", depth=2)
    assert_type(handle, SyncHandle[Repo])
    assert_type(fetch.with_options(delay=30).send_sync(repo="a/b"), SyncHandle[Repo])
    assert_type(fetch.send_many_sync([fetch.message("a")]), list[SyncHandle[Repo]])
    assert_type(shout.handle_sync("some id"), SyncHandle[str])
    assert_type(handle.result(timeout=10), Repo)
    assert_type(handle.state(), TaskState[Repo])
    assert_type(handle.wait(), TaskState[Repo])
    assert_type(handle.cancel(), bool)
    assert_type((handle.id, handle.task_name, str(handle)), tuple[str, str, str])
    for state in handle.watch(timeout=1.5):
        assert_type(state, TaskState[Repo])
    wider: SyncHandle[object] = handle
    use(wider.result())
    ltq.close_sync()


async def watches_that_are_left(handle: Handle[Repo]) -> None:
    async with contextlib.aclosing(handle.watch()) as states:
        assert_type(await anext(states), TaskState[Repo])


async def inside_a_task() -> None:
    context = ltq.current()
    assert_type(context, Context)
    assert_type(context.id, str)
    assert_type(context.attempt, int)
    assert_type(context.message, Message[Any])
    await context.progress(1)
    await context.progress(1, total=10, note="a tenth")
    if context.attempt == 1:
        raise ltq.RetryError(delay=timedelta(minutes=1))
    raise ltq.RetryError(delay=1.5, message="again")


def errors(error: ltq.TaskFailedError) -> None:
    base: ltq.TaskError = error
    assert_type(base.state, TaskState[Any])
    assert_type(base.type, str)
    assert_type(base.message, str)
    assert_type(base.traceback, str | None)
    not_found: LookupError = ltq.TaskNotFoundError("id")
    timeout: TimeoutError = ltq.ResultTimeoutError("id", 1.0)
    wrong: TypeError = ltq.InvalidArgumentsError()
    configuration: ValueError = ltq.ConfigurationError()
    raise ExceptionGroup("all", [not_found, timeout, wrong, configuration])


class Bare(Middleware):
    """As it was written for ltq 0.4.0."""

    @asynccontextmanager
    async def __call__(self, message: Message, task: Task) -> AsyncIterator[None]:
        message.ctx["began"] = task.name
        assert_type(message, Message[Any])
        yield


class Parametrised(Middleware):
    @asynccontextmanager
    async def __call__(self, message: Message[Any], task: Task[..., Any]) -> AsyncIterator[None]:
        assert_type(task.name, str)
        assert_type(task.queue, str)
        if "delay" in task.options:
            raise ltq.RejectError("not today")
        yield


class WithoutDecorator(Middleware):
    def __call__(
        self, message: Message[Any], task: Task[..., Any]
    ) -> AbstractAsyncContextManager[None]:
        return Bare()(message, task)


@asynccontextmanager
async def lifespan(_: ltq.Worker) -> AsyncIterator[dict[str, int]]:
    yield {"pool": 1}


async def workers(broker: Broker, serializer: Serializer) -> None:
    stack: Sequence[Middleware] = [Bare(), Parametrised(), WithoutDecorator(), ltq.MaxTries()]
    own = ltq.Worker(
        "own",
        middlewares=stack,
        broker=broker,
        lease=timedelta(seconds=30),
        shutdown_timeout=5,
        result_ttl=timedelta(hours=2),
        lifespan=lifespan,
        serializer=serializer,
    )
    ltq.Worker("other", "redis://localhost", 5, [ltq.MaxTries(), ltq.MaxAge(), ltq.MaxRate()])
    ltq.Worker("packed", serializer="msgpack")
    own.register_middleware(ltq.MaxAge(), pos=0)
    own.stop()
    async with own as entered:
        assert_type(entered, ltq.Worker[dict[str, int]])
    assert_type(await own.run(burst=True), None)
    assert_type(own.tasks, Mapping[str, Task[..., Any]])
    registry: dict[str, Task[..., Any]] = {"fetch": fetch, "shout": shout, "nothing": nothing}
    registry.clear()


class Pool:
    """A lifespan may be any async context manager made from the worker."""

    def __init__(self, worker: ltq.Worker[Any]) -> None:
        self.name = worker.name

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None: ...


@asynccontextmanager
async def its_own_type(worker: "ltq.Worker[Repo]") -> AsyncIterator[Repo]:
    yield Repo(worker.name, 1)


async def resources() -> None:
    assert_type(ltq.Worker("plain"), ltq.Worker[None])
    assert_type(ltq.Worker("plain"), ltq.Worker)
    assert_type(ltq.Worker("plain", lifespan=None).resource, None)
    counted = ltq.Worker("counted", lifespan=lifespan)
    assert_type(counted, ltq.Worker[dict[str, int]])
    assert_type(counted.resource["pool"], int)
    assert_type(ltq.Worker("pooled", lifespan=Pool).resource, Pool)
    assert_type(ltq.Worker("own", lifespan=its_own_type).resource, Repo)
    wider: ltq.Worker[object] = counted
    whatever: list[ltq.Worker[Any]] = [counted, worker, wider]
    app = ltq.App()
    app.register_worker(counted)
    assert_type(app.workers, tuple[ltq.Worker[Any], ...])
    use(whatever)

    @counted.task
    async def read(key: str) -> int:
        return counted.resource[key]

    assert_type(await read.send("pool"), Handle[int])


async def events() -> None:
    def show(event: ltq.Event) -> None:
        assert_type(event.kind, ltq.EventKind)
        assert_type((event.task_name, event.id, event.attempt), tuple[str, str, int])
        assert_type(event.time, float)
        assert_type(event.duration, float | None)
        assert_type(event.error, str | None)

    undo = worker.subscribe(show)
    assert_type(undo, Callable[[], None])
    kept: list[ltq.Event] = []
    worker.subscribe(kept.append)
    reader = worker.events(buffer=10)
    async for event in reader:
        assert_type(event, ltq.Event)
    assert_type(reader.dropped, int)
    await reader.aclose()


@worker.cron("0 3 * * *", tz="Europe/Berlin", misfire="skip")
@worker.cron("@daily", name="daily")
@worker.task(max_tries=2)
async def tidy(deep: bool = False) -> int:
    return int(deep)


@worker.cron("@hourly")
@worker.task
def count() -> int:
    return 1


async def schedules() -> None:
    assert_type(await tidy(True), int)
    assert_type(await (await count.send()).result(), int)
    scheduler = ltq.Scheduler(tz=ZoneInfo("Europe/Berlin"))
    scheduler.cron("* * * * *", fetch.message("a/b"), name="fetch", tz="UTC", misfire="all")
    scheduler.register_worker(worker)
    scheduler.start_background()
    assert_type(scheduler.schedules, tuple[ltq.Schedule, ...])
    await scheduler.stop()
    await scheduler.run()


async def brokers() -> None:
    assert_type(Broker.from_url("memory://tests"), Broker)
    memory: Broker = MemoryBroker("memory://tests")
    redis: Broker = RedisBroker("redis://localhost")
    publisher: Publisher = redis
    settler: Settler = redis
    watcher: Watcher = redis
    inspector: Inspector = memory
    async with memory as broker, broker.consumer(["mail"]) as consumer:
        narrow: Consumer = consumer
        assert_type(await broker.claim(narrow, 10, timeout=5), list[Delivery])
        lease = Lease("id", "mail", 1)
        assert_type(await broker.release(lease, result=b'"sent"'), Receipt)
        assert_type(await broker.state("mail", "id"), TaskState[bytes])
        async for state in broker.watch("mail", "id"):
            assert_type(state, TaskState[bytes])
    use(publisher, settler, watcher, inspector)


async def tests() -> None:
    async with testing.use(worker, ltq.App(), start=datetime(2030, 1, 1, tzinfo=UTC)) as box:
        assert_type(testing.assert_sent(fetch, "a/b", depth=2), list[Message[Repo]])
        assert_type(testing.assert_sent_once(shout.with_options(delay=5), "a"), Message[str])
        testing.assert_not_sent(nothing)
        assert_type(testing.sent(maybe), list[Message[Repo | None]])
        assert_type(await testing.drain(worker, check=True), list[TaskState[Any]])
        await box.clock.advance(timedelta(days=1), hours=0.5)
        await box.clock.advance_to("2030-02-01T00:00:00Z")
        with box.broker.fail(on=["send", "claim"], next=2, error=ltq.BrokerError("away")) as fault:
            assert_type(fault.count, int)
    with testing.use(clock=testing.Clock()):
        use(testing.FlakyBroker(Broker.from_url("memory://tests")))
