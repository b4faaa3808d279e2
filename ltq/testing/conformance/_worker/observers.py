"""Observers: middleware that sees how each run ended, wherever it is registered."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

import ltq
from ltq import App, Message, Middleware, Observer, Task, Worker
from ltq.broker import Broker
from ltq.message import Envelope, new_id
from ltq.middleware import Ending, default_stack, ending_of
from ltq.testing.conformance._support.eventually import PATIENCE, eventually
from ltq.testing.conformance._support.factories import run_until_final
from ltq.testing.conformance._support.renewals import Renewals


class Endings(Observer):
    """Remembers how runs ended, and what it saw of messages that were sent."""

    def __init__(self, shared: object = None) -> None:
        self.seen: list[str] = []
        self.errors: list[str] = []
        self.sent: list[str] = []
        self._shared = shared

    @property
    def reports_to(self) -> object:
        return self._shared or self

    def on_send(self, message: Message[Any], task: Task[..., Any]) -> None:
        self.sent.append(message.id)

    @asynccontextmanager
    async def __call__(self, message: Message[Any], task: Task[..., Any]) -> AsyncIterator[None]:
        error: BaseException | None = None
        try:
            yield
        except BaseException as raised:
            error = raised
            raise
        finally:
            self.seen.append(ending_of(error).value)
            self.errors.append(repr(error))


class Around(Middleware):
    """A middleware that does something around a run, and something at a send."""

    def __init__(self, act: Callable[[], object], at_send: Callable[[], object] = bool) -> None:
        self._act = act
        self._at_send = at_send

    def on_send(self, message: Message[Any], task: Task[..., Any]) -> None:
        self._at_send()

    @asynccontextmanager
    async def __call__(self, message: Message[Any], task: Task[..., Any]) -> AsyncIterator[None]:
        self._act()
        yield


class Broken(Observer):
    """An observer that raises an error of its own."""

    def __init__(self, error: BaseException | None) -> None:
        self._error = error


class BrokenAtTheBegin(Broken):
    @asynccontextmanager
    async def __call__(self, message: Message[Any], task: Task[..., Any]) -> AsyncIterator[None]:
        if self._error is not None:
            raise self._error
        yield


class BrokenAtTheEnd(Broken):
    @asynccontextmanager
    async def __call__(self, message: Message[Any], task: Task[..., Any]) -> AsyncIterator[None]:
        try:
            yield
        finally:
            if self._error is not None:
                raise self._error


class Silent(Observer):
    """An observer that hides what a run raised."""

    @asynccontextmanager
    async def __call__(self, message: Message[Any], task: Task[..., Any]) -> AsyncIterator[None]:
        with suppress(BaseException):
            yield


async def seen_beside(worker: Worker, observer: Observer) -> list[str]:
    """What others see, on both sides of an observer, of a run that returns and one that fails."""
    outer, inner = Endings(), Endings()
    for one in (outer, observer, inner):
        worker.register_middleware(one)

    @worker.task
    async def divide(number: int) -> int:
        return 1 // number

    states = await run_until_final(worker, await divide.send(1), await divide.send(0))
    assert [state.status for state in states] == [ltq.Status.COMPLETED, ltq.Status.FAILED]
    assert sorted(outer.seen) == sorted(inner.seen)
    return sorted(outer.seen)


def raising(error: Exception) -> Callable[[], object]:
    def act() -> object:
        raise error

    return act


def first(worker: Worker, observer: Observer) -> None:
    worker.register_middleware(observer, 0)


def between(worker: Worker, observer: Observer) -> None:
    worker.register_middleware(observer, 1)


def before_the_last(worker: Worker, observer: Observer) -> None:
    worker.register_middleware(observer, -2)


def last(worker: Worker, observer: Observer) -> None:
    worker.register_middleware(observer)


def in_the_app(worker: Worker, observer: Observer) -> None:
    app = App()
    app.register_worker(worker)
    app.register_middleware(observer)


def in_the_app_and_the_worker(worker: Worker, observer: Observer) -> None:
    worker.register_middleware(observer)
    App(middlewares=[observer]).register_worker(worker)


PLACES = [first, between, before_the_last, last, in_the_app, in_the_app_and_the_worker]


class TestObserver:
    @pytest.fixture(params=PLACES, ids=lambda place: place.__name__)
    def endings(self, request: pytest.FixtureRequest, worker: Worker) -> Endings:
        """An observer of the worker, registered in one of many places."""
        observer = Endings()
        request.param(worker, observer)
        return observer

    async def test_a_run_that_is_repeated_is_no_failure(
        self, worker: Worker, endings: Endings
    ) -> None:
        @worker.task(max_tries=3, backoff=0.001)
        async def third_time() -> None:
            if ltq.current().attempt < 3:
                raise OSError("not yet")

        @worker.task(max_tries=2)
        def insist() -> None:
            raise ltq.RetryError(message="not yet")

        handles = await third_time.send(), await insist.send()
        await run_until_final(worker, handles[0])
        await run_until_final(worker, handles[1])
        assert sorted(endings.seen) == ["completed", "failed", "retried", "retried", "retried"]
        assert endings.sent == [handle.id for handle in handles]

    async def test_what_middleware_decides_is_seen(self, worker: Worker, endings: Endings) -> None:
        @worker.task(max_age=1e-9)
        async def late() -> None: ...

        @worker.task
        async def unwanted() -> None: ...

        @worker.task(timeout=0.02, max_tries=2, backoff=0.001)
        async def slow() -> None:
            await asyncio.Event().wait()

        (state,) = await run_until_final(worker, await late.send())
        assert "too old" in (state.error or "")
        await run_until_final(worker, await slow.send())
        worker.register_middleware(Around(raising(ltq.RejectError("a duplicate"))))
        await run_until_final(worker, await unwanted.send())
        assert endings.seen == ["rejected", "retried", "failed", "rejected"]
        assert "TimeoutError" in endings.errors[2]

    async def test_what_ends_outside_of_middleware_is_seen(
        self, worker: Worker, broker: Broker, endings: Endings
    ) -> None:
        @worker.task(max_tries=3)
        async def lie() -> int:
            return "text"  # type: ignore[return-value]  # the lie

        @worker.task(max_tries=3)
        async def insist() -> None:
            raise ltq.RetryError(delay=-1)

        @worker.task(max_tries=2, backoff=0.001)
        async def leave() -> None:
            raise SystemExit(3)

        for task in (lie, insist, leave):
            await run_until_final(worker, await task.send())
        garbled = Envelope(id=new_id(), queue=lie.queue, task_name=lie.name, body=b"{")
        await broker.publish([garbled])
        await run_until_final(worker, lie.handle(garbled.id))
        assert endings.seen == ["failed", "failed", "retried", "failed", "rejected"]
        assert "ConfigurationError" in endings.errors[1]
        assert "cannot be decoded" in endings.errors[4]

    async def test_a_cancelled_run_is_one_whatever_it_returns(
        self, worker: Worker, endings: Endings
    ) -> None:
        started = asyncio.Event()

        @worker.task
        async def hang(is_stubborn: bool) -> str:
            started.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if not is_stubborn:
                    raise
            return "done all the same"

        async with worker:
            for number, is_stubborn in enumerate((False, True), 1):
                handle = await hang.send(is_stubborn)
                await asyncio.wait_for(started.wait(), PATIENCE)
                started.clear()
                await handle.cancel()
                await eventually(lambda: len(endings.seen) >= number)  # noqa: B023  awaited here
        assert endings.seen == ["cancelled", "cancelled"]

    async def test_a_run_that_its_worker_stops_is_cancelled(
        self, worker: Worker, endings: Endings
    ) -> None:
        started = asyncio.Event()

        @worker.task(max_tries=1)
        async def hang() -> None:
            started.set()
            await asyncio.Event().wait()

        handle = await hang.send()
        running = asyncio.create_task(worker.run())
        await asyncio.wait_for(started.wait(), PATIENCE)
        worker.stop(now=True)
        await asyncio.wait_for(running, PATIENCE)
        assert (await handle.state()).requeue_count == 1
        assert endings.seen == ["cancelled"]

    async def test_a_run_whose_lease_is_lost_is_cancelled(
        self, broker: Broker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        endings = Endings()
        worker = Worker("shop", broker=broker, lease=0.3, middlewares=[*default_stack(), endings])
        renewals = Renewals(broker, monkeypatch)

        @worker.task(max_tries=3)
        async def hang() -> None:
            await asyncio.Event().wait()

        async with worker:
            await hang.send()
            await eventually(lambda: renewals.last)
            assert renewals.last is not None
            await broker.release(renewals.last)  # as another caller with the same lease
            await eventually(lambda: endings.seen)
        assert endings.seen == ["cancelled"]


class TestObservers:
    async def test_two_that_report_to_the_same_place_see_each_run_once(
        self, worker: Worker
    ) -> None:
        place = object()
        one, other, own = Endings(place), Endings(place), Endings()
        for observer in (one, other, own):
            worker.register_middleware(observer)

        @worker.task
        async def work() -> None: ...

        handle = await work.send()
        await run_until_final(worker, handle)
        assert (one.seen, other.seen, own.seen) == (["completed"], [], ["completed"])
        assert (one.sent, other.sent, own.sent) == ([handle.id], [], [handle.id])

    async def test_a_send_that_middleware_refuses_is_not_seen(self, worker: Worker) -> None:
        endings = Endings()
        worker.register_middleware(endings, 0)
        refuse = raising(ltq.InvalidArgumentsError("not today"))
        worker.register_middleware(Around(bool, refuse))

        @worker.task
        async def work() -> None: ...

        with pytest.raises(ltq.InvalidArgumentsError, match="not today"):
            await work.send()
        assert endings.sent == []

    async def test_they_are_around_all_other_middleware(self, worker: Worker) -> None:
        order: list[str] = []

        class Note(Observer):
            @asynccontextmanager
            async def __call__(
                self, message: Message[Any], task: Task[..., Any]
            ) -> AsyncIterator[None]:
                order.append("observer")
                yield

        worker.register_middleware(Around(lambda: order.append("other")), 0)
        worker.register_middleware(Note())

        @worker.task
        async def work() -> None: ...

        await run_until_final(worker, await work.send())
        assert order == ["observer", "other"]

    @pytest.mark.parametrize("error", [RuntimeError("broken"), SystemExit(), ltq.RetryError()])
    @pytest.mark.parametrize("kind", [BrokenAtTheBegin, BrokenAtTheEnd])
    async def test_one_that_fails_changes_nothing(
        self,
        worker: Worker,
        kind: type[Broken],
        error: BaseException,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        assert await seen_beside(worker, kind(error)) == [Ending.COMPLETED, Ending.FAILED]
        assert f"{kind.__name__} object" in caplog.text

    async def test_one_that_hides_errors_hides_none(self, worker: Worker) -> None:
        assert await seen_beside(worker, Silent()) == [Ending.COMPLETED, Ending.FAILED]

    @pytest.mark.parametrize("when", ["begin", "end"])
    async def test_one_that_hangs_does_not_hold_up_a_task_with_a_timeout(
        self, worker: Worker, when: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ltq._worker.observed._OBSERVER_PATIENCE", 0.02)

        class Hangs(Observer):
            @asynccontextmanager
            async def __call__(
                self, message: Message[Any], task: Task[..., Any]
            ) -> AsyncIterator[None]:
                if when == "begin":
                    await asyncio.Event().wait()
                yield
                await asyncio.Event().wait()

        worker.register_middleware(Hangs())

        @worker.task(timeout=PATIENCE)
        async def work() -> int:
            return 1

        (state,) = await run_until_final(worker, await work.send())
        assert state.result == 1
