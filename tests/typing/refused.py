"""Calls that type checkers must refuse, each on its line. Read by them, never run.

The code in each `ignore` is mypy's: as unused ones are errors, a call that is no longer refused
shows. Pyright does not look at these comments, and must refuse the very same lines.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import ltq
from ltq import Broker, Handle, Message, Middleware, Task, TaskState, Worker, testing


@dataclass
class Repo:
    name: str


def use(*values: object) -> None: ...


worker = Worker("github", broker_url="memory://typing")


@worker.task
async def fetch(repo: str, *, depth: int = 1) -> Repo:
    return Repo(repo * depth)


@worker.task(max_tries=3)
async def measure(text: str) -> int:
    return len(text)


@worker.task
def shout(text: str) -> str:
    return text.upper()


@worker.task(priority="low")
def halve(number: float, /) -> float:
    return number / 2


async def sends() -> None:
    await fetch.send(1)  # type: ignore[arg-type]
    await fetch.send()  # type: ignore[call-arg]
    await fetch.send("a/b", 2)  # type: ignore[call-arg]
    await fetch.send("a/b", depth="2")  # type: ignore[arg-type]
    await fetch.send("a/b", deep=2)  # type: ignore[call-arg]
    await fetch.send("a/b", delay=2)  # type: ignore[call-arg]
    await measure.send(b"bytes")  # type: ignore[arg-type]
    await shout.send(None)  # type: ignore[arg-type]
    await halve.send(number=1)  # type: ignore[call-arg]
    await halve.send("1")  # type: ignore[arg-type]


async def calls_here_and_now() -> None:
    await fetch(1)  # type: ignore[arg-type]
    await fetch("a/b", deep=2)  # type: ignore[call-arg]
    await shout()  # type: ignore[call-arg]
    await halve("1")  # type: ignore[arg-type]
    fetch("a").name  # type: ignore[attr-defined]  # noqa: B018
    shout("a").upper()  # type: ignore[attr-defined]


async def messages() -> None:
    fetch.message(1)  # type: ignore[arg-type]
    fetch.message("a/b", deep=2)  # type: ignore[call-arg]
    halve.message()  # type: ignore[call-arg]
    await fetch.send_many([measure.message("a")])  # type: ignore[list-item]
    await fetch.send_many([fetch.message("a"), shout.message("a")])  # type: ignore[list-item]
    await measure.send_many(["a", "b"])  # type: ignore[list-item]
    await shout.send_many(shout.message("a"))  # type: ignore[arg-type]
    message = fetch.message("a/b")
    message.args = ()  # type: ignore[misc]
    message.task_name = "x"  # type: ignore[misc]
    message.kwargs["depth"] = 2  # type: ignore[index]


async def results(handle: Handle[Repo], number: Handle[int]) -> None:
    text: str = await handle.result()  # type: ignore[assignment]
    missing = await (await fetch.send("a/b")).result()
    missing.stars  # type: ignore[attr-defined]  # noqa: B018
    await handle.result("10")  # type: ignore[arg-type]
    await handle.result(tiemout=10)  # type: ignore[call-arg]
    state = await handle.state()
    state.result.name  # type: ignore[union-attr]  # noqa: B018
    async for seen in handle.watch():
        whole: int = seen.result  # type: ignore[assignment]
        use(whole)
    list(handle.watch())  # type: ignore[call-overload]
    other: Handle[str] = handle  # type: ignore[assignment]
    pair: tuple[str, int] = await ltq.gather(handle, number)  # type: ignore[assignment]
    three: tuple[Repo, int, int] = await ltq.gather(handle, number)  # type: ignore[assignment]
    await ltq.gather([handle, number])  # type: ignore[call-overload]
    await ltq.gather(handle, timeout="5")  # type: ignore[call-overload]
    first, _ = await ltq.gather(handle, number, return_exceptions=True)
    first.name  # type: ignore[union-attr]  # noqa: B018
    async for done in ltq.as_completed([number]):
        name: str = await done.result()  # type: ignore[assignment]
        use(name)
    use(text, other, pair, three)


def without_an_event_loop() -> None:
    fetch.send_sync(1)  # type: ignore[arg-type]
    fetch.send_sync("a/b", deep=2)  # type: ignore[call-arg]
    fetch.send_many_sync([measure.message("a")])  # type: ignore[list-item]
    fetch.handle_sync(5)  # type: ignore[arg-type]
    handle = fetch.send_sync("a/b")
    handle.result().stars  # type: ignore[attr-defined]  # noqa: B018
    text: str = handle.result()  # type: ignore[assignment]
    handle.result("10")  # type: ignore[arg-type]
    handle.id = "other"  # type: ignore[misc]
    awaitable: Handle[Repo] = handle  # type: ignore[assignment]
    use(text, awaitable)


async def events() -> None:
    async for event in worker.events():
        event.kind = ltq.EventKind.LOST  # type: ignore[misc]
        event.duration + 1  # type: ignore[operator]
        event.error.upper()  # type: ignore[union-attr]
        event.queue  # type: ignore[attr-defined]  # noqa: B018
    for _ in worker.events():  # type: ignore[attr-defined]
        pass


def states(state: TaskState[Repo]) -> None:
    state.status = ltq.Status.FAILED  # type: ignore[misc]
    state.result = None  # type: ignore[misc]
    state.dequeue_count += 1  # type: ignore[misc]
    state.progress.current  # type: ignore[union-attr]  # noqa: B018
    state.enqueue_time + 1  # type: ignore[operator]
    state.retries  # type: ignore[attr-defined]  # noqa: B018
    ltq.Progress(1).current = 2  # type: ignore[misc]


async def send_options() -> None:
    fetch.with_options(dealy=5)  # type: ignore[call-arg]
    fetch.with_options(queue="other")  # type: ignore[call-arg]
    fetch.with_options(delay="5")  # type: ignore[arg-type]
    fetch.with_options(eta="2030-01-01")  # type: ignore[arg-type]
    fetch.with_options(priority="urgent")  # type: ignore[arg-type]
    fetch.with_options(priority=1)  # type: ignore[arg-type]
    fetch.with_options(id=5)  # type: ignore[arg-type]
    fetch.with_options(timeout=None)  # type: ignore[arg-type]
    fetch.with_options(max_tries="3")  # type: ignore[arg-type]
    fetch.with_options(result_ttl=[1])  # type: ignore[arg-type]
    await fetch.with_options(delay=5).send(1)  # type: ignore[arg-type]
    await fetch.with_options(delay=5).send("a/b", depht=1)  # type: ignore[call-arg]


def task_options(error: type[BaseException]) -> None:
    worker.task(max_trys=3)  # type: ignore[call-overload]
    worker.task(delay=3)  # type: ignore[call-overload]
    worker.task(name=3)  # type: ignore[call-overload]
    worker.task(queue=b"q")  # type: ignore[call-overload]
    worker.task(max_tries="3")  # type: ignore[call-overload]
    worker.task(max_tries=1.5)  # type: ignore[call-overload]
    worker.task(max_tries=None)  # type: ignore[call-overload]
    worker.task(backoff="1s")  # type: ignore[call-overload]
    worker.task(backoff=lambda failed: "soon")  # type: ignore[arg-type, return-value]
    worker.task(retry_on="OSError")  # type: ignore[call-overload]
    worker.task(retry_on=[OSError])  # type: ignore[call-overload]
    worker.task(retry_on=error)  # type: ignore[arg-type]
    worker.task(max_age="1h")  # type: ignore[call-overload]
    worker.task(max_rate=10)  # type: ignore[call-overload]
    worker.task(timeout="30s")  # type: ignore[call-overload]
    worker.task(result_ttl=None)  # type: ignore[call-overload]
    worker.task(priority="urgent")  # type: ignore[call-overload]
    worker.task(priority=0)  # type: ignore[call-overload]
    worker.task(max_pending="100")  # type: ignore[call-overload]
    worker.task(max_deliveries=2.5)  # type: ignore[call-overload]
    worker.task("name")  # type: ignore[call-overload]
    worker.task(5)  # type: ignore[call-overload]


class TooFew(Middleware):
    @asynccontextmanager
    async def __call__(self, message: Message[Any]) -> AsyncIterator[None]:  # type: ignore[override]
        yield


class Coroutine(Middleware):
    async def __call__(self, message: Message, task: Task) -> None: ...  # type: ignore[override]


class Narrow(Middleware):
    @asynccontextmanager
    async def __call__(self, message: int, task: Task) -> AsyncIterator[None]:  # type: ignore[override]
        yield


@asynccontextmanager
async def open_repo(_: Worker[Any]) -> AsyncIterator[Repo]:
    yield Repo("a")


def print_repo(repo: Repo) -> None: ...


def schedules(scheduler: ltq.Scheduler) -> None:
    scheduler.cron("@daily", fetch)  # type: ignore[arg-type]
    scheduler.cron("@daily", fetch.message("a"), misfire="twice")  # type: ignore[arg-type]
    scheduler.cron("@daily", fetch.message("a"), tz=1)  # type: ignore[arg-type]
    ltq.Scheduler(poll_interval=1)  # type: ignore[call-arg]
    worker.cron("@daily")(fetch)  # type: ignore[type-var]
    worker.cron("@daily")(print_repo)  # type: ignore[type-var]
    worker.cron("@daily", misfire="twice")  # type: ignore[arg-type]
    worker.cron(5)  # type: ignore[arg-type]


async def workers(broker: Broker) -> None:
    Worker()  # type: ignore[call-arg]
    Worker(5)  # type: ignore[arg-type]
    Worker("a", concurency=5)  # type: ignore[call-arg]
    Worker("a", concurrency="5")  # type: ignore[arg-type]
    Worker("a", broker="redis://localhost")  # type: ignore[arg-type]
    Worker("a", broker_url=broker)  # type: ignore[arg-type]
    Worker("a", lease="15s")  # type: ignore[arg-type]
    Worker("a", serializer=5)  # type: ignore[arg-type]
    Worker("a", middlewares=[ltq.MaxTries])  # type: ignore[list-item]
    Worker("a", middlewares=ltq.MaxAge())  # type: ignore[arg-type]
    Worker("a", lifespan=worker)  # type: ignore[arg-type]
    worker.resource.name  # type: ignore[attr-defined]  # noqa: B018
    Worker("a", lifespan=open_repo).resource.names  # type: ignore[attr-defined]  # noqa: B018
    wrong: Worker[int] = Worker("a", lifespan=open_repo)  # type: ignore[arg-type]
    worker.resource = None  # type: ignore[misc]
    worker.subscribe(print_repo)  # type: ignore[arg-type]
    worker.events(buffer="10")  # type: ignore[arg-type]
    use(wrong)
    worker.register_middleware(ltq.MaxAge)  # type: ignore[arg-type]
    await worker.run(True)  # type: ignore[call-arg]
    ltq.RetryError(delay="1s")  # type: ignore[arg-type]
    Middleware()  # type: ignore[abstract]
    Broker()  # type: ignore[abstract]


async def tests(broker: testing.FlakyBroker, clock: testing.Clock) -> None:
    testing.assert_sent(fetch)  # type: ignore[call-arg]
    testing.assert_sent(fetch, 5)  # type: ignore[arg-type]
    testing.assert_sent_once(fetch, "a", times=1)  # type: ignore[call-arg]
    testing.assert_not_sent(fetch, "a", depth="b")  # type: ignore[arg-type]
    testing.sent(worker)  # type: ignore[arg-type]
    testing.use("worker")  # type: ignore[arg-type]
    broker.fail(on="publish")  # type: ignore[arg-type]
    await clock.advance(weeks=1)  # type: ignore[call-arg]
