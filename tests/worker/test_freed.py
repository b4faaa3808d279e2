"""What a run held is freed when it is over, without a cyclic collection."""

import asyncio
import gc
import logging
import sys
import time
import traceback
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest

import ltq
from ltq import Status, Worker
from ltq.middleware import MaxAge, MaxRate, MaxTries, Middleware, Observer
from tests.eventually import eventually

alive: "weakref.WeakSet[Big]" = weakref.WeakSet()


class Big:
    """Something that a run holds in a local variable."""

    def __init__(self) -> None:
        alive.add(self)
        made.append(1)


made: list[int] = []


class Around(Middleware):
    @asynccontextmanager
    async def __call__(
        self, message: ltq.Message[Any], task: ltq.Task[..., Any]
    ) -> AsyncIterator[None]:
        kept = Big()
        try:
            yield
        finally:
            del kept


class Reports(Observer):
    """Formats errors, as a reporter does."""

    @asynccontextmanager
    async def __call__(
        self, message: ltq.Message[Any], task: ltq.Task[..., Any]
    ) -> AsyncIterator[None]:
        try:
            yield
        except BaseException as error:
            traceback.format_exception(error)
            raise


@asynccontextmanager
async def lifespan(worker: Worker[Any]) -> AsyncIterator[None]:
    yield


async def fails() -> None:
    _ = Big()
    raise ValueError


async def asks_for_more() -> None:
    _ = Big()
    raise ltq.RetryError(delay=0.001) from ValueError()


async def rejects() -> None:
    _ = Big()
    raise ltq.RejectError("no")


async def sleeps() -> None:
    _ = Big()
    await asyncio.sleep(10)  # the task's own time


async def goes_on() -> None:
    _ = Big()
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(10)  # the task's own time


def fails_in_a_thread() -> None:
    _ = Big()
    raise ValueError


def overstays_in_a_thread() -> None:
    _ = Big()
    time.sleep(0.1)  # the task's own time
    raise ValueError


async def has_a_cause() -> None:
    _ = Big()
    try:
        raise KeyError
    except KeyError as error:
        raise ValueError from error


async def has_a_context() -> None:
    _ = Big()
    try:
        raise KeyError
    except KeyError:
        raise ValueError  # noqa: B904  on purpose


async def is_a_group() -> None:
    _ = Big()
    raise ExceptionGroup("two", [ValueError(1), KeyError(2)])


async def has_a_task_group() -> None:
    _ = Big()
    async with asyncio.TaskGroup() as group:
        group.create_task(fails())


async def gathers() -> None:
    _ = Big()
    await asyncio.gather(fails(), fails())


async def times_out_inside() -> None:
    _ = Big()
    async with asyncio.timeout(0.01):
        await asyncio.sleep(10)  # the task's own time


async def has_an_exit_stack() -> None:
    async with AsyncExitStack() as stack:
        _ = Big()
        stack.callback(len, ())
        raise ValueError


async def exits() -> None:
    _ = Big()
    sys.exit(3)


async def cancels_itself() -> None:
    _ = Big()
    running = asyncio.current_task()
    assert running is not None
    running.cancel()
    await asyncio.sleep(10)  # the task's own time


async def returns_what_cannot_travel() -> Any:
    return Big()


async def reports_progress() -> None:
    _ = Big()
    await ltq.current().progress(1)
    raise ValueError


async def asks_a_thread() -> None:
    _ = Big()
    await asyncio.to_thread(fails_in_a_thread)


async def completes() -> int:
    _ = Big()
    await ltq.current().progress(1)
    return 1


def completes_in_a_thread() -> int:
    _ = Big()
    return 1


ONCE: dict[str, Any] = {}
RETRIED: dict[str, Any] = {"max_tries": 3, "backoff": 0.001}
CASES: list[tuple[Callable[[], Any], dict[str, Any]]] = [
    (fails, ONCE),
    (fails, RETRIED),
    (fails, {**RETRIED, "timeout": 5}),
    (fails, {"max_tries": 99, "backoff": 0.001, "max_age": 0.05}),
    (asks_for_more, RETRIED),
    (rejects, ONCE),
    (rejects, RETRIED),
    (sleeps, {"timeout": 0.01}),
    (sleeps, {**RETRIED, "timeout": 0.01}),
    (goes_on, {**RETRIED, "timeout": 0.01}),
    (fails_in_a_thread, ONCE),
    (fails_in_a_thread, RETRIED),
    (overstays_in_a_thread, {"timeout": 0.02}),
    (has_a_cause, RETRIED),
    (has_a_context, RETRIED),
    (is_a_group, RETRIED),
    (has_a_task_group, RETRIED),
    (gathers, RETRIED),
    (times_out_inside, RETRIED),
    (has_an_exit_stack, RETRIED),
    (exits, RETRIED),
    (cancels_itself, RETRIED),
    (returns_what_cannot_travel, ONCE),
    (reports_progress, RETRIED),
    (asks_a_thread, RETRIED),
    (completes, ONCE),
    (completes, {"timeout": 5, **RETRIED}),
    (completes_in_a_thread, ONCE),
]


@pytest.fixture(autouse=True)
def _no_collection(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.CRITICAL + 1, "ltq")  # pytest keeps records, and so their errors
    caplog.set_level(logging.CRITICAL + 1, "asyncio")
    gc.disable()
    made.clear()
    alive.clear()
    yield
    gc.enable()


def make_worker(name: str, *, surrounded: bool) -> Worker[Any]:
    stack: list[Middleware] = [MaxTries(), MaxAge(), MaxRate()]
    if surrounded:
        stack = [Around(), Reports(), *stack, Around()]
    return Worker(
        "shop", f"memory://freed-{name}", middlewares=stack, lifespan=lifespan, shutdown_timeout=0
    )


async def all_are_freed() -> None:
    await eventually(lambda: not alive)
    assert made


@pytest.mark.slow
@pytest.mark.parametrize("surrounded", [False, True])
@pytest.mark.parametrize(("fn", "options"), CASES)
async def test_after_the_run(
    fn: Callable[[], Awaitable[Any]], options: dict[str, Any], surrounded: bool
) -> None:
    worker = make_worker(f"{fn.__name__}-{surrounded}-{len(options)}", surrounded=surrounded)
    task = worker.task(**options)(fn)
    async with worker:
        handle = await task.send()
        await handle.wait(10)
        await all_are_freed()


@pytest.mark.parametrize("surrounded", [False, True])
async def test_after_a_cancellation(surrounded: bool) -> None:
    worker = make_worker(f"cancelled-{surrounded}", surrounded=surrounded)
    task = worker.task(sleeps)
    async with worker:
        handle = await task.send()
        await eventually(lambda: alive)
        await handle.cancel()
        assert (await handle.wait(10)).status is Status.CANCELLED
        await all_are_freed()


@pytest.mark.parametrize("surrounded", [False, True])
async def test_after_a_shutdown(surrounded: bool) -> None:
    worker = make_worker(f"stopped-{surrounded}", surrounded=surrounded)
    task = worker.task(sleeps)
    async with worker:
        await task.send()
        await eventually(lambda: alive)
    await all_are_freed()
