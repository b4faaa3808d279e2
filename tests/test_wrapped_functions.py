"""What is awaitable is awaited, however a decorator hides it; what gives no result is refused."""

import asyncio
import functools
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple, Optional

import pytest

import ltq
from ltq import testing
from ltq._aio.callables import belongs_in_loop
from ltq.state import Status

Function = Callable[..., Any]


async def body(n: int) -> int:
    await asyncio.sleep(0)
    return n + 1


def numbers(n: int) -> Iterator[int]:
    yield n


async def numbers_slowly(n: int) -> AsyncIterator[int]:
    yield n


@types.coroutine
def old_style(n: int) -> Generator[Any, Any, int]:
    yield
    return n + 1


def returned(fn: Function) -> Function:
    @functools.wraps(fn)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return inner


def nameless(fn: Function) -> Function:
    def inner(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return inner


def not_awaited(fn: Function) -> Function:
    @functools.wraps(fn)
    async def inner(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return inner


def started(fn: Function) -> Function:
    @functools.wraps(fn)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return asyncio.ensure_future(fn(*args, **kwargs))

    return inner


def in_the_loop(fn: Function) -> Function:
    @functools.wraps(fn)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return asyncio.get_running_loop().create_task(fn(*args, **kwargs))

    return inner


def limited(fn: Function) -> Function:
    @functools.wraps(fn)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return asyncio.wait_for(fn(*args, **kwargs), 5)

    return inner


class Later:
    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self.coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, Any]:
        return self.coroutine.__await__()


def as_an_awaitable(fn: Function) -> Function:
    @functools.wraps(fn)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return Later(fn(*args, **kwargs))

    return inner


def run_by_itself(fn: Function) -> Function:
    @functools.wraps(fn)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return asyncio.run(fn(*args, **kwargs))

    return inner


def run_in_its_loop(fn: Function) -> Function:
    @functools.wraps(fn)
    def inner(*args: Any, **kwargs: Any) -> Any:
        with asyncio.Runner() as runner:
            return runner.run(fn(*args, **kwargs))

    return inner


class Object:
    async def __call__(self, n: int) -> int:
        return await body(n)

    async def method(self, n: int) -> int:
        return await body(n)

    @staticmethod
    async def static(n: int) -> int:
        return await body(n)

    @classmethod
    async def of_class(cls, n: int) -> int:
        return await body(n)

    def __repr__(self) -> str:
        return "object"


class Wrapper:
    """As caches are made: an object with the name of what it wraps."""

    def __init__(self, fn: Function) -> None:
        functools.update_wrapper(self, fn)
        self.fn = fn

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.fn(*args, **kwargs)


def future(n: int) -> "asyncio.Future[int]":
    made: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    made.set_result(n + 1)
    return made


def promised(n: int) -> Awaitable[int]:
    return body(n)


def maybe(n: int) -> "int | Awaitable[int]":
    return asyncio.ensure_future(body(n))


def perhaps(n: int) -> Annotated[Optional["asyncio.Future[int]"], "or not"]:
    return asyncio.ensure_future(body(n))


class Service:
    """Its methods have the names of functions that run an event loop."""

    async def run(self, n: int) -> int:
        return await body(n)

    def start(self, n: int) -> "asyncio.Task[int]":
        return asyncio.create_task(self.run(n))

    def begin(self, n: int) -> "Later":
        return Later(asyncio.ensure_future(self.run(n)))  # type: ignore[arg-type]


class Started:
    """A wrapper with a `run` of its own."""

    def __init__(self, fn: Function) -> None:
        functools.update_wrapper(self, fn)
        self.run = fn

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return asyncio.ensure_future(self.run(*args, **kwargs))


AWAITED: dict[str, Function] = {
    "returned": returned(body),
    "returned twice": returned(returned(body)),
    "nameless": nameless(body),
    "lambda": lambda n: body(n),
    "not awaited": not_awaited(body),
    "not awaited twice": not_awaited(not_awaited(body)),
    "started": started(body),
    "in the loop": in_the_loop(body),
    "limited": limited(body),
    "as an awaitable": as_an_awaitable(body),
    "run by itself": run_by_itself(body),
    "run in its loop": run_in_its_loop(body),
    "object": Object(),
    "wrapper": Wrapper(body),
    "method": Object().method,
    "static": Object.static,
    "staticmethod": staticmethod(body),
    "method of a class": Object.of_class,
    "partial": functools.partial(body),
    "partial of an object": functools.partial(functools.partial(Object())),
    "partial of a wrapper": functools.partial(returned(body)),
    "old style": old_style,
    "future": future,
    "promised": promised,
    "maybe": maybe,
    "perhaps": perhaps,
    "start of a service": Service().start,
    "begin of a service": Service().begin,
    "started by an object": Started(body),
}


class Task(NamedTuple):
    """A class of the user's, with the name of one of asyncio's."""

    n: int


class Future(Task):
    """Another one."""


def find_task(n: int) -> "Task":
    return Task(n)


def find_future(n: int) -> "Future":
    return Future(n)


def find_elsewhere(n: int) -> "Task":
    return Task(n)


find_elsewhere.__annotations__["return"] = "models.Task"  # imported for type checkers only


@pytest.fixture
def worker() -> ltq.Worker:
    return ltq.Worker("wrapped", broker_url="memory://wrapped")


class TestAwaited:
    @pytest.mark.parametrize("name", AWAITED)
    async def test_its_result_is_that_of_the_coroutine(self, worker: ltq.Worker, name: str) -> None:
        task = worker.task(name="one")(AWAITED[name])
        with testing.use(worker) as box:
            handle = await task.send(1)
            await box.drain(check=True)
            assert await handle.result() == 2
        assert await task(1) == 2

    async def test_a_wrapper_is_typed_as_what_it_wraps(self, worker: ltq.Worker) -> None:
        task = worker.task(returned(body))
        with pytest.raises(ltq.InvalidArgumentsError, match="argument 'n': Expected `int`"):
            task.message("1")

    async def test_it_ends_at_its_timeout(self, worker: ltq.Worker) -> None:
        ended = asyncio.Event()

        async def hang() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        # A thread may begin late on a busy machine.
        task = worker.task(timeout=0.3)(returned(hang))
        async with worker, asyncio.timeout(5):
            state = await (await task.send()).wait()
            await ended.wait()
        assert (state.status, state.error_type) == (Status.FAILED, "TimeoutError")

    @pytest.mark.parametrize("wrap", [returned, started, not_awaited])
    async def test_a_cancellation_reaches_it(
        self, worker: ltq.Worker, wrap: Callable[[Function], Function]
    ) -> None:
        begun, ended = asyncio.Event(), asyncio.Event()

        async def hang() -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        task = worker.task(wrap(hang))
        async with worker, asyncio.timeout(5):
            handle = await task.send()
            await begun.wait()
            await handle.cancel()
            await ended.wait()
            assert (await handle.wait()).status is Status.CANCELLED

    async def test_it_sleeps_by_the_clock_of_a_test(self, worker: ltq.Worker) -> None:
        async def wait_long() -> str:
            await asyncio.sleep(3600)  # the task's own time
            return "awake"

        task = worker.task(returned(wait_long))
        with testing.use(worker) as box:
            handle = await task.send()
            await box.clock.advance(hours=1)
            assert await handle.result() == "awake"

    async def test_it_knows_its_context(self, worker: ltq.Worker) -> None:
        async def own_id() -> str:
            return ltq.current().id

        task = worker.task(returned(own_id))
        with testing.use(worker) as box:
            handle = await task.send()
            await box.drain()
            assert await handle.result() == handle.id

    async def test_the_annotation_is_of_what_awaiting_gives(self, worker: ltq.Worker) -> None:
        def when(n: int) -> "int | Awaitable[int]":
            return n or body(n)

        for fn in (promised, future, when):
            task = worker.task(name=fn.__name__)(fn)
            with testing.use(worker) as box:
                handles = [await task.send(0), await task.send(1)]
                await box.drain(check=True)
                assert [type(await handle.result()) for handle in handles] == [int, int]


class TestPlain:
    async def test_a_list_of_what_a_generator_yields_is_a_result(self, worker: ltq.Worker) -> None:
        @functools.wraps(numbers)
        def listed(n: int) -> list[int]:
            return list(numbers(n))

        @functools.wraps(numbers_slowly)
        async def listed_slowly(n: int) -> list[int]:
            return [one async for one in numbers_slowly(n)]

        for fn in (listed, listed_slowly):
            task = worker.task(fn)
            with testing.use(worker) as box:
                handle = await task.send(1)
                await box.drain(check=True)
                assert list(await handle.result()) == [1]

    @pytest.mark.parametrize(
        "fn",
        [
            numbers,
            numbers_slowly,
            functools.partial(numbers),
            functools.partial(numbers_slowly),
            staticmethod(numbers),
        ],
        ids=["generator", "async", "partial", "async partial", "staticmethod"],
    )
    async def test_what_a_generator_yields_is_streamed(
        self, worker: ltq.Worker, fn: Function
    ) -> None:
        task: Any = worker.task(name="one")(fn)
        with testing.use(worker) as box:
            handle = await task.send(1)
            await box.drain(check=True)
            assert await handle.collect() == [1]

    @pytest.mark.parametrize(
        "hide",
        [lambda fn: fn, functools.partial, staticmethod],
        ids=["as it is", "partial", "staticmethod"],
    )
    def test_a_generator_that_does_not_say_what_it_yields_is_refused(
        self, worker: ltq.Worker, hide: Callable[[Function], Any]
    ) -> None:
        async def slowly(n):  # type: ignore[no-untyped-def]
            yield n

        def quickly(n):  # type: ignore[no-untyped-def]
            yield n

        for fn in (slowly, quickly):
            with pytest.raises(ltq.ConfigurationError, match=r"yields, but does not say what"):
                worker.task(name=fn.__name__)(hide(fn))

    def test_only_what_needs_the_loop_is_called_there(self, worker: ltq.Worker) -> None:
        kinds = {
            name: worker.task(name=name.replace(" ", "-"))(fn).is_async
            for name, fn in AWAITED.items()
        }
        in_threads = {name for name, is_async in kinds.items() if not is_async}
        assert in_threads >= {"run by itself", "run in its loop", "returned", "lambda"}
        assert not in_threads & {
            *("started", "in the loop", "future", "object", "old style", "maybe", "perhaps"),
            *("start of a service", "started by an object"),
        }

    @pytest.mark.parametrize("fn", [find_task, find_future, find_elsewhere])
    def test_a_name_alone_makes_nothing_awaitable(self, worker: ltq.Worker, fn: Function) -> None:
        assert not belongs_in_loop(fn)

    async def test_a_class_gives_its_objects(self, worker: ltq.Worker) -> None:
        @dataclass
        class Order:
            at: datetime

        task = worker.task(Order)
        now = datetime.now(UTC)
        with testing.use(worker) as box:
            handle = await task.send(now)
            await box.drain(check=True)
            assert await handle.result() == Order(now)

    def test_a_class_is_held_to_what_travels(self, worker: ltq.Worker) -> None:
        class Plain:
            def __init__(self, at: datetime) -> None: ...

        with pytest.raises(ltq.ConfigurationError, match=r"result: `.*Plain` cannot travel"):
            worker.task(Plain)


class TestRefused:
    @pytest.mark.parametrize("fn", [numbers, numbers_slowly])
    async def test_a_hidden_generator_fails_its_run(self, worker: ltq.Worker, fn: Function) -> None:
        task = worker.task(returned(fn))
        with testing.use(worker) as box:
            handle = await task.send(1)
            await box.drain()
            state = await handle.state()
        assert state.error_type == "ResultError"
        assert "generator` has no wire form" in (state.error or "")

    def test_a_method_needs_its_object(self, worker: ltq.Worker) -> None:
        with pytest.raises(ltq.ConfigurationError, match=r"`Object\.method` is a method, and its"):
            worker.task(Object.method)
        with pytest.raises(ltq.ConfigurationError, match=r"`Local\.run` is a method, and its"):

            class Local:
                @worker.task
                async def run(self) -> None: ...

        with pytest.raises(ltq.ConfigurationError, match="takes its class, which cannot be sent"):

            class Other:
                @worker.task(name="made")
                @classmethod
                async def make(cls) -> None: ...

    def test_a_function_of_a_class_without_its_object_is_one(self, worker: ltq.Worker) -> None:
        class Tasks:
            @worker.task
            async def fetch(repo: str) -> None: ...  # noqa: N805

            @worker.task
            @staticmethod
            def count(self: int) -> None: ...

        assert {*worker.tasks} == {"wrapped:fetch", "wrapped:count"}
        assert Tasks.count.message(1).args == (1,)

    @pytest.mark.parametrize("fn", [5, "name", None, [body]])
    def test_what_cannot_be_called_is_none(self, worker: ltq.Worker, fn: Any) -> None:
        for declare in (worker.task, worker.task(name="one")):
            with pytest.raises(ltq.ConfigurationError, match="a task is made of one function, not"):
                declare(fn)

    def test_an_object_needs_a_name(self, worker: ltq.Worker) -> None:
        with pytest.raises(ltq.ConfigurationError, match=r"object has no name: give it one, @work"):
            worker.task(Object())
        assert worker.task(functools.partial(body)).name == "wrapped:body"
