"""Calls that type checkers must refuse, each line marked as an error, and no other.

All of them refuse it, but those named on the line, where what they cannot do is explained. Read
by them, never run.
"""
# ruff: noqa: B018

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, assert_type

from declared import (
    Repo,
    both,
    chat,
    connect,
    count,
    fetch,
    greet,
    halve,
    maybe,
    most,
    nothing,
    parse,
    primes,
    rank,
    shout,
    store,
    stored,
    tell,
    unique,
    use,
    weigh,
    worker,
)

import ltq
from ltq import (
    Broker,
    Context,
    Handle,
    Message,
    Middleware,
    SyncHandle,
    Task,
    TaskState,
    Worker,
    testing,
)
from ltq.message import Lease


@worker.task
async def measure(text: str) -> int:
    return len(text)


async def sends() -> None:
    await fetch.send(1)  # error
    await fetch.send()  # error
    await fetch.send("a/b", 2)  # error
    await fetch.send("a/b", depth="2")  # error
    await fetch.send("a/b", deep=2)  # error
    await fetch.send("a/b", delay=2)  # error
    await measure.send(b"bytes")  # error
    await shout.send(None)  # error
    await halve.send(number=1)  # error
    await halve.send("1")  # error


async def calls_here_and_now() -> None:
    await fetch(1)  # error
    await fetch("a/b", deep=2)  # error
    await shout()  # error
    await halve("1")  # error
    fetch("a").name  # error
    shout("a").upper()  # error


async def messages() -> None:
    fetch.message(1)  # error
    fetch.message("a/b", deep=2)  # error
    halve.message()  # error
    await fetch.send_many([measure.message("a")])  # error
    await fetch.send_many([fetch.message("a"), shout.message("a")])  # error
    await measure.send_many(["a", "b"])  # error
    await shout.send_many(shout.message("a"))  # error
    message = fetch.message("a/b")
    message.args = ()  # error
    message.task_name = "x"  # error
    message.kwargs["depth"] = 2  # error


async def results(handle: Handle[Repo], number: Handle[int]) -> None:
    text: str = await handle.result()  # error
    missing = await (await fetch.send("a/b")).result()
    missing.forks  # error
    await handle.result("10")  # error
    await handle.result(tiemout=10)  # error
    handle.result().stars  # error
    await handle.wait("10")  # error
    await handle.state(1)  # error
    await handle.cancel(force=True)  # error
    handle.watch("5")  # error
    for _ in handle.watch():  # error
        pass
    state = await handle.state()
    state.result.name  # error
    async for seen in handle.watch():
        whole: int = seen.result  # error
        use(whole)
    list(handle.watch())  # error
    other: Handle[str] = handle  # error
    pair: tuple[str, int] = await ltq.gather(handle, number)  # error
    three: tuple[Repo, int, int] = await ltq.gather(handle, number)  # error
    await ltq.gather([handle, number])  # error
    await ltq.gather("id")  # error
    await ltq.gather(fetch.send_sync("a/b"))  # error
    await ltq.gather(handle, return_exceptions="yes")  # error
    await ltq.display("id")  # error
    ltq.as_completed(handle)  # error
    ltq.as_completed([number], timeout="5")  # error
    await ltq.gather(handle, timeout="5")  # error
    first, _ = await ltq.gather(handle, number, return_exceptions=True)
    first.name  # error
    async for done in ltq.as_completed([number]):
        name: str = await done.result()  # error
        use(name)
    use(text, other, pair, three)


def without_an_event_loop() -> None:
    fetch.send_sync(1)  # error
    fetch.send_sync("a/b", deep=2)  # error
    fetch.send_many_sync([measure.message("a")])  # error
    fetch.handle_sync(5)  # error
    handle = fetch.send_sync("a/b")
    handle.result().forks  # error
    text: str = handle.result()  # error
    handle.result("10")  # error
    handle.wait(tiemout=10)  # error
    handle.state(1)  # error
    for state in handle.watch():
        state.status = ltq.Status.FAILED  # error
        state.result.stars  # error
    handle.id = "other"  # error
    awaitable: Handle[Repo] = handle  # error
    use(text, awaitable)


async def events() -> None:
    async for event in worker.events():
        event.kind = ltq.EventKind.LOST  # error
        event.duration + 1  # error
        event.error.upper()  # error
        event.queue  # error
    for _ in worker.events():  # error
        pass


def states(state: TaskState[Repo]) -> None:
    state.status = ltq.Status.FAILED  # error
    state.result = None  # error
    state.dequeue_count += 1  # error
    state.progress.current  # error
    state.enqueue_time + 1  # error
    state.retries  # error
    ltq.Progress(1).current = 2  # error
    ltq.Progress("half")  # error
    ltq.Status.DONE  # error
    state.status.is_final = True  # error
    other: TaskState[int] = state  # error
    use(other)


async def inside_a_task(context: Context) -> None:
    await context.progress("half")  # error
    await context.progress(1, total="10")  # error
    await context.progress(1, 10, 5)  # error
    context.progress_sync("half")  # error
    await context.progress_sync(1)  # error
    await context.send_after(7)  # error
    await context.send_after_sync(context.message)  # error
    context.attempt = 2  # error
    context.message.args = ()  # error
    context.retry()  # error
    ltq.current("id")  # error


async def send_options() -> None:
    fetch.with_options(dealy=5)  # error
    fetch.with_options(queue="other")  # error
    fetch.with_options(delay="5")  # error
    fetch.with_options(eta="2030-01-01")  # error
    fetch.with_options(priority="urgent")  # error
    fetch.with_options(priority=1)  # error
    fetch.with_options(id=5)  # error
    fetch.with_options(timeout=None)  # error
    fetch.with_options(max_tries="3")  # error
    fetch.with_options(result_ttl=[1])  # error
    fetch.with_options(on_full="drop")  # error
    fetch.with_options(full_timeout="2s")  # error
    fetch.with_options(unique_for=None)  # error
    fetch.with_options({"delay": 5})  # error
    await fetch.with_options(delay=5).send(1)  # error
    await fetch.with_options(delay=5).send("a/b", depht=1)  # error


def task_options(no_error: type[bytes]) -> None:
    worker.task(max_trys=3)  # error
    worker.task(delay=3)  # error
    worker.task(name=3)  # error
    worker.task(queue=b"q")  # error
    worker.task(max_tries="3")  # error
    worker.task(max_tries=1.5)  # error
    worker.task(max_tries=None)  # error
    worker.task(backoff="1s")  # error
    worker.task(backoff=lambda failed: "soon")  # error
    worker.task(retry_on="OSError")  # error
    worker.task(retry_on=[OSError])  # error
    worker.task(retry_on=no_error)  # error
    worker.task(max_age="1h")  # error
    worker.task(max_rate=10)  # error
    worker.task(timeout="30s")  # error
    worker.task(result_ttl=None)  # error
    worker.task(priority="urgent")  # error
    worker.task(priority=0)  # error
    worker.task(max_pending="100")  # error
    worker.task(max_deliveries=2.5)  # error
    worker.task(aliases="old")  # error
    worker.task(aliases=(5,))  # error
    worker.task(max_running="5")  # error
    worker.task(max_pending=1, on_full="drop")  # error
    worker.task(max_pending=1, full_timeout="2s")  # error
    worker.task(unique_for=None)  # error
    worker.task(greet, max_tries=3)  # error
    worker.task(greet, greet)  # error
    worker.task("name")  # error
    worker.task(5)  # error


class TooFew(Middleware):
    """ty does not look at what overrides a method but is no plain function (astral-sh/ty#2156),
    pyrefly at no override of `__call__` (facebook/pyrefly#4220)."""

    @asynccontextmanager
    async def __call__(self, message: Message) -> AsyncIterator[None]:  # error (not ty, pyrefly)
        yield


class Coroutine(Middleware):
    async def __call__(self, message: Message, task: Task) -> None: ...  # error (not pyrefly)


class Narrow(Middleware):
    def __call__(self, message: int, task: Task) -> Any: ...  # error (not pyrefly)


class Deaf(Middleware):
    @asynccontextmanager
    async def __call__(self, message: Message, task: Task) -> AsyncIterator[None]:
        yield

    def on_send(self, message: Message[Any]) -> None: ...  # error


def middleware(message: Message[Repo]) -> None:
    ltq.MaxTries()(message)  # error
    ltq.MaxTries()(fetch, message)  # error
    ltq.MaxTries(3)  # error
    ltq.Sentry(5)  # error
    ltq.OpenTelemetry(parents=False)  # error


def print_repo(repo: Repo) -> None: ...


def schedules(scheduler: ltq.Scheduler) -> None:
    scheduler.cron("@daily", fetch)  # error
    scheduler.cron("@daily", fetch.message("a"), misfire="twice")  # error
    scheduler.cron("@daily", fetch.message("a"), tz=1)  # error
    scheduler.cron("@daily", nothing)  # error
    scheduler.cron("@daily", nothing.message)  # error
    scheduler.cron(5, nothing.message())  # error
    scheduler.cron("@daily")  # error
    scheduler.cron("@daily", halve.message())  # error
    scheduler.register_worker("github")  # error
    scheduler.schedules[0].name = "x"  # error
    ltq.Scheduler(poll_interval=1)  # error
    worker.cron("@daily")(fetch)  # error
    worker.cron("@daily")(print_repo)  # error
    worker.cron("@daily")(halve)  # error
    worker.cron("@daily", timezone="UTC")  # error
    worker.cron("@daily", misfire="twice")  # error
    worker.cron(5)  # error


async def workers(broker: Broker) -> None:
    Worker()  # error
    Worker(5)  # error
    Worker("a", concurency=5)  # error
    Worker("a", concurrency="5")  # error
    Worker("a", broker="redis://localhost")  # error
    Worker("a", broker_url=broker)  # error
    Worker("a", lease="15s")  # error
    Worker("a", serializer=5)  # error
    Worker("a", middlewares=[ltq.MaxTries])  # error
    Worker("a", middlewares=ltq.MaxAge())  # error
    Worker("a", lifespan=worker)  # error
    worker.resource.name  # error
    Worker("a", lifespan=connect).resource.names  # error
    wrong: Worker[int] = Worker("a", lifespan=connect)  # error
    worker.resource = None  # error
    stored.resource.rows  # error
    number: int = stored.resource  # error
    renamed: Worker[str] = stored  # error
    await count.send(5)  # error
    worker.subscribe(print_repo)  # error
    worker.events(buffer="10")  # error
    worker.subscribe(lambda: None)  # error
    worker.tasks["fetch"] = fetch  # error
    await worker.run(brust=True)  # error
    worker.stop(later=True)  # error
    ltq.App(ltq.MaxAge())  # error
    ltq.App().register_worker("github")  # error
    ltq.App().register_middleware(ltq.MaxAge)  # error
    ltq.TaskFailedError("reason")  # error
    ltq.QueueFullError("mail")  # error
    ltq.setup_logging(level=None)  # error
    use(wrong, number, renamed)
    worker.register_middleware(ltq.MaxAge)  # error
    await worker.run(True)  # error
    ltq.RetryError(delay="1s")  # error
    Middleware()  # error
    Broker()  # error


async def brokers(broker: Broker, lease: Lease) -> None:
    Broker.from_url(5)  # error
    broker.consumer([5])  # error
    await broker.claim("mail")  # error
    await broker.release("id")  # error
    await broker.release(lease, result="text")  # error
    await broker.release(lease, status="completed")  # error
    await broker.requeue(lease, delay="5")  # error
    await broker.publish([fetch.message("a")])  # error
    state: TaskState[str] = await broker.state("mail", "id")  # error
    lease.token = 5  # error
    worker.broker = "redis://localhost:6379"  # error
    ltq.configure_brokers({"mail": broker})  # error
    ltq.configure_brokers({"mail": "memory://mail"}, primary=True)  # error
    use(state)


async def tests(broker: testing.FlakyBroker, clock: testing.Clock) -> None:
    testing.assert_sent(fetch)  # error
    testing.assert_sent(fetch, 5)  # error
    testing.assert_sent_once(fetch, "a", times=1)  # error
    testing.assert_not_sent(fetch, "a", depth="b")  # error
    testing.sent(worker)  # error
    testing.use("worker")  # error
    broker.fail(on="publish")  # error
    await clock.advance(weeks=1)  # error
    testing.assert_sent(nothing, 1)  # error
    testing.assert_sent(worker)  # error
    testing.sent(fetch, "a")  # error
    testing.use(worker, strat=1)  # error
    await testing.drain(fetch)  # error
    await clock.advance("1h")  # error
    await clock.advance_to(None)  # error
    clock.now = None  # error
    broker.slow("1s")  # error


async def workflows(page: ltq.Node[Repo], words: ltq.Node[list[str]]) -> None:
    fetch.step(5)  # error
    fetch.step("a", dept=2)  # error
    page.then(parse, lang=5)  # error
    page.then(parse, long="de")  # error
    page.then(weigh)  # error
    words.then(weigh)  # error
    page.map(weigh)  # error
    words.map(parse)  # error
    words.map(weigh, weight="2")  # error
    page.then(len)  # error
    ltq.join(page, fetch)  # error
    ltq.join(page, words).then(tell)  # error
    fetch.step()  # error
    page.then(nothing)  # error
    page.then(rank, page)  # error
    page.then(rank, page=None)  # error
    page.then(rank).then(both)  # error
    page.then(rank).then(both, 5)  # error
    page.then(rank).then(both, one=5)  # error
    page.then(rank).then(both, "a", one=5)  # error
    page.then(unique).then(words)  # error
    page.then(unique).map(rank)  # error
    page.then(store).then(rank, by=5)  # error
    maybe.step(1).then(parse)  # error
    words.then(most)  # error
    chat.step("hi").map(weigh)  # error
    chat.step("hi").stream()  # error
    page.then(fetch.fn)  # error
    page.then(lambda page: page)  # error
    ltq.join()  # error
    ltq.join([page])  # error
    ltq.join(page, page, page).then(tell)  # error
    page.handle(7)  # error
    page.send_sync()  # error
    await ltq.current().send_after(page)  # error
    page.with_options(id=7)  # error
    page.with_options(on_failure="stop")  # error
    page.with_options(delay=5)  # error
    assert_type(await page.send(), ltq.WorkflowHandle[Any])  # error
    assert_type(page.then(parse), ltq.Node[Any])  # error


async def exact_types(handle: Handle[Repo], no_loop: SyncHandle[Repo]) -> None:
    """That nothing here is `Any`: then any `assert_type` would do."""
    assert_type(fetch, Task[..., Any])  # error
    assert_type(await fetch.send("a"), Handle[Any])  # error
    assert_type(await handle.result(), Any)  # error
    assert_type(no_loop.result(), Any)  # error
    assert_type(fetch.message("a"), Message[Any])  # error
    assert_type(await maybe.send(1), Handle[Repo])  # error
    assert_type(await ltq.gather(handle), tuple[Any, ...])  # error


async def streams() -> None:
    await chat.send(5)  # error
    await chat.send("hi", depth=5)  # error
    await primes.send("five")  # error
    (await fetch.send("a/b")).stream()  # error
    fetch.handle("id").collect()  # error
    chat.handle("id").stream(after=5)  # error
    assert_type(await chat.handle("id").collect(), list[int])  # error
    assert_type(await chat.handle("id").result(), str)  # error
    assert_type(await anext(chat.handle("id").stream()), int)  # error
    chat.handle("id").stream().cursor = "1"  # error
    next(chat.handle("id").stream())  # error
    chat.with_options(max_item=5)  # error
    await chat.send_sync("hi").collect()  # error
    async for _ in chat.items(5):  # error
        ...
    async for _ in chat.handle("id"):  # error
        ...
    for _ in chat.handle("id").stream():  # error
        ...
    worker.task(max_items="many")  # error
