"""Calls that type checkers must accept. Read by them, never run.

What the calls give is in revealed.py; here are the ways in which they may be written.
"""

import asyncio
import contextlib
import functools
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, ParamSpec, Self, TypeVar, assert_type
from zoneinfo import ZoneInfo

from declared import (
    Database,
    Repo,
    chat,
    connect,
    count,
    fetch,
    halve,
    maybe,
    measure,
    most,
    nothing,
    parse,
    rank,
    send_options,
    shout,
    store,
    tick,
    tidy,
    unique,
    use,
    weigh,
    worker,
)

import ltq
from ltq import (
    Broker,
    Handle,
    Message,
    Middleware,
    Node,
    SendOptions,
    SyncHandle,
    Task,
    TaskOptions,
    TaskState,
    Worker,
    testing,
)
from ltq.broker import DeadLetters, Inspector, Publisher, Settler, Watcher
from ltq.brokers.memory import MemoryBroker
from ltq.brokers.redis import RedisBroker
from ltq.codec import Serializer
from ltq.options import Backoff, RetryOn

P = ParamSpec("P")
R = TypeVar("R")


class Service:
    """A place of its own for tasks: what they close over is no argument."""

    def __init__(self, worker: Worker[Any], prefix: str) -> None:
        @worker.task
        async def greet(name: str) -> str:
            return prefix + name

        @worker.task(priority="high")
        def part(name: str, *, loud: bool = False) -> str:
            return name.upper() if loud else name

        self.greet = greet
        self.part = part


def timed(fn: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    @functools.wraps(fn)
    async def inner(*args: P.args, **kwargs: P.kwargs) -> R:
        return await fn(*args, **kwargs)

    return inner


async def declares(own: Worker[Database], task_options: TaskOptions) -> None:
    service = Service(own, "hello ")
    assert_type(await service.greet.send("you"), Handle[str])
    assert_type(await service.part.send("you", loud=True), Handle[str])

    @own.task(**task_options)
    async def listed(*numbers: int, base: int | None = None) -> list[int]:
        return [number + (base or 0) for number in numbers]

    assert_type(await listed.send(1, 2, base=5), Handle[list[int]])

    @own.cron("@daily", tz=ZoneInfo("Europe/Berlin"), misfire="once")
    @own.task(timeout=timedelta(minutes=1))
    def nightly(*, limit: int = 10) -> dict[str, int]:
        return {"limit": limit}

    assert_type(await nightly.send(limit=5), Handle[dict[str, int]])

    def again(error: Exception) -> bool:
        return isinstance(error, OSError)

    retry_on: list[RetryOn] = [OSError, (OSError, ValueError), (OSError, SystemExit), again]
    backoff: list[Backoff] = [1, 0.5, timedelta(seconds=1), lambda failed: failed * 2.0, float]
    use(retry_on, backoff)


async def sends() -> None:
    await fetch.send(repo="a/b", depth=2)
    await measure.send()
    await halve.send(3)
    await count.send(table="rows")
    for task in (tidy, tick):
        await task.send()
    arguments: dict[str, Any] = {"repo": "a/b"}
    await fetch.send(**arguments)
    await asyncio.gather(fetch.send("a"), shout.send("b"))
    kept: Callable[[str], Awaitable[Repo]] = fetch
    await kept("a/b")
    sender: Callable[[str], Awaitable[Handle[Repo]]] = fetch.send
    await sender("a/b")


async def messages() -> None:
    await fetch.send_many([fetch.message(name) for name in ("a", "b")])
    await halve.send_many((halve.message(1), halve.with_options(delay=5).message(2)))
    message = fetch.message("a/b")
    message.ctx["trace"] = "abc"
    anyone: list[Message[Any]] = [message, shout.message("a")]
    use(anyone)


async def options() -> None:
    later = fetch.with_options(
        id="a",
        delay=30,
        priority="high",
        timeout=timedelta(minutes=1),
        max_tries=2,
        result_ttl=timedelta(days=1),
        on_full="wait",
        full_timeout=0.5,
        unique_for=60,
    )
    enlisted = fetch.with_options(connection=object())
    assert_type(await enlisted.send("a/b", depth=2), Handle[Repo])
    assert_type(later.with_options(eta=datetime.now(UTC)).message("a"), Message[Repo])
    assert_type(await later.send("a/b", depth=2), Handle[Repo])
    merged: SendOptions = {**send_options, "id": "b"}
    await maybe.with_options(**merged).send(5)


async def generic(task: Task[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Around any task: arguments and result keep their types."""
    handle = await task.with_options(delay=1).send(*args, **kwargs)
    assert_type(handle, Handle[R])
    return await handle.result()


async def uses_generic() -> None:
    assert_type(await generic(fetch, "a/b", depth=2), Repo)
    assert_type(await generic(shout, "a"), str)


async def wider(handle: Handle[Repo], sync_handle: SyncHandle[Repo], state: TaskState[int]) -> None:
    everything: Handle[object] = handle
    either: Handle[Repo | None] = handle
    no_loop: SyncHandle[object] = sync_handle
    seen: TaskState[float] = state
    bare: list[Handle] = [handle, everything, either]
    use(str(handle), no_loop, seen, bare, {handle: 1}, handle == either)
    if state.result is not None:
        use(state.result + 1)
    if state.progress is not None and state.progress.total:
        use(state.progress.current / state.progress.total)


async def waits(handle: Handle[Repo], many: list[Handle[int]]) -> None:
    async with contextlib.aclosing(handle.watch()) as states:
        assert_type(await anext(states), TaskState[Repo])
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        task = group.create_task(handle.result())
    assert_type(task.result(), Repo)
    number, repo = await ltq.gather(many[0], handle)
    assert_type(number + 1, int)
    assert_type(repo.stars, int)
    await ltq.gather(*many, timeout=None, return_exceptions=len(many) > 5)
    async for done in ltq.as_completed((handle for _ in range(3)), timeout=1.5):
        assert_type((await done.result()).name, str)


async def inside_a_task() -> None:
    context = ltq.current()
    await context.progress(1)
    if context.attempt == 1:
        raise ltq.RetryError(delay=timedelta(minutes=1))
    raise ltq.RetryError(delay=1.5, message="again")


def errors() -> None:
    not_found: LookupError = ltq.TaskNotFoundError("id")
    timeout: TimeoutError = ltq.ResultTimeoutError("id", 1.0)
    wrong: TypeError = ltq.InvalidArgumentsError()
    configuration: ValueError = ltq.ConfigurationError()
    full: ltq.LtqError = ltq.QueueFullError("mail", 10, 10)
    raise ExceptionGroup("all", [not_found, timeout, wrong, configuration, full])


class Bare(Middleware):
    """As it was written for ltq 0.4.0."""

    @asynccontextmanager
    async def __call__(self, message: Message, task: Task) -> AsyncIterator[None]:
        message.ctx["began"] = task.name
        assert_type(message, Message[Any])
        yield


class Parametrised(Middleware):
    @asynccontextmanager
    async def __call__(self, message: Message[Any], task: Task[..., Any]) -> AsyncGenerator[None]:
        if "delay" in task.options:
            raise ltq.RejectError("not today")
        yield

    def on_send(self, message: Message[Any], task: Task[..., Any]) -> None:
        message.ctx["sent_by"] = task.queue


class WithoutDecorator(Middleware):
    def __call__(
        self, message: Message[Any], task: Task[..., Any]
    ) -> AbstractAsyncContextManager[None]:
        return Bare()(message, task)


class Pool:
    """A lifespan may be any async context manager made from the worker."""

    def __init__(self, worker: Worker[Any]) -> None:
        self.name = worker.name

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None: ...


@asynccontextmanager
async def its_own_type(worker: "Worker[Repo]") -> AsyncGenerator[Repo]:
    yield Repo(worker.name, 1)


async def workers(broker: Broker, serializer: Serializer) -> None:
    own = Worker(
        "own",
        middlewares=[Bare(), Parametrised(), WithoutDecorator(), ltq.MaxTries()],
        broker=broker,
        lease=timedelta(seconds=30),
        shutdown_timeout=5,
        result_ttl=timedelta(hours=2),
        lifespan=connect,
        serializer=serializer,
        max_payload=1 << 24,
    )
    Worker("other", "redis://localhost", 5, [ltq.MaxTries(), ltq.MaxAge(), ltq.MaxRate()])
    Worker("packed", serializer="msgpack")
    assert_type(Worker("pooled", lifespan=Pool).resource, Pool)
    assert_type(Worker("own", lifespan=its_own_type).resource, Repo)
    assert_type(Worker("plain", lifespan=None), Worker)
    wide: Worker[object] = own
    whatever: list[Worker[Any]] = [own, worker, wide]
    registry: Mapping[str, Task[..., Any]] = {"fetch": fetch, "shout": shout, "nothing": nothing}
    app = ltq.App([Bare()])
    for each in whatever:
        app.register_worker(each)
    use(registry)


def events(kept: list[ltq.Event]) -> None:
    worker.subscribe(kept.append)
    undo = worker.subscribe(lambda event: use(event.kind, event.id))
    undo()


async def schedules(broker: Broker) -> None:
    scheduler = ltq.Scheduler(broker=broker, tz=ZoneInfo("Europe/Berlin"))
    scheduler.cron("* * * * *", fetch.message("a/b"), name="fetch", tz="UTC", misfire="all")
    scheduler.cron("@daily", tidy.with_options(priority="low").message())
    ltq.Scheduler("redis://localhost")


async def workflows(page: Node[Repo], stars: list[Node[int]]) -> None:
    """A task may take more than the result is, and it need not have a name for it."""
    use(page.then(rank), page.then(rank, by="name"), page.then(store), page.then(halve_stars))
    numbers = ltq.join(*stars)
    use(numbers.then(most), numbers.map(halve).then(most), numbers.map(store).then(store))
    use(ltq.join(page, *stars[:1]).then(store), ltq.join(*stars, page.then(rank)).then(most))
    use(page.then(unique).map(weigh).then(most), page.then(parse).map(chat).then(most))
    use(page.then(shout_name.with_options(timeout=5)).then(chat.with_options(max_items=5)))
    use(fetch.with_options(priority="high").step("a/b").then(rank), fetch.step(repo="a/b"))
    wider: Node[object] = page
    handle: Handle[Repo] = await page.send()
    use(wider, handle)


async def any_task(node: Node[R], task: Task[[R], int]) -> Node[int]:
    return node.then(task)


@worker.task
async def halve_stars(page: Repo, /) -> float:
    return page.stars / 2


@worker.task
async def shout_name(page: Repo, times: int = 1, *words: str) -> str:
    return page.name.upper() * times


class Deliverer:
    """A part of a program that asks for the narrowest thing."""

    def __init__(self, publisher: Publisher, settler: Settler) -> None:
        use(publisher, settler)


async def brokers() -> None:
    memory: Broker = MemoryBroker("memory://tests")
    redis: Broker = RedisBroker("redis://localhost")
    watcher: Watcher = redis
    inspector: Inspector = memory
    letters: DeadLetters = memory
    Deliverer(memory, redis)
    async with memory as broker, broker.consumer(["mail"]) as consumer:
        for delivery in await broker.claim(consumer, 10, timeout=5):
            await broker.release(delivery.lease, result=b'"sent"', status=ltq.Status.REJECTED)
    use(watcher, inspector, letters)


async def tests() -> None:
    async with testing.use(worker, ltq.App(), start=datetime(2030, 1, 1, tzinfo=UTC)) as box:
        testing.assert_sent(fetch.with_options(delay=5), "a/b")
        await box.clock.advance(timedelta(days=1), hours=0.5)
        calls: Iterable[ltq.Message[Repo]] = testing.sent(fetch)
        with box.broker.fail(on=["send", "claim"], next=2, error=ltq.BrokerError("away")) as fault:
            assert_type(fault.count, int)
        use(calls)
    with testing.use(clock=testing.Clock()):
        use(testing.FlakyBroker(Broker.from_url("memory://tests")))
