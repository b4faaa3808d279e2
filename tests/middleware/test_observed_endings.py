"""Each way in which a run can end, as the three observers report it, wherever they are."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import sentry_sdk

from ltq.app import App
from ltq.context import current
from ltq.errors import ExhaustedError, RejectError, RetryError
from ltq.handle import Handle
from ltq.message import Envelope, Message
from ltq.middleware import Middleware, Observer
from ltq.names import new_id
from ltq.state import Status
from ltq.task import Task
from ltq.testing.conformance._support.renewals import Renewals
from ltq.worker import Worker
from tests.eventually import eventually
from tests.middleware.test_observers import Reports
from tests.middleware.test_prometheus import ended, value

pytestmark = pytest.mark.slow

Place = Callable[[Worker, list[Observer]], None]


def outermost(worker: Worker, observers: list[Observer]) -> None:
    for one in observers:
        worker.register_middleware(one, 0)


def innermost(worker: Worker, observers: list[Observer]) -> None:
    for one in observers:
        worker.register_middleware(one)


def scattered(worker: Worker, observers: list[Observer]) -> None:
    for pos, one in zip((4, 1, 0), observers, strict=True):
        worker.register_middleware(one, pos)


def in_an_app(worker: Worker, observers: list[Observer]) -> None:
    app = App(middlewares=[*observers])
    app.register_worker(worker)


@dataclass
class Stage:
    """A worker with the observers, and what one of its runs needs."""

    worker: Worker
    reports: Reports
    monkeypatch: pytest.MonkeyPatch
    begun: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    async def burst(self, sent: Awaitable[Handle[Any]]) -> Status:
        """Run what was sent until nothing is due."""
        handle = await sent
        await self.worker.run(burst=True)
        return (await handle.state()).status

    async def begin(self, sent: Awaitable[Handle[Any]]) -> tuple[Handle[Any], "asyncio.Task[None]"]:
        """Run the worker until what was sent has begun."""
        handle = await sent
        running = asyncio.create_task(self.worker.run())
        await eventually(self.begun.is_set)
        return handle, running


@dataclass(frozen=True)
class Told:
    """What is expected of an ending."""

    status: Status
    outcomes: list[str]
    errors: list[str | None] = field(default_factory=lambda: [None])
    """The `error.type` of each span."""
    reported: list[str] = field(default_factory=list)
    """The errors in Sentry."""


Ending = Callable[[Stage], Awaitable[Status]]
ENDINGS: dict[str, tuple[Ending, Told]] = {}


def ending(told: Told) -> Callable[[Ending], Ending]:
    def note(end: Ending) -> Ending:
        ENDINGS[end.__name__] = end, told
        return end

    return note


OS, TIMEOUT = "builtins.OSError", "builtins.TimeoutError"


@ending(Told(Status.COMPLETED, ["completed"]))
async def returns(stage: Stage) -> Status:
    @stage.worker.task
    async def run() -> int:
        return 1

    return await stage.burst(run.send())


@ending(Told(Status.FAILED, ["failed"], [OS], ["OSError"]))
async def fails(stage: Stage) -> Status:
    @stage.worker.task
    def run() -> None:
        raise OSError("away")

    return await stage.burst(run.send())


@ending(Told(Status.FAILED, ["failed"], ["builtins.SystemExit"], ["SystemExit"]))
async def leaves(stage: Stage) -> Status:
    @stage.worker.task
    async def run() -> None:
        raise SystemExit(3)

    return await stage.burst(run.send())


@ending(Told(Status.FAILED, ["retried", "failed"], [OS, OS], ["OSError"]))
async def uses_up_its_tries(stage: Stage) -> Status:
    @stage.worker.task(max_tries=2, backoff=lambda _: 0.0)
    async def run() -> None:
        raise OSError("away")

    return await stage.burst(run.send())


@ending(Told(Status.COMPLETED, ["retried", "completed"], [OS, None]))
async def succeeds_later(stage: Stage) -> Status:
    @stage.worker.task(max_tries=2, backoff=lambda _: 0.0)
    async def run() -> None:
        if current().attempt == 1:
            raise OSError("away")

    return await stage.burst(run.send())


@ending(Told(Status.COMPLETED, ["retried", "retried", "completed"], [None, None, None]))
async def asks_for_more(stage: Stage) -> Status:
    @stage.worker.task
    async def run() -> None:
        if current().attempt < 3:
            raise RetryError

    return await stage.burst(run.send())


@ending(
    Told(
        Status.FAILED,
        ["retried", "failed"],
        [None, "ltq.errors.RetryError"],
        ["RetryError"],
    )
)
async def asks_too_often(stage: Stage) -> Status:
    @stage.worker.task(max_tries=2)
    async def run() -> None:
        raise RetryError(message="not yet")

    return await stage.burst(run.send())


@ending(Told(Status.FAILED, ["failed"], ["ltq.errors.ExhaustedError"], ["ExhaustedError"]))
async def gives_up(stage: Stage) -> Status:
    @stage.worker.task(max_tries=5)
    async def run() -> None:
        raise ExhaustedError

    return await stage.burst(run.send())


@ending(Told(Status.REJECTED, ["rejected"]))
async def rejects(stage: Stage) -> Status:
    @stage.worker.task(max_tries=5)
    async def run() -> None:
        raise RejectError("a duplicate")

    return await stage.burst(run.send())


@ending(Told(Status.REJECTED, ["rejected"]))
async def is_too_old(stage: Stage) -> Status:
    @stage.worker.task(max_age=1e-9)
    async def run() -> None: ...

    return await stage.burst(run.send())


@ending(Told(Status.FAILED, ["retried", "failed"], [TIMEOUT, TIMEOUT], ["TimeoutError"]))
async def takes_too_long(stage: Stage) -> Status:
    @stage.worker.task(timeout=0.02, max_tries=2, backoff=lambda _: 0.0)
    async def run() -> None:
        await asyncio.Event().wait()

    return await stage.burst(run.send())


@ending(Told(Status.FAILED, ["failed"], [TIMEOUT], ["TimeoutError"]))
async def takes_too_long_in_a_thread(stage: Stage) -> Status:
    @stage.worker.task(timeout=0.05)
    def run() -> None:
        stage.go_on.wait(0.3)

    try:
        return await stage.burst(run.send())
    finally:
        stage.go_on.set()


@ending(Told(Status.CANCELLED, ["cancelled"]))
async def is_cancelled(stage: Stage) -> Status:
    @stage.worker.task(max_tries=5)
    async def run() -> None:
        stage.begun.set()
        await asyncio.Event().wait()

    handle, running = await stage.begin(run.send())
    await handle.cancel()
    await eventually(lambda: stage.reports.outcomes)
    stage.worker.stop()
    await running
    return (await handle.state()).status


@ending(Told(Status.CANCELLED, ["cancelled"]))
async def is_cancelled_in_a_thread(stage: Stage) -> Status:
    @stage.worker.task
    def run() -> str:
        stage.begun.set()
        stage.go_on.wait(10)
        return "all the same"

    handle, running = await stage.begin(run.send())
    await handle.cancel()
    await eventually(lambda: stage.reports.outcomes)
    stage.go_on.set()
    stage.worker.stop()
    await running
    return (await handle.state()).status


@ending(Told(Status.PENDING, ["cancelled"]))
async def is_put_back(stage: Stage) -> Status:
    @stage.worker.task(max_tries=1)
    async def run() -> None:
        stage.begun.set()
        await asyncio.Event().wait()

    handle, running = await stage.begin(run.send())
    stage.worker.stop(now=True)
    await running
    return (await handle.state()).status


@ending(Told(Status.COMPLETED, ["cancelled"]))
async def loses_its_lease(stage: Stage) -> Status:
    stage.worker.lease = 0.3
    broker = stage.worker.broker
    renewals = Renewals(broker, stage.monkeypatch)

    @stage.worker.task(max_tries=5)
    async def run() -> None:
        stage.begun.set()
        await asyncio.Event().wait()

    handle, running = await stage.begin(run.send())
    await eventually(lambda: renewals.last)
    assert renewals.last is not None
    await broker.release(renewals.last)  # as another caller with the same lease
    await eventually(lambda: stage.reports.outcomes)
    stage.worker.stop()
    await running
    return (await handle.state()).status


@ending(Told(Status.COMPLETED, ["cancelled", "completed"], [None, None]))
async def has_no_thread(stage: Stage) -> Status:
    stage.monkeypatch.setattr("ltq._worker.executor._NO_THREAD_PAUSE", 0.01)
    stage.monkeypatch.setattr("ltq._worker.threads._SHORTAGE", 0.1)
    start, refused = threading.Thread.start, list[str]()

    def refuse_the_first(thread: threading.Thread) -> None:
        if thread.name.startswith("ltq-shop") and not refused:
            refused.append(thread.name)
            raise RuntimeError("can't start new thread")
        start(thread)

    stage.monkeypatch.setattr(threading.Thread, "start", refuse_the_first)

    @stage.worker.task(max_tries=1)
    def run() -> None: ...

    handle = await run.send()
    async with stage.worker:
        return (await handle.wait(10)).status


class Refusing(Middleware):
    """A middleware that raises an error before each run."""

    def __init__(self, error: Exception | None) -> None:
        self._error = error

    @asynccontextmanager
    async def __call__(self, message: Message[Any], task: Task[..., Any]) -> AsyncIterator[None]:
        if self._error is not None:
            raise self._error
        yield


@ending(Told(Status.REJECTED, ["rejected"]))
async def is_refused_by_middleware(stage: Stage) -> Status:
    stage.worker.register_middleware(Refusing(RejectError("not today")), 0)

    @stage.worker.task(max_tries=5)
    async def run() -> None: ...

    return await stage.burst(run.send())


@ending(Told(Status.FAILED, ["failed"], [OS], ["OSError"]))
async def fails_in_middleware(stage: Stage) -> Status:
    stage.worker.register_middleware(Refusing(OSError("away")), 0)

    @stage.worker.task(max_tries=5)
    async def run() -> None: ...

    return await stage.burst(run.send())


@ending(Told(Status.REJECTED, ["rejected"], ["ltq.errors.DecodeError"]))
async def is_garbled(stage: Stage) -> Status:
    @stage.worker.task(max_tries=5)
    async def run(number: int) -> None: ...

    garbled = Envelope(id=new_id(), queue=run.queue, task_name=run.name, body=b"{")
    await stage.worker.broker.publish([garbled])
    await stage.worker.run(burst=True)
    return (await run.handle(garbled.id).state()).status


@ending(Told(Status.REJECTED, ["rejected"]))
async def has_killed_workers(stage: Stage) -> Status:
    @stage.worker.task(max_deliveries=1)
    async def run() -> None: ...

    broker = stage.worker.broker
    handle = await run.send()
    async with broker.consumer([run.queue], lease=0.02) as dying:
        assert await broker.claim(dying, 1, timeout=5)

    async def is_back() -> bool:
        return (await broker.sweep([run.queue])).recovered == 1

    await eventually(is_back)
    await stage.worker.run(burst=True)
    return (await handle.state()).status


@ending(Told(Status.FAILED, ["failed"], ["ltq.errors.ResultError"], ["ResultError"]))
async def returns_what_it_must_not(stage: Stage) -> Status:
    @stage.worker.task(max_tries=5)
    async def run() -> int:
        return "text"  # type: ignore[return-value]  # the lie

    return await stage.burst(run.send())


@pytest.fixture
def reports() -> Iterator[Reports]:
    yield Reports()
    sentry_sdk.get_client().close()
    sentry_sdk.Scope.get_global_scope().set_client(None)


PLACES: list[tuple[str, Place]] = [
    *(("memory", place) for place in (outermost, innermost, scattered, in_an_app)),
    ("redis", scattered),
]


@pytest.mark.parametrize(
    ("url", "place"), PLACES, ids=lambda one: getattr(one, "__name__", one), indirect=["url"]
)
@pytest.mark.parametrize("name", ENDINGS)
async def test_it_is_reported_as_it_ended(
    url: str, reports: Reports, name: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    end, told = ENDINGS[name]
    worker = Worker("shop", broker_url=url)
    place(worker, [make() for make in reports.observers])
    status = await end(Stage(worker, reports, monkeypatch))
    assert status is told.status
    (dead,) = [stats.dead for stats in await worker.broker.stats(["shop:run"])]
    await worker.aclose()
    assert reports.outcomes == told.outcomes
    assert [(span.attributes or {}).get("error.type") for span in reports.runs] == told.errors
    assert [kind for kind, _ in reports.recorder.reports] == told.reported
    counts = {("shop:run", outcome): told.outcomes.count(outcome) for outcome in told.outcomes}
    assert ended(reports.registry) == counts
    assert dead == (told.outcomes[-1] in ("failed", "rejected"))
    assert value(reports.registry, "ltq_runs_in_progress", task="shop:run") == 0
